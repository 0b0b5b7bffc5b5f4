"""What is said of the classes of a file: how many rows each has, and which may be slips of the pen."""

from __future__ import annotations

from collections.abc import Callable, Mapping

SHOWN = 10
"""Classes that are listed with their rows."""
SHOWN_SLIPS = 5


def counted_classes(rows: Mapping[str, int]) -> str:
    """Classes with their rows, the first ones of them."""
    counted = ", ".join(f"{name} ({count:,})" for name, count in list(rows.items())[:SHOWN])
    return counted + _more(len(rows) - SHOWN)


def rare_classes(rows: Mapping[str, int]) -> list[str]:
    """Classes of one row each, which may be slips; none where all are."""
    rare = [name for name, count in rows.items() if count == 1]
    return rare if len(rare) < len(rows) else []


def slips(rows: Mapping[str, int], where: Callable[[str], str] = lambda name: "") -> str:
    """The question whether rare classes are slips; "" where there are none. where: what stands behind a name."""
    rare = rare_classes(rows)
    named = ", ".join(f'"{name}"{where(name)}' for name in rare[:SHOWN_SLIPS]) + _more(len(rare) - SHOWN_SLIPS)
    if len(rare) == 1:
        return f"{named} is in one row alone: is it a slip?"
    return f"{named} are in one row each: are they slips?" if rare else ""


def _more(left: int) -> str:
    return f" and {left:,} more" if left > 0 else ""
