"""The inputs of a model: vectors, images, texts or rows of a table; and the architecture of its first version."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from service.contract.names import MOST_NAMED
from service.contract.strict import Listed, Strict, Unlimited
from service.contract.tables import MANY_COLUMNS, MOST_FEATURES, ColumnName, TableInput, check_each_once

MOST_NUMBERS = 100_000
"""Most numbers of a vector."""
LARGEST_SIDE = 1024
"""Most pixels of the height and the width of an image."""


class RangeScale(Strict):
    """Inputs lie in [lo, hi]; they are mapped to [-1, 1]."""

    range: tuple[float, float] = Field(
        description="Smallest and largest value of a raw input; they become -1 and 1.", examples=[[0, 16]]
    )

    @model_validator(mode="after")
    def _ordered(self) -> RangeScale:
        if not self.range[0] < self.range[1]:
            raise ValueError("range is [lo, hi] with lo < hi")
        return self


Columns = Annotated[Listed[float], Field(max_length=MOST_NUMBERS)]


class MomentsScale(Strict):
    """Inputs are centred by `mean` and divided by `std`."""

    mean: float | Columns = Field(description="Mean of the raw inputs: one number, or one a column.")
    std: float | Columns = Field(description="Standard deviation: one number, or one a column; > 0.")

    @model_validator(mode="after")
    def _positive(self) -> MomentsScale:
        values = self.std if isinstance(self.std, list) else [self.std]
        if not all(v > 0 for v in values):
            raise ValueError("std must be > 0")
        return self


Scale = RangeScale | MomentsScale


WIDEST_EXACT = 4096
"""Most features M of which exact sums are kept: they take 8 (M + 1)^2 bytes of the memory of a process."""


class VectorInput(Strict):
    """Rows of `size` numbers."""

    kind: Literal["vector"]
    size: int = Field(ge=1, le=MOST_NUMBERS, description="Numbers a row.")
    scale: Scale | None = Field(default=None, description="Declared scale; without it, fitted on the first batch.")
    names: Listed[ColumnName] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_NAMED,
        exclude_if=lambda names: names is None,  # what was stored before vectors had names stays to the byte
        description="What the columns are called, in their order: files, frames and objects are then read by these "
        "names; arrays and lists go by position. Without names all go by position.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> VectorInput:
        if self.names is not None and len(self.names) != self.size:
            raise ValueError(
                f"names has {len(self.names):,} names, and a row {self.size:,} numbers: name each, or none"
            )
        check_each_once(self.names or ())
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.size,)

    @cached_property
    def places(self) -> dict[str, int]:
        """Place of each column by its name; none where they have no names."""
        return {name: k for k, name in enumerate(self.names or ())}


class ImageInput(Strict):
    """Images: nested lists [channels][height][width] of numbers, or PNG or JPEG in base64."""

    kind: Literal["image"]
    channels: int = Field(ge=1, le=16)
    height: int = Field(ge=1, le=LARGEST_SIDE)
    width: int = Field(ge=1, le=LARGEST_SIDE)
    scale: Scale | None = Field(default=None, description='Declared scale; {"range": [0, 255]} without it.')

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.channels, self.height, self.width)


class TextInput(Strict):
    """Texts: strings."""

    kind: Literal["text"]
    length: int = Field(default=2000, ge=1, le=20_000, description="Most characters a text may have.")

    @property
    def scale(self) -> None:
        """Texts have none."""
        return None

    @property
    def shape(self) -> tuple[int, ...]:
        return ()


InputSpec = Annotated[VectorInput | ImageInput | TextInput | TableInput, Field(discriminator="kind")]
INPUT_SPEC: Unlimited[InputSpec] = Unlimited(InputSpec)
"""Reads a stored input."""


def places_of(spec: InputSpec) -> Mapping[str, int]:
    """Place of each column by its name, of a table or a vector with names; none where rows have no names."""
    return spec.places if isinstance(spec, TableInput | VectorInput) else {}


def gap_words_of(spec: InputSpec) -> frozenset[str]:
    """What cells say where nothing is known, as the model remembers it; none of other inputs than tables."""
    return spec.gap_words if isinstance(spec, TableInput) else frozenset()


class IdentityBackbone(Strict):
    """The scaled input itself; the exact head's lift does the work."""

    name: Literal["identity"] = "identity"


class MlpBackbone(Strict):
    """Dense layers with ReLU."""

    name: Literal["mlp"]
    hidden: Listed[Annotated[int, Field(ge=1, le=4096)]] = Field(
        default=[256], min_length=1, max_length=4, description="Units a layer."
    )


class CnnBackbone(Strict):
    """Convolutions 3x3 with GroupNorm, ReLU and pooling; for images."""

    name: Literal["cnn"]
    channels: Listed[Annotated[int, Field(ge=1, le=512)]] = Field(
        default=[32, 64], min_length=1, max_length=4, description="Filters a stage."
    )


BUILT_IN = ("identity", "mlp", "cnn")


class PretrainedBackbone(Strict):
    """A network whose weights were learned elsewhere: `efficientnet_lite0`, `minilm`, or an architecture of torchvision
    or timm whose weights the operator named in the settings."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-zA-Z0-9_./-]{0,99}$",
        description="Its name.",
        examples=["efficientnet_lite0", "minilm"],
        json_schema_extra={"not": {"enum": list(BUILT_IN)}},  # else `oneOf` of the document fits two of the backbones
    )
    side: int | None = Field(
        default=None, ge=16, le=1024, description="Images are resized to side x side pixels; by default as it likes."
    )


def _kind_of_backbone(value: Any) -> str:
    name = value.get("name", "identity") if isinstance(value, dict) else getattr(value, "name", None)
    return name if name in BUILT_IN else "pretrained"


Backbone = Annotated[
    Annotated[IdentityBackbone, Tag("identity")]
    | Annotated[MlpBackbone, Tag("mlp")]
    | Annotated[CnnBackbone, Tag("cnn")]
    | Annotated[PretrainedBackbone, Tag("pretrained")],
    Discriminator(_kind_of_backbone),
]


def misfit(spec: InputSpec, backbone: Backbone) -> str | None:
    """The sentence why a built-in backbone cannot take such inputs, and what can; None where it can."""
    if isinstance(backbone, PretrainedBackbone):
        return None
    if isinstance(spec, TextInput):
        return f"{backbone.name} takes numbers; for texts there is minilm, which they have by default."
    if not isinstance(spec, ImageInput) and isinstance(backbone, CnnBackbone):
        return f"cnn takes images; for {spec.kind}s there are identity and mlp."
    if isinstance(spec, VectorInput) and isinstance(backbone, MlpBackbone) and spec.size > WIDEST_EXACT:
        return (
            f"mlp takes at most {WIDEST_EXACT:,} numbers a row, since exact sums of them are kept beside it, and these "
            f"rows have {spec.size:,}. Wider vectors have identity, where auto and ridge learn them through a lift."
        )
    return None


def too_wide(spec: InputSpec) -> str | None:
    """The sentence why the columns of a table are too many; None where they are not."""
    if not isinstance(spec, TableInput) or spec.features <= MOST_FEATURES:
        return None
    return (
        f"These columns come to {spec.features:,} features a row, and exact sums are kept of at most "
        f"{MOST_FEATURES:,}: a number has {2 + spec.pieces} of them here, a date seven for the weekday and four "
        f"each for hour and year, a declared value one, a column of many values {MANY_COLUMNS}. "
        "Leave columns out, parts of dates, or lists of values."
    )


class Architecture(Strict):
    """What a first version uses."""

    backbone: Backbone = IdentityBackbone()

    @classmethod
    def usual(cls, spec: InputSpec | None) -> Architecture:
        """The architecture of a model that names none: minilm for texts, else the identity."""
        return cls(backbone=PretrainedBackbone(name="minilm") if isinstance(spec, TextInput) else IdentityBackbone())


ARCHITECTURE: Unlimited[Architecture] = Unlimited(Architecture)
"""Reads a stored architecture."""
