"""Rule 13, whatever targets are: do columns of the batch hold what they held in the rows before it?

Wrong inputs with right labels contradict little: a head learns them beside the old rows, and forgets those bit by bit.
So the columns themselves are asked, and only for slips that can be named. It holds and never rejects, since the world
may have changed in that way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.contract.enums import Severity
from service.contract.figures import amount
from service.learning.gate.gate import Figure, Finding
from service.learning.wording import listed, rows

NAMED = 3
"""Columns that a sentence names; the rest are counted."""


@dataclass(frozen=True)
class ColumnSlips:
    """What is wrong with columns of a batch, each by its name.

    `factors`: how many times too large they look · `mixed`: the column whose values they look like · `filled`: the one
    value that they hold, None: they are missing · `batch`: the one of several that is wrong, "" for all · `units`:
    degrees that they look like, and those that they were: "°F to °C".
    """

    rows: int
    factors: Mapping[str, float]
    mixed: Mapping[str, str]
    filled: Mapping[str, float | None]
    batch: str = ""
    units: Mapping[str, str] = field(default_factory=dict)

    @property
    def found(self) -> bool:
        """Whether anything is wrong."""
        return bool(self.factors or self.mixed or self.filled or self.units)


def wrong_columns(slips: ColumnSlips | None, live: int | None) -> Finding:
    """Rule 13: columns look mixed up, in another unit, or filled with one value."""
    if slips is None:
        return Finding("Too few rows, or no columns of numbers, to compare with those before.", evidence=False)
    found = [sentence for sentence in (_mixed(slips), _factors(slips), _units(slips), _filled(slips)) if sentence]
    if not found:
        return Finding("No column looks mixed up, in another unit or filled with one value.", 0.0, 0.0)
    of_batch = f" of batch {slips.batch}" if slips.batch else ""
    what = f"{' '.join(found)} So it is in {rows(slips.rows)}{of_batch}, beside those that version {live} learned."
    remedy = "Send the rows again as they were before. If they are right, promote this version: then they are usual."
    wrong = float(len({*slips.mixed, *slips.factors, *slips.units, *slips.filled}))
    return Finding(what, wrong, 0.0, Severity.HELD, remedy, figures=_figures(slips))


def _figures(slips: ColumnSlips) -> dict[str, Figure]:
    """Names of columns, each list beside another in the same order: the column whose values each holds, how many times
    too large it is, the degrees that it looks like and those that it held, the value that it holds in every row ("":
    missing)."""
    pairs = {
        ("mixed", "held"): slips.mixed,
        ("scaled", "times"): {name: f"{times:g}" for name, times in slips.factors.items()},
        ("converted", "units"): slips.units,
        ("filled", "values"): {name: "" if value is None else amount(value) for name, value in slips.filled.items()},
    }
    figures: dict[str, Figure] = {"rows": slips.rows}
    if slips.batch:
        figures["batch"] = slips.batch
    for (columns, beside), found in pairs.items():
        figures |= {columns: [*found], beside: [*found.values()]} if found else {}
    return figures


def _names(names: list[str]) -> str:
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    return listed([*(f'"{name}"' for name in names[:NAMED]), *more])


def _mixed(slips: ColumnSlips) -> str:
    if not slips.mixed:
        return ""
    column, holds = next(iter(slips.mixed.items()))
    if len(slips.mixed) == 2:
        return f'Columns "{column}" and "{holds}" look swapped.'
    return f'{len(slips.mixed)} columns look mixed up: "{column}" holds what "{holds}" held.'


def _factors(slips: ColumnSlips) -> str:
    parts = []
    for factor in dict.fromkeys(slips.factors.values()):
        names = [name for name, times in slips.factors.items() if times == factor]
        size = f"{amount(factor)} times too large" if factor > 1 else f"{amount(1 / factor)} times too small"
        parts.append(
            f"{'Columns' if len(names) > 1 else 'Column'} {_names(names)} look{'s' * (len(names) == 1)} {size}."
        )
    return " ".join(parts)


def _units(slips: ColumnSlips) -> str:
    parts = []
    for unit in dict.fromkeys(slips.units.values()):
        names = [name for name, of in slips.units.items() if of == unit]
        sent, _, meant = unit.partition(" to ")
        column = "Columns" if len(names) > 1 else "Column"
        parts.append(f"{column} {_names(names)} look{'s' * (len(names) == 1)} like {sent} in place of {meant}.")
    return " ".join(parts)


def _filled(slips: ColumnSlips) -> str:
    parts = []
    for value in dict.fromkeys(slips.filled.values()):
        names = [name for name, filled in slips.filled.items() if filled == value]
        one = len(names) == 1
        says = f"{'is' if one else 'are'} missing" if value is None else f"{'is' if one else 'are'} {amount(value)}"
        parts.append(f"{'Column' if one else 'Columns'} {_names(names)} {says} in every row.")
    return " ".join(parts)
