"""How much a body may bring: limits that whoever runs a service may lower and not raise, for the reasons told there."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from math import prod

from pydantic import BaseModel, ConfigDict, Field

from service.contract.inputs import LARGEST_SIDE, ImageInput, InputSpec
from service.contract.names import LONGEST_NAME, MOST_CLASSES
from service.contract.resources import Resource
from service.errors import InvalidContent

MOST_ROWS = 1_000_000
MOST_CELLS = 2**25
"""Each takes eight bytes however short its text is: `{}` is a row of as many as any other."""
MOST_DEPTH = 100
"""What is deeper would be written into refusals, hashes and the database by functions that call themselves."""


class Limit(Resource):
    name: str
    value: float | int | None = Field(description="null: no limit unless the setting names one.")
    unit: str
    bounds: str = Field(description="What it bounds.")
    beyond: str = Field(description="What becomes of a request that goes beyond it, and what to do.")
    status: int | None = Field(description="The status that such a request is answered with; null: it is not refused.")
    setting: str | None = Field(description="The setting by which whoever runs the service changes it.")
    fixed: str | None = Field(
        description="Why it has no setting, or one that lowers it alone; null where that may raise it, too."
    )


class Limits(Resource):
    items: list[Limit]


class BodyLimits(BaseModel):
    """The limits of a service; each is by default what it can be at most."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_other_body_bytes: int = Field(
        2**20,
        ge=1024,
        le=2**20,
        description="Largest body that brings neither rows nor weights, or rows at /invocations; 1048576 at most.",
    )
    max_model_body_bytes: int = Field(
        2**22, ge=1024, le=2**22, description="Largest body that makes a model; 4194304 at most."
    )
    max_depth: int = Field(
        MOST_DEPTH,
        ge=10,
        le=MOST_DEPTH,
        description="Lists and objects within one another in a body, beside its rows; 10 to 100.",
    )
    max_rows: int = Field(
        MOST_ROWS, ge=1, le=MOST_ROWS, description="Rows of one body, and so its labels or targets; 1000000 at most."
    )
    max_cells: int = Field(
        MOST_CELLS,
        ge=1000,  # a row of as many columns as there may be
        le=MOST_CELLS,
        description="Rows times columns of one body of rows of a table, or of CSV; 33554432 at most.",
    )
    max_picture_bytes: int = Field(
        2**28,
        ge=2**24,
        le=2**28,
        description="Pixels that the image files of one body come to; 16777216, which is one image of the largest, to "
        "268435456.",
    )
    max_image_side: int = Field(
        LARGEST_SIDE,
        ge=1,
        le=LARGEST_SIDE,
        description="Height and width of the images of a model that is made; 1024 at most.",
    )
    max_classes: int = Field(
        MOST_CLASSES, ge=2, le=MOST_CLASSES, description="Classes that a model may grow to; 10000 at most."
    )
    max_class_name: int = Field(
        LONGEST_NAME, ge=1, le=LONGEST_NAME, description="Characters of the name of a new class; 200 at most."
    )

    def most_rows(self, spec: InputSpec) -> int:
        """Rows of such an input that a body may have."""
        return self._most_rows(spec.shape[0] if spec.kind == "table" else 0)

    def check_rows(self, rows: int, columns: int = 0) -> None:
        """Raises InvalidContent where rows are more than a body may have. columns: of rows that are counted by cells"""
        if rows > (most := self._most_rows(columns)):
            of = f" of {columns:,} columns" if columns > 1 and most < self.max_rows else ""
            sentence = f"The service takes at most {most:,} rows{of} at once, and these are more. Send them in parts."
            raise InvalidContent.at("/inputs", sentence)

    def check_rows_of(self, spec: InputSpec, rows: int) -> None:
        """As `check_rows`, of rows of such an input. Raises InvalidContent."""
        self.check_rows(rows, spec.shape[0] if spec.kind == "table" else 0)

    def check_pictures(self, pictures: int, spec: ImageInput) -> None:
        """Raises InvalidContent where so many decoded pictures are too much."""
        most = self.max_picture_bytes // prod(spec.shape)
        if pictures > most:
            sentence = f"{pictures:,} pictures of that size are too much at once. Send at most {most:,}."
            raise InvalidContent.at("/inputs", sentence)

    def check_images(self, spec: InputSpec) -> None:
        """Raises InvalidContent for a new model of larger images than may be."""
        sides = {"height": spec.height, "width": spec.width} if spec.kind == "image" else {}
        for name, pixels in sides.items():
            if pixels > self.max_image_side:
                sentence = f"{name} is at most {self.max_image_side:,} in this service. Make it smaller."
                raise InvalidContent.at(f"/input/{name}", sentence)

    def check_classes(self, names: Iterable[str], known: Collection[str], pointer: str) -> None:
        """Raises InvalidContent where a vocabulary of the `known` classes would grow beyond so many, or by one whose
        name is longer."""
        new = set(names).difference(known)
        if new and len(known) + len(new) > self.max_classes:
            raise too_many_classes(pointer, self.max_classes)
        if any(len(name) > self.max_class_name for name in new):
            sentence = f"The name of a new class has at most {self.max_class_name} characters here. Take a shorter one."
            raise InvalidContent.at(pointer, sentence)

    def _most_rows(self, columns: int) -> int:
        return min(self.max_rows, max(1, self.max_cells // columns)) if columns else self.max_rows


def too_many_classes(pointer: str, most: int = MOST_CLASSES) -> InvalidContent:
    """The refusal of a vocabulary over its limit."""
    return InvalidContent.at(pointer, f"A model has at most {most:,} classes. Are these names of classes?")


HIGHEST = BodyLimits()
"""Of a service that lowers none."""
