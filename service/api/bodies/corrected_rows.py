"""A batch with other labels for some of its rows, or without them, takes the place of a stored one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from service.errors import InvalidContent
from service.learning.data.near_duplicates import near, parted
from service.learning.data.row_hash import content_digest
from service.learning.data.rows import Rows, lend

Labels = Mapping[int, str | None]
"""Number of a row -> its label; None takes the row out."""


def check(rows: Rows, labels: Labels) -> None:
    """Raises InvalidContent where a row is not there or has no label, has this one already, or none would be left."""
    before = dict(zip(rows.row.tolist(), rows.label_names(), strict=True))
    for row, label in labels.items():
        if row not in before:
            missing = f"Row {row + 1} of the batch has no label, or is not there."
            raise InvalidContent.at(f"/rows/{row}", f"{missing} Rows without a label are sent anew, with one.")
        if before[row] == label:
            raise InvalidContent.at(f"/rows/{row}", f'Row {row + 1} is "{label}" already. Leave it out.')
    if sum(label is None for label in labels.values()) == len(rows):
        raise InvalidContent.at("/rows", "No row would be left. Take the batch back: POST .../retractions.")


def corrected(rows: Rows, labels: Labels, batch: str, held: Mapping[str, int]) -> Rows:
    """The rows of a new `batch`: those of the old one with other labels. Each keeps its number and its fold, which does
    not depend on the label. held: learning rows of each class in other batches, see `rows_of`."""
    kept = rows.take(np.array([labels.get(row, "") is not None for row in rows.row.tolist()], bool))
    of_rows = [labels.get(row) or name for row, name in zip(kept.row.tolist(), kept.label_names(), strict=True)]
    names = tuple(dict.fromkeys(of_rows))
    place = {name: k for k, name in enumerate(names)}
    codes = np.array([place[name] for name in of_rows], np.int64)
    lent = lend(names, codes, kept.folds, kept.hashes, held)
    alone = parted(kept.marks, kept.folds) | (near(kept.marks, kept.kin, lent) & ~lent)
    return replace(kept, names=names, labels=codes, lent=lent, parted=alone, batches=(batch,))


def digest_of(rows: Rows) -> str:
    """The digest of the content: that of the same rows and labels sent as a batch, where none is in a group and all
    have labels."""
    grouped = rows.kin % np.uint64(2) == 1
    groups: Sequence[str] | None = [f"{kin:x}" for kin in rows.kin.tolist()] if grouped.any() else None
    return content_digest(rows.inputs, rows.label_names(), groups)
