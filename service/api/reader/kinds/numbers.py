"""Bodies of models of numbers: a number a row, or several, within the grid on which they are summed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.api.reader.kinds.kind import Kind, Rights
from service.contract.figures import row_number
from service.contract.tables import TableInput
from service.contract.targets.number_target import LARGEST_TARGET, ColumnYardstick, NumberTarget
from service.errors import InvalidContent
from service.intake.json_body import ROWS, pointer_to
from service.intake.kinds.targets import pointer_of, read_targets
from service.learning.data.matrices import Array, Floats
from service.learning.data.rows import NAMELESS, Rows
from service.learning.data.target_grid import NumberGrid


class NumberKind(Kind[NumberTarget]):
    """fixed: the grid, where it is not fitted to a first batch that has not come."""

    @staticmethod
    def fixed_of(target: NumberTarget, live: Callable[[], Mapping[str, Any] | None]) -> Mapping[str, Any] | None:
        layout = live()
        if layout is not None and layout.get("numbers") is not None:
            return {**layout["numbers"]}
        if target.fits_grid:
            return None
        return NumberGrid.fitted(target, np.zeros((0, target.size))).model_dump(mode="json")

    @cached_property
    def grid(self) -> NumberGrid | None:
        return None if self.fixed is None else NumberGrid.model_validate(self.fixed)

    def read(self, listed: Any, inputs: Array) -> tuple[Sequence[str | None], Floats]:
        targets = read_targets(listed, len(inputs), self.target)
        if isinstance(self.spec, TableInput):
            _check_columns(targets, inputs, self.spec, self.target)
        if self.grid is not None:
            _check_grid(targets, inputs, self.grid)
        return [None if lacks else NAMELESS[0] for lacks in np.isnan(targets[:, 0])], targets

    def read_rights(self, values: Mapping[str, Any]) -> Rights:
        numbers = [int(row) for row in values]
        with _at_rows(numbers):
            targets = read_targets([*values.values()], len(numbers), self.target)
        known = zip(numbers, targets, strict=True)
        return {row: None if np.isnan(of[0]) else (NAMELESS[0], tuple(of.tolist())) for row, of in known}

    def check_rights(self, rows: Rows, rights: Rights) -> None:
        """Raises InvalidContent for a target beyond the grid."""
        targets = {row: right[1] for row, right in rights.items() if right is not None}
        if targets and self.grid is not None:
            place = {row: k for k, row in enumerate(rows.row.tolist())}
            with _at_rows([*targets]):
                inputs = rows.inputs[[place[row] for row in targets]]
                _check_grid(np.array([*targets.values()]), inputs, self.grid)


@contextmanager
def _at_rows(numbers: Sequence[int]) -> Iterator[None]:
    """Refusals of a target name the row of that place among these numbers."""
    try:
        yield
    except InvalidContent as fault:
        [(pointer, sentence)] = fault.errors
        place, *column = pointer.split("/")[2:]
        row = numbers[int(place)]
        sentence = re.sub(r"^Target \d+", f"Target {row}", sentence)
        raise InvalidContent.at("/".join(["/rows", str(row), *column]), sentence) from None


def _check_columns(targets: Floats, inputs: NDArray[Any], spec: TableInput, target: NumberTarget) -> None:
    """Raises InvalidContent for the first row with a target that lacks the number which is added back, or which it is
    measured by."""
    yardstick = target.yardstick.column if isinstance(target.yardstick, ColumnYardstick) else None
    for place, use in ((target.from_, "is added back (from)"), (yardstick, "is the yardstick")):
        if place is not None and len(rows := np.flatnonzero(np.isnan(inputs[:, place]) & ~np.isnan(targets[:, 0]))):
            name = spec.columns[place].name
            raise InvalidContent.at(
                f"/{ROWS}/{rows[0]}{pointer_to([name])}",
                f"Row {row_number(rows[0])} has no {name}, which {use}. Send it, or leave the row out.",
            )


def _check_grid(targets: Floats, inputs: NDArray[Any], grid: NumberGrid) -> None:
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
