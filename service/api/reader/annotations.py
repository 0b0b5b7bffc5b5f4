"""What a body says of its rows, beside their inputs: the label or target of each, and its group.

What is due depends on what the model predicts: `kinds` has one file each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from service.api.reader.kinds import KINDS
from service.api.reader.kinds.kind import Kind
from service.contract.inputs import InputSpec
from service.contract.strict import Unlimited
from service.contract.tables import TableInput
from service.contract.targets import Target
from service.errors import InvalidContent
from service.intake.formats.csv_table import CsvTable
from service.intake.json_body import LABELS, TARGETS
from service.intake.kinds.brought_values import NONE_BROUGHT, BroughtValues, brought
from service.intake.kinds.labels import Labels, read_groups
from service.intake.kinds.rows import Named
from service.learning.data.matrices import Floats
from service.learning.data.row_hash import canonical_targets, content_digest, numbers_digest


class Due(BaseModel):
    """What rows of a model are due to be. `fixed`: of its targets, as their kind has it · `leave_out`: columns of CSV
    files that it does not look at."""

    model: str
    input: InputSpec
    target: Target
    fixed: dict[str, Any] | None = None
    leave_out: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        model: str,
        spec: InputSpec,
        target: Target,
        live: Callable[[], Mapping[str, Any] | None],
        leave_out: Sequence[str] = (),
    ) -> Due:
        """`live`: reads the layout of the live version, None where there is none."""
        fixed = KINDS[target.kind].fixed_of(target, live)
        return cls(model=model, input=spec, target=target, fixed=fixed, leave_out=tuple(leave_out))

    @property
    def kind(self) -> Kind[Any]:
        """How bodies give what is predicted."""
        return KINDS[self.target.kind](self.target, self.input, self.fixed)

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
    labels, targets = due.kind.read(listed, inputs)
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
