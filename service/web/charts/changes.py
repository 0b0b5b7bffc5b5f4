"""What a version changed, group by group: a line from before to after, over the intervals of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from service.web.charts.axis import Axis, cut, dot, line, svg, text, ticks
from service.web.reports.estimates import Estimate, Pair

Drawn = tuple[Pair, Estimate, str]
"""A class or range, how good the second version is, and what stands beside it."""


@dataclass(frozen=True)
class _Frame:
    width: int
    left: int
    right: int
    longest: int


WIDE, NARROW = _Frame(720, 150, 560, 19), _Frame(360, 132, 238, 16)
ROW, TOP, BELOW = 24, 6, 7
"""Height of a row, what is above the first, and how far below its middle the interval of before lies."""
APART = " · "
"""Between what a note says and the rows that it rests on."""
MOST = 30
"""Groups that are drawn."""


def changes(
    of: Sequence[tuple[Pair, str]], show: Callable[[float], str], ends: tuple[float, float], title: str
) -> Markup | None:
    """The wide picture and the narrow one, None where the second version was judged by nothing. of: with what stands
    beside each · show: a value as text, on the axis, too · ends: of the axis; values beyond them stretch it."""
    drawn = [(pair, pair.second, note) for pair, note in of if pair.second is not None][:MOST]
    return _picture(drawn, show, ends, WIDE, title) + _picture(drawn, show, ends, NARROW, "") if drawn else None


def _picture(
    of: Sequence[Drawn], show: Callable[[float], str], ends: tuple[float, float], frame: _Frame, title: str
) -> Markup:
    estimates = [of for pair, after, _ in of for of in (pair.first, after) if of is not None]
    values = [end for of in estimates for end in (of.value, of.low, of.high) if end is not None]
    marks = ticks(min(ends[0], *values), max(ends[1], *values))
    along = Axis(marks[0], marks[-1], frame.left, frame.right)
    bottom = TOP + ROW * len(of)
    elements = []
    for place, mark in enumerate(marks):
        elements.append(line("grid", along.at(mark), TOP, along.at(mark), bottom))
        if frame is WIDE or place in (0, len(marks) - 1):
            elements.append(text("tick", along.at(mark), bottom + 18, show(mark), "middle"))
    for place, drawn in enumerate(of):
        elements += _row(*drawn, TOP + ROW * place + ROW / 2, along, frame)
    description = " ".join(f"{pair.name}: {show(after.value)}, {note}." for pair, after, note in of)
    return svg(elements, frame.width, bottom + 28, title, description, kind="" if title else "small")


def _row(pair: Pair, after: Estimate, note: str, y: float, along: Axis, frame: _Frame) -> list[str]:
    row = [text("cls", frame.left - 14, y + 4, cut(pair.name, frame.longest), "end")]
    if after.low is not None and after.high is not None:
        row.append(line("iv", along.at(after.low), y, along.at(after.high), y))
    if pair.first is not None:
        if pair.first.low is not None and pair.first.high is not None:
            row.append(line("iv was", along.at(pair.first.low), y + BELOW, along.at(pair.first.high), y + BELOW))
        direction = {True: "db up", False: "db down", None: "db"}[pair.better]
        row.append(line(direction, along.at(pair.first.value), y, along.at(after.value), y))
        row.append(dot("hollow n", along.at(pair.first.value), y))
    if frame is NARROW:  # the table has the rest
        note = cut(note.partition(APART)[0], frame.longest)
    return [*row, dot("dot n", along.at(after.value), y, 4.5), text("tick", frame.right + 14, y + 4, note)]
