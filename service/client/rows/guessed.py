"""A guess of what a model of rows would be, and how it is said in Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.guessing.class_counts import counted_classes, slips
from service.guessing.csv_files.dialect import PLAIN, Dialect
from service.guessing.doubts import DOUBTS

MOST_LEFT_OUT = 10
"""Columns that a sentence leaves out."""


@dataclass(frozen=True)
class Guess:
    """`input`, and `target` where numbers are predicted, as `create_model` takes them. `columns`: of a file or frame,
    those that hold labels or targets. `doubts`: what may not be as it is guessed. `classes`: the rows of each.
    `first`: the first row of each, counted from 0; none of a file. `dialect`: how a file is written. `gaps`: what its
    cells say where nothing is known, and `taken`: that in sentences, as far as nobody has said it. `lines`: of a file,
    that of the first row of each class, where one may be a slip. `others`: columns that may hold the labels as well as
    the last one, which was taken."""

    input: dict[str, Any]
    target: dict[str, Any] | None = None
    columns: tuple[str, ...] = ()
    doubts: tuple[tuple[str, str, str], ...] = ()
    classes: Mapping[str, int] = field(default_factory=dict)
    first: Mapping[str, int] = field(default_factory=dict)
    dialect: Dialect = PLAIN
    gaps: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)
    others: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """What `create_model` is told beside name and input."""
        return {} if self.target is None else {"target": self.target}

    @property
    def sentence(self) -> str:
        """What was guessed."""
        where = f" from column{'s'[: len(self.columns) > 1]} {quoted(self.columns)}" if self.columns else ""
        said = f"{_described(self.input)}; predicts {'classes' if self.target is None else 'numbers'}{where}."
        ways = [
            DOUBTS[why].format(column=c, cell=cell, way=self._way(why, c, cell), **self.dialect.forms)
            for why, c, cell in self.doubts
        ]
        classes = [f"Classes: {counted_classes(self.classes)}.", self.slips] if self.classes else []
        if self.others:
            ways.append(f'If another column is to be predicted, such as {quoted(self.others[:4])}: target="COLUMN".')
        return " ".join(filter(None, [said, self.dialect.sentence, *classes, *self.taken, *ways]))

    def _way(self, why: str, column: str, cell: str) -> str:
        """What to write where a column of rows may not be as it is guessed; of a file, gaps are asked about before."""
        out = f'leave_out="{column}"'
        if why == "text":
            others = [each["name"] for each in self.input["columns"] if each["name"] != column]
            how = f" (leave_out=[{quoted(others)}])" if len(others) <= MOST_LEFT_OUT else ""
            return f"Make a model of texts of that column alone{how}, or leave it out: {out}."
        if why == "ids":
            return f'{out}, or of a frame frame["{column}"].astype("category").'
        if why == "words":
            return f'gaps=["{cell}"] of a file, na_values="{cell}" where pandas reads it.'
        of_cells = why in ("gap", "slip", "date_slip")
        return f'read the file with na_values="{cell}".' if of_cells else f"{out}."

    @property
    def otherwise(self) -> str:
        """How to have it otherwise, once the model is made."""
        if not self.doubts and not self.taken and not self.others:
            return "To decide it yourself: create_model."
        return "This model keeps its columns: to have them otherwise, say so in a push to a model of another name."

    @property
    def slips(self) -> str:
        """The question whether rare classes are slips; "" where there are none."""
        return slips(self.classes, lambda name: f" ({self._place(name)})")

    def _place(self, name: str) -> str:
        """Where the first row of a class stands."""
        return f"line {self.lines[name]:,}" if self.lines else f"row {self.first[name]}, counted from 0"


def quoted(names: Sequence[str]) -> str:
    """Names in quotes, with commas between them."""
    return ", ".join(f'"{name}"' for name in names)


def _described(spec: Mapping[str, Any]) -> str:
    if spec["kind"] == "vector":
        return f"rows of {spec['size']} numbers"
    if spec["kind"] == "image":
        channels = "1 channel" if spec["channels"] == 1 else f"{spec['channels']} channels"
        shape = f"{spec['width']} x {spec['height']} pixels, {channels}"
        low, high = spec.get("scale", {"range": (0, 255)})["range"]
        return f"images of {shape}, from {low} to {high}"
    if spec["kind"] == "table":
        columns = [f"{column['name']} ({column['kind']})" for column in spec["columns"]]
        return f"a table of {listed(columns)}"
    return "texts"


def listed(names: Iterable[str], most: int = 12) -> str:
    """The first names, and how many there are beside them."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
