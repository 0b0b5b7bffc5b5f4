"""Notes on rows that the scale of a model fits badly: what is seen of them, and how a new model sees more.

Columns of a table are named, those of a vector numbered by place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from service.contract.tables import NumberColumn
from service.learning.data.rows import Array, Bools, Floats
from service.learning.network import input_scale, table_scale
from service.learning.network.input_scale import CLIP, AnyScale, InputScale
from service.learning.network.table_scale import TableScale
from service.learning.wording import listed, rows

LEAST_ROWS, NAMED = 20, 7
"""Fewest rows for which a column's spread says something; most columns that a note names."""
BEYOND, OFTENER = 0.01, 2
"""The share of rows, or of values of a column, beyond the scale that is worth a note; how many times that of earlier
ones it has to be."""
SEEN_STEPS = 16
"""A column that varies by fewer steps of the grid is hardly seen."""
GRID = CLIP / 2**15
"""A step of the grid of scaled numbers."""
MISTAKE = "If that is a mistake, such as another unit or columns mixed up, send the rows again."


def scale_notes(
    scale: AnyScale, inputs: Array, fitted: bool, differences: bool = False, known: Array | None = None
) -> list[str]:
    """Notes on the rows of an update, each with its remedy. fitted: the scale was fitted to these rows · differences:
    targets are numbers, which may be learned as the difference to a column · known: rows that show how many values
    are beyond the scale as a rule. [n, ...]

    Fewer than 20 rows have no note on a column: what they show may be chance.
    """
    columns = _columns(scale, inputs, known)
    of_columns = columns and _columns_beyond(columns, differences)
    beyond = rows_beyond(scale, inputs, known) if isinstance(scale, InputScale) else of_columns
    still = columns and fitted and _still(columns)
    numbering = columns and _numbering(columns)
    return [note for note in (still, beyond, numbering, columns and _narrow(columns)) if note]


@dataclass(frozen=True, eq=False)
class _Columns:
    """Columns of numbers, without what is missing. names, and of each [columns]: count of values, their spread, whether
    that is more than rounding, the farthest from their mean, how many are at the clip, and which share of earlier ones,
    the std of the scale, and whether they are whole numbers, each above that of the row before."""

    names: Sequence[str]
    count: NDArray[np.intp]
    spread: Floats
    varies: Bools
    farthest: Floats
    clipped: NDArray[np.intp]
    usual: Floats
    unit: Floats
    rising: Bools

    @property
    def beyond(self) -> Bools:
        share = np.maximum(BEYOND, OFTENER * self.usual)
        return np.asarray((self.clipped > 1) & (self.clipped > share * self.count))

    @property
    def far_off(self) -> str:
        """As the function of that name says it."""
        named, have = self.naming(self.beyond), "have" if self.beyond.sum() > 1 else "has"
        return f"{named} {have} values far outside the range of this model" if named else ""

    def naming(self, which: Bools) -> str:
        """The first seven of those columns, and how many more; "" for none."""
        places = np.flatnonzero(which)
        more = [f"{len(places) - NAMED} more"] if len(places) > NAMED else []
        named = listed([*(self.names[k] for k in places[:NAMED]), *more]) if len(places) else ""
        return f"Column{'s' if len(places) > 1 else ''} {named}" if named else ""


def _columns(scale: AnyScale, inputs: Array, known: Array | None = None) -> _Columns | None:
    """known: rows whose share beyond the scale is the usual one. None for texts, images and few rows."""
    if inputs.dtype == object or len(inputs) < LEAST_ROWS or inputs.ndim != 2:
        return None
    places, rounding = [*range(inputs.shape[1])], input_scale.ROUNDING
    names: Sequence[str] = [str(place + 1) for place in places]
    if isinstance(scale, TableScale):
        numbers = [(k, column) for k, column in enumerate(scale.spec.columns) if isinstance(column, NumberColumn)]
        places, names = [k for k, _ in numbers], [f'"{column.name}"' for _, column in numbers]
        rounding = table_scale.ROUNDING
    centre, unit = (t.double().expand(len(names)).numpy() for t in (scale.mean, scale.std))

    def clipped(x: Floats) -> NDArray[np.intp]:
        return np.asarray((np.abs(x - centre) / unit >= CLIP).sum(0))  # what is missing is NaN, and never is

    x = inputs[:, places].astype(np.float64)
    before = x[:0] if known is None else known[:, places].astype(np.float64)
    present = ~np.isnan(x)
    count = present.sum(0)
    mean = np.where(present, x, 0).sum(0) / np.maximum(count, 1)
    apart = np.where(present, x - mean, 0)
    spread = np.sqrt((apart**2).sum(0) / np.maximum(count, 1))
    usual = clipped(before) / np.maximum((~np.isnan(before)).sum(0), 1)
    rising = (np.diff(x, axis=0) > 0).all(0) & (x == np.rint(x)).all(0)
    varies, farthest = spread > rounding * np.abs(mean), np.abs(apart).max(0)
    return _Columns(names, count, spread, varies, farthest, clipped(x), usual, unit, rising)


def _still(columns: _Columns) -> str | None:
    still = ~columns.varies | (columns.count < 2)
    if not (named := columns.naming(still)):
        return None
    say, its = ("say", "how far they may vary is") if still.sum() > 1 else ("says", "how far it may vary is")
    return (
        f"{named} {say} the same in every row of this first batch, or nothing: {its} a guess. If such a column will "
        "change, as a date does, make a new model that declares `scale`."
    )


def far_off(scale: AnyScale, inputs: Array) -> tuple[str, str]:
    """A sentence without its end that names the columns whose values are cut, and one on those of them that may only
    number rows; "" for none, texts, images, few rows."""
    columns = _columns(scale, inputs)
    return ("", "") if columns is None else (columns.far_off, _numbering(columns) or "")


def _columns_beyond(columns: _Columns, differences: bool) -> str | None:
    if not columns.far_off:
        return None
    grows = ", or a target with `from` where a level grows" if differences else ""
    return (
        f"{columns.far_off}, which count as its ends. {MISTAKE} If not, make a new model with a wider `scale`{grows}."
    )


def _numbering(columns: _Columns) -> str | None:
    """On columns beyond the scale that rise as numbers of rows do: no scale is wide enough for long."""
    rising = columns.beyond & columns.rising
    if not (named := columns.naming(rising)):
        return None
    many = rising.sum() > 1
    rise, they, them = ("rise", "they only number", "them") if many else ("rises", "it only numbers", "it")
    return f"{named} {rise} from row to row. If {they} rows, leave {them} out of a new model."


def rows_beyond(scale: InputScale, inputs: Array, known: Array | None = None) -> str | None:
    """A note with the remedy where more than one row in a hundred has a value that is cut, and more than twice as many
    as of known rows: a pixel that is seldom on is cut in each batch. None where they fit."""
    if not len(inputs) or inputs.dtype == object:
        return None
    usual = _beyond(scale, known) / len(known) if known is not None and len(known) else 0.0
    if (beyond := _beyond(scale, inputs)) <= max(BEYOND, OFTENER * usual) * len(inputs):
        return None
    have = "has" if beyond == 1 else "have"
    return (
        f"{beyond:,} of {rows(len(inputs))} {have} a value far outside the range of this model, which counts as its "
        f"end. {MISTAKE} If not, make a new model with a wider `scale`."
    )


def _beyond(scale: InputScale, inputs: Array) -> int:
    """How many rows have a value that is cut."""
    with torch.no_grad():
        scaled = scale(torch.from_numpy(np.ascontiguousarray(inputs))).abs().flatten(1).amax(1)
    return int((scaled >= CLIP).sum())


def _narrow(columns: _Columns) -> str | None:
    """On columns that vary by less than 16 steps of the grid of scaled numbers, with no value that stands out."""
    unit = SEEN_STEPS * GRID * columns.unit
    narrow = (columns.count >= LEAST_ROWS) & columns.varies & (columns.spread < unit) & (columns.farthest < 8 * unit)
    if not (named := columns.naming(narrow)):
        return None
    vary, them = ("vary", "them") if narrow.sum() > 1 else ("varies", "it")
    return (
        f"{named} {vary} so little, for the range of this model, that hardly anything is learned from {them}. "
        f"{MISTAKE} If not, make a new model, whose range is that of its first rows or is declared (`scale`)."
    )
