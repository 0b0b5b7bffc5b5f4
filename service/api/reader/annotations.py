"""What a body says of its rows, beside their inputs: the label or target of each, and its group.

What is due depends on what the model predicts; this is the one place of the interface that tells the kinds apart while
rows are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from service.contract.inputs import InputSpec
from service.contract.names import clean_class_name
from service.contract.strict import Unlimited
from service.contract.tables import TableInput
from service.contract.targets import Target
from service.contract.targets.class_target import ClassTarget
from service.contract.targets.number_target import LARGEST_TARGET, ColumnYardstick, NumberTarget
from service.errors import InvalidContent
from service.intake.formats.csv_table import CsvTable
from service.intake.json_body import LABELS, ROWS, TARGETS, pointer_to
from service.intake.kinds.brought_values import NONE_BROUGHT, BroughtValues, brought
from service.intake.kinds.labels import Labels, read_groups, read_labels
from service.intake.kinds.rows import Named
from service.intake.kinds.targets import pointer_of, read_targets
from service.learning.data.matrices import Floats
from service.learning.data.row_hash import canonical_targets, content_digest, numbers_digest
from service.learning.data.rows import NAMELESS
from service.learning.data.target_grid import NumberGrid


class Due(BaseModel):
    """What rows of a model are due to be. `grid`: of its targets, where that is fixed already · `leave_out`: columns of
    CSV files that it does not look at."""

    model: str
    input: InputSpec
    target: Target
    grid: NumberGrid | None = None
    leave_out: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        model: str,
        spec: InputSpec,
        target: Target,
        layout: Mapping[str, Any] | None,
        leave_out: Sequence[str] = (),
    ) -> Due:
        """`layout`: of the live version, where there is one."""
        grid = None
        if isinstance(target, NumberTarget):
            if layout is not None and layout.get("numbers") is not None:
                grid = NumberGrid.model_validate(layout["numbers"])
            elif not target.fits_grid:
                grid = NumberGrid.fitted(target, np.zeros((0, target.size)))
        return cls(model=model, input=spec, target=target, grid=grid, leave_out=tuple(leave_out))

    @property
    def word(self) -> str:
        """The member that holds what is predicted."""
        return self.target.member


DUE: Unlimited[Due] = Unlimited(Due)
"""Reads what crossed between processes: what it says of the model was stored."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """Of n rows, as `Rows` have them: labels, None where one is not known, and targets [n, k], where labels are
    nameless; groups, None for a row in none. `values`: of open categories, where rows are of a table."""

    labels: Sequence[str | None]
    targets: Floats
    groups: Sequence[str | None] | None = None
    values: BroughtValues = NONE_BROUGHT

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Rows that have a label or target. -> [n]"""
        return np.array([label is not None for label in self.labels], bool)

    def names(self) -> list[str]:
        """The label of each row that has one; of each that has a target the nameless one."""
        return [label for label in self.labels if label is not None]

    def summary(self) -> Labels:
        """Which labels there are, and how many rows have one, or a target."""
        return Labels.of(self.labels)

    def digest(self, inputs: NDArray[Any]) -> str:
        """The digest of the content of a batch."""
        if self.targets.shape[1]:
            return numbers_digest(inputs, self.targets, self.groups)
        return content_digest(inputs, self.labels, self.groups)

    def target_summary(self) -> list[dict[str, float]] | None:
        """Of each number of a row: rows, mean, std, min, max. None where classes are predicted or none is known."""
        known = self.targets[self.labelled]
        if not known.size:
            return None
        figures = {"mean": known.mean(0), "std": known.std(0), "min": known.min(0), "max": known.max(0)}
        return [
            {"rows": len(known), **{name: float(figure[k]) for name, figure in figures.items()}}
            for k in range(known.shape[1])
        ]


def read_annotations(
    values: Mapping[str, msgspec.Raw | Any], groups: Sequence[Any] | str | None, named: Named, due: Due
) -> Annotations:
    """`values`: labels or targets of these rows, by the member. Raises InvalidContent with the pointer of the first
    fault."""
    listed, inputs = values[due.word], named.rows
    if isinstance(due.target, ClassTarget):
        labels, targets = read_labels(listed, len(inputs), clean_class_name), np.zeros((len(inputs), 0))
    else:
        targets = read_targets(listed, len(inputs), due.target)
        if isinstance(due.input, TableInput):
            _check_columns(targets, inputs, due.input, due.target)
        if due.grid is not None:
            check_grid(targets, inputs, due.grid)
        labels = [None if lacks else NAMELESS[0] for lacks in np.isnan(targets[:, 0])]
    annotations = Annotations(labels, canonical_targets(targets), read_groups(groups, len(inputs)))
    if isinstance(due.input, TableInput):
        return replace(annotations, values=brought(named, due.input, annotations.labelled))
    return annotations


def annotate_csv(table: CsvTable, due: Due) -> Annotations:
    """The same of a CSV file. Raises InvalidContent with pointer, line and column."""
    values = {LABELS: table.labels, TARGETS: table.targets}
    try:
        return read_annotations(values, table.groups, table.named, due)
    except InvalidContent as fault:
        raise table.places.located(fault) from None


def _check_columns(targets: Floats, inputs: NDArray[Any], spec: TableInput, target: NumberTarget) -> None:
    """Raises InvalidContent for the first row with a target that lacks the number which is added back, or which it is
    measured by."""
    yardstick = target.yardstick.column if isinstance(target.yardstick, ColumnYardstick) else None
    for place, use in ((target.from_, "is added back (from)"), (yardstick, "is the yardstick")):
        if place is not None and len(rows := np.flatnonzero(np.isnan(inputs[:, place]) & ~np.isnan(targets[:, 0]))):
            name = spec.columns[place].name
            raise InvalidContent.at(
                f"/{ROWS}/{rows[0]}{pointer_to([name])}",
                f"Row {rows[0] + 1} has no {name}, which {use}. Send it, or leave the row out.",
            )


def check_grid(targets: Floats, inputs: NDArray[Any], grid: NumberGrid) -> None:
    """Raises InvalidContent for the first target beyond the grid, with the least and the largest that fit there."""
    known = np.flatnonzero(~np.isnan(targets[:, 0]))
    fits = grid.fits(grid.goals(targets[known], inputs[known]))
    if fits.all():
        return
    place = np.argwhere(~fits)[0]
    row, column = known[place[0]], place[1]
    with np.errstate(over="ignore"):
        low, high = (float(grid.targets(end[None], inputs[[row]])[0, column]) for end in grid.ends)
    low, high = max(low, -LARGEST_TARGET), min(high, LARGEST_TARGET)
    sentence = (
        f"This target is beyond the grid on which targets are summed: here {low:.6g} to {high:.6g} fits. Leave the row "
        "out if it is wrong; if such targets are right, make a new model whose `range` holds them."
    )
    raise InvalidContent.at(pointer_of(np.array([row, column]), targets.shape[1]), sentence)
