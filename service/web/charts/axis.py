"""Axes: round ticks, places of values, and the elements that all charts are made of."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate
from unicodedata import east_asian_width

from markupsafe import Markup, escape

STEPS = (1, 2, 2.5, 5, 10)
MOST_TICKS = 6


def ticks(low: float, high: float) -> list[float]:
    """Round values, the first at or below `low`, the last at or above `high`: at most MOST_TICKS and one."""
    span = high - low or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / (MOST_TICKS - 1)))
    step = next(s * power for s in (*STEPS, 20) if s * power * (MOST_TICKS - 1) >= span * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [k * step for k in range(first, max(last, first + 1) + 1)]


@dataclass(frozen=True)
class Axis:
    """Values from `low` at the place `start` to `high` at `end`, in units of the picture."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The place of a value; one beyond the axis lies at its end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def holds(self, value: float) -> bool:
        """Whether a value lies on the axis."""
        return self.low <= value <= self.high


def svg(
    elements: Iterable[str], width: int, height: int, title: str = "", description: str = "", kind: str = ""
) -> Markup:
    """A picture. Without a title nobody is told of it who cannot see it: it repeats another one."""
    named = f'role="img" aria-label="{escape(title)}"' if title else 'aria-hidden="true"'
    about = f"<title>{escape(title)}</title><desc>{escape(description)}</desc>" if title else ""
    of_kind = f' class="{kind}"' if kind else ""
    return Markup(f'<svg{of_kind} viewBox="0 0 {width} {height}" {named}>{about}{"".join(elements)}</svg>')


def text(kind: str, x: float, y: float, content: str, anchor: str = "start") -> str:
    """A text; whatever it says is shown as text."""
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(content)}</text>'


BROAD = frozenset("MWmw@%")
"""Latin signs that take nearly the room of two."""


def cut(name: str, longest: int) -> str:
    """As much of a name as has the room of so many small Latin letters; signs of Chinese and Japanese take that of
    two, capitals that of one and a quarter."""
    ends = list(accumulate(map(_room, name)))
    if not ends or ends[-1] <= longest:
        return name
    return name[: bisect_right(ends, longest - 1)] + "…"


def _room(sign: str) -> float:
    """The room that a sign takes, in small Latin letters."""
    if east_asian_width(sign) in "WF":
        return 2.0
    return 1.75 if sign in BROAD else 1.25 if sign.isupper() else 1.0


def length(name: str) -> int:
    """About how far a text of a chart goes, in units of the picture; one in bold letters of a broad font, too."""
    return math.ceil(sum(12 if east_asian_width(sign) in "WF" else 7.7 for sign in name))


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def dot(kind: str, x: float, y: float, radius: float = 4) -> str:
    return f'<circle class="{kind}" cx="{x}" cy="{y}" r="{radius}"/>'


def bar(kind: str, x: float, y1: float, width: float, y2: float) -> str:
    """A bar between two heights, whichever is the upper one; it can be seen where both are one."""
    top, height = min(y1, y2), max(abs(y2 - y1), 1.0)
    return f'<rect class="{kind}" x="{round(x, 1)}" y="{top}" width="{round(width, 1)}" height="{round(height, 1)}"/>'


def cross(x: float, y: float) -> str:
    return f'<path class="cross" d="M{x - 5},{y - 5}l10,10m0,-10l-10,10"/>'


def path(kind: str, shape: str, points: Iterable[tuple[float, float]]) -> str:
    """A polyline or polygon."""
    return f'<{shape} class="{kind}" points="{" ".join(f"{x},{y}" for x, y in points)}"/>'


def grid(axis: Axis, values: Iterable[float], left: float, right: float, show: Callable[[float], str]) -> list[str]:
    """Lines across the picture, with the value of each at the left."""
    return [
        piece
        for value in values
        for y in (axis.at(value),)
        for piece in (line("grid", left, y, right, y), text("tick", left - 12, y + 4, show(value), "end"))
    ]
