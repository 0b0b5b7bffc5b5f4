"""Batches that share most of their rows, such as a file and the same one corrected: told by the sketches of their rows
(`learning.data.batch_sketch`), which are stored with them."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Row, bindparam, delete, insert, select, union_all
from sqlalchemy.orm import Session

from service.registry.rows.arrival import Arrival
from service.registry.sql.conditions import RETRACTED
from service.registry.sql.tables import Batch, Model, RowMark
from service.remedies import RETRACT, listed

Sketch = Mapping[str, Mapping[str, Any]]

KINDS = ("rows", "even", "odd", "inputs")
"""What two rows may have in common, in the order in which it is told: all, every other column, the inputs alone."""
LOOKED_AT = 8
"""Newest batches that are looked at for each kind, of those that count: a look-up takes as long however many of these
share a mark."""
SHARE = 0.5
"""Of the rows that need not be in another batch by chance, so many are in it where that is said."""
UNLIKELY = 12.0
"""Minus the logarithm of how likely it may be by chance: 6e-6."""
USUAL = 3
"""Where so many batches share as much, rows of the model come again by their nature, and nothing is said."""


_MARKS = [f"mark_{kind}" for kind in KINDS]
_NEWEST = [
    select(RowMark.batch_id)
    .join(Batch, Batch.id == RowMark.batch_id)
    .where(RowMark.model_id == bindparam("model_id"), RowMark.mark == bindparam(mark, type_=BigInteger))
    .where(~RETRACTED, Batch.in_live | Batch.rejected_by.is_(None))
    .order_by(RowMark.batch_id.desc())
    .limit(LOOKED_AT)
    .subquery()
    for mark in _MARKS
]
_SHARING = (
    select(Batch.id, Batch.rows, Batch.sketch)
    .where(Batch.id.in_(union_all(*(select(each.c.batch_id) for each in _NEWEST))))
    .order_by(Batch.id.desc())
)
"""Made once: it takes longer to be written than to be answered."""


def add_marks(session: Session, batch: Batch) -> None:
    """Stores what a new batch is found by: of each kind the smallest hash, which batches that share a share s of all
    their rows have in common with a chance of s."""
    if marks := _marks(batch.sketch or {}):
        session.execute(insert(RowMark), [_mark_row(batch.model_id, mark, batch.id) for mark in marks])


def erase(session: Session, batch: Batch) -> None:
    """Forgets what is known of the rows of a batch."""
    marks = _marks(batch.sketch or {})
    of_batch = (RowMark.model_id == batch.model_id) & RowMark.mark.in_(marks) & (RowMark.batch_id == batch.id)
    session.execute(delete(RowMark).where(of_batch))
    batch.sketch = None


def note(session: Session, model: Model, sent: Arrival) -> list[str]:
    """Says which earlier batch, neither taken back nor rejected, has most rows of the new one, too; empty where none
    has."""
    if not sent.sketch:
        return []
    candidates = _sharing_marks(session, model, sent.sketch)
    for kind in KINDS:
        both = [(batch, shared) for batch in candidates if (shared := _shared(sent, batch, kind)) and shared.telling]
        if both and len(both) < USUAL:
            batch, most = max(both, key=lambda pair: pair[1].share)
            return [_sentence(model, sent.rows, batch.id, most, kind)]
        if both:
            return []
    return []


@dataclass(frozen=True)
class _Shared:
    """hits: of `sample` distinct rows of a batch those that another batch has · chance: that a row is there by itself,
    since rows like it recur · whole: whether the sample is all of them."""

    hits: int
    sample: int
    chance: float
    whole: bool

    @property
    def share(self) -> float:
        return self.hits / self.sample

    @property
    def telling(self) -> bool:
        """Whether more rows are shared than recur: by Chernoff's bound on a binomial tail, n KL(share || chance)."""
        p, q = self.share, self.chance
        if p - q < SHARE * (1 - q):
            return False
        divergence = p * math.log(p / q) + ((1 - p) * math.log((1 - p) / (1 - q)) if p < 1 else 0.0)
        return self.sample * divergence > UNLIKELY


def _shared(sent: Arrival, batch: Row[Any], kind: str) -> _Shared | None:
    """None where one of them has no such rows.

    A row of the same origin is in a batch by chance as often as one of its own rows has a twin there. Of few rows that
    is known badly, so both batches say how often it is: a batch of ten rows that happen to be ten of a dozen that there
    are has no twins, and nearly all rows of each later one."""
    new, old = (sent.sketch or {}).get(kind), (batch.sketch or {}).get(kind)
    if not new or not old or not batch.rows:
        return None
    marks, others = _values(new), _values(old)
    cut = [each[-1] for each, sketch in ((marks, new), (others, old)) if 0 < len(each) < sketch["distinct"]]
    below = {mark for mark in marks if mark <= min(cut, default=math.inf)}
    if not below:
        return None
    chance = max((of["twins"] + 1) / (rows + 2) for of, rows in ((old, batch.rows), (new, sent.rows)))
    return _Shared(len(below & set(others)), len(below), chance, not cut)


def _sentence(model: Model, rows: int, batch: str, shared: _Shared, kind: str) -> str:
    if shared.hits == shared.sample:
        many = f"{'All' if shared.whole else 'Nearly all'} {rows:,} rows"
    elif shared.whole and shared.sample == rows:
        many = f"{shared.hits:,} of {rows:,} rows"
    else:
        many = f"About {round(100 * shared.share)} % of {rows:,} rows"
    are = {
        "rows": f"are in batch {batch}, too: they count twice.",
        "inputs": f"have inputs of batch {batch}, and other labels or targets: both count.",
    }.get(kind, f"are in batch {batch}, too, but for some columns: they count twice.")
    way = RETRACT(model=model.name, batches=listed([batch]))
    return f"{many} {are} If this is that file, corrected, take {batch} back ({way})."


def _sharing_marks(session: Session, model: Model, sketch: Sketch) -> Sequence[Row[Any]]:
    """Batches that count and share a mark with the sketch, newest first: id, rows and sketch of each."""
    wanted = dict(zip(_MARKS, _marks(sketch), strict=False))
    return session.execute(_SHARING, {"model_id": model.id, **dict.fromkeys(_MARKS), **wanted}).all()


def _marks(sketch: Sketch) -> list[int]:
    """The smallest hash of each kind, told from those of other kinds by the bits above it."""
    smallest = ((k, _values(sketch[kind])[:1]) for k, kind in enumerate(KINDS) if kind in sketch)
    return [(k << 32) + value for k, values in smallest for value in values]


def _mark_row(model_id: int, mark: int, batch_id: str) -> dict[str, Any]:
    return {"model_id": model_id, "mark": mark, "batch_id": batch_id}


def _values(of_kind: Mapping[str, Any]) -> tuple[int, ...]:
    packed = base64.b64decode(of_kind["marks"])
    return struct.unpack(f"<{len(packed) // 4}I", packed)
