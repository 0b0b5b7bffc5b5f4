"""A batch with other labels or targets for some of its rows, or without them, takes the place of a stored one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from service.api.reader.annotations import Annotations, Due
from service.api.reader.kinds.kind import Right, Rights
from service.contract.figures import row_number
from service.contract.inputs import InputSpec
from service.contract.tables import TableInput, value_code
from service.errors import InvalidContent
from service.intake.kinds.brought_values import brought
from service.intake.kinds.rows import Named
from service.learning.data.learned_values import ValueCounts
from service.learning.data.near_duplicates import near, parted
from service.learning.data.rows import Rows, lend
from service.remedies import RETRACT, listed


def check(rows: Rows, rights: Rights, due: Due, batch: str) -> None:
    """Raises InvalidContent where a row is not there or has no label or target, has this one already, or none would be
    left; and for a target beyond the grid."""
    before, noun = dict(zip(rows.row.tolist(), _said(rows), strict=True)), due.target.noun
    for row, right in rights.items():
        if row not in before:
            missing = f"Row {row_number(row)} of the batch has no {noun}, or is not there."
            raise InvalidContent.at(f"/rows/{row}", f"{missing} Rows without a {noun} are sent anew, with one.")
        if right is not None and right == before[row]:
            says = ", ".join(map(str, right[1])) or f'"{right[0]}"'
            raise InvalidContent.at(f"/rows/{row}", f"Row {row_number(row)} is {says} already. Leave it out.")
    if sum(right is None for right in rights.values()) == len(rows):
        way = RETRACT(model=due.model, batches=listed([batch]))
        raise InvalidContent.at("/rows", f"No row would be left. Take the batch back: {way}.")
    due.kind.check_rights(rows, rights)


def corrected(rows: Rows, rights: Rights, batch: str, held: Mapping[str, int]) -> Rows:
    """The rows of a new `batch`: those of the old one with other labels or targets. Each keeps its number and its fold,
    which does not depend on either. held: learning rows of each class in other batches, see `rows_of`."""
    kept = rows.take(np.array([rights.get(row, ()) is not None for row in rows.row.tolist()], bool))
    of_rows = [rights.get(row) or own for row, own in zip(kept.row.tolist(), _said(kept), strict=True)]
    labels = [label for label, _ in of_rows]
    names = tuple(dict.fromkeys(labels))
    place = {name: k for k, name in enumerate(names)}
    codes = np.array([place[name] for name in labels], np.int64)
    lent = lend(names, codes, kept.folds, kept.hashes, held)
    alone = parted(kept.marks, kept.folds) | (near(kept.marks, kept.kin, lent) & ~lent)
    targets = np.array([numbers for _, numbers in of_rows], np.float64) + 0.0
    return replace(kept, names=names, labels=codes, lent=lent, parted=alone, batches=(batch,), targets=targets)


def values_of(rows: Rows, before: ValueCounts | None, spec: InputSpec) -> dict[str, dict[str, int]] | None:
    """Rows of each value of a category, and what rows lack, as of a batch that came as these rows. before: of the batch
    in whose place they are, which has the names of their values; None: of no table."""
    if before is None or not isinstance(spec, TableInput):
        return None
    names = {k: {value_code(name): name for name in before.get(c.name, ())} for k, c in spec.growing.items()}
    return brought(Named(rows.inputs, names), spec, np.ones(len(rows), bool)).counts()


def _said(rows: Rows) -> list[Right]:
    return [*zip(rows.label_names(), map(tuple, rows.targets.tolist()), strict=True)]


def annotations_of(rows: Rows) -> Annotations:
    """What the rows say, as a body would: their digest is that of the same rows sent as a batch, where none is in a
    group and all have labels or targets."""
    grouped = rows.kin % np.uint64(2) == 1
    groups = [f"{kin:x}" for kin in rows.kin.tolist()] if grouped.any() else None
    return Annotations(rows.label_names(), rows.targets, groups)
