"""What a version changed, group by group: a line from before to after, over the interval of after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from service.web.charts.axis import Axis, dot, line, svg, text, ticks
from service.web.estimates import Estimate


@dataclass(frozen=True)
class Change:
    """A class, or a range of values. `note`: what stands beside it; `better`: None where nothing changed, or nothing
    was there before."""

    name: str
    before: float | None
    after: Estimate
    note: str
    better: bool | None


@dataclass(frozen=True)
class _Frame:
    width: int
    left: int
    right: int
    longest: int


WIDE, NARROW = _Frame(720, 150, 560, 22), _Frame(360, 132, 238, 17)
ROW, TOP = 24, 6
MOST = 30
"""Groups that are drawn; the table has all."""


def changes(of: Sequence[Change], show: Callable[[float], str], ends: tuple[float, float], title: str) -> Markup:
    """The wide picture and the narrow one. show: a value as text, on the axis, too · ends: of the axis; values beyond
    them stretch it."""
    return _picture(of[:MOST], show, ends, WIDE, title) + _picture(of[:MOST], show, ends, NARROW, "")


def _picture(
    of: Sequence[Change], show: Callable[[float], str], ends: tuple[float, float], frame: _Frame, title: str
) -> Markup:
    values = [value for c in of for value in (c.before, c.after.value, c.after.low, c.after.high) if value is not None]
    marks = ticks(min(ends[0], *values), max(ends[1], *values))
    along = Axis(marks[0], marks[-1], frame.left, frame.right)
    bottom = TOP + ROW * len(of)
    elements = []
    for place, mark in enumerate(marks):
        elements.append(line("grid", along.at(mark), TOP, along.at(mark), bottom))
        if frame is WIDE or place in (0, len(marks) - 1):
            elements.append(text("tick", along.at(mark), bottom + 18, show(mark), "middle"))
    for place, change in enumerate(of):
        elements += _row(change, TOP + ROW * place + ROW / 2, along, frame)
    description = " ".join(f"{c.name}: {show(c.after.value)}, {c.note}." for c in of)
    return svg(elements, frame.width, bottom + 28, title, description, kind="" if title else "small")


def _row(change: Change, y: float, along: Axis, frame: _Frame) -> list[str]:
    after = change.after
    name = change.name if len(change.name) <= frame.longest else change.name[: frame.longest - 1] + "…"
    row = [text("cls", frame.left - 14, y + 4, name, "end")]
    if after.low is not None and after.high is not None:
        row.append(line("iv", along.at(after.low), y, along.at(after.high), y))
    if change.before is not None:
        direction = {True: "db up", False: "db down", None: "db"}[change.better]
        row.append(line(direction, along.at(change.before), y, along.at(after.value), y))
        row.append(dot("hollow n", along.at(change.before), y))
    return [*row, dot("dot n", along.at(after.value), y, 4.5), text("tick", frame.right + 14, y + 4, change.note)]
