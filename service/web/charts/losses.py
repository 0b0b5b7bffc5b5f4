"""How far the losses of a training have fallen, epoch by epoch: a line, and one of the rows that are kept back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from service.contract.resources import EpochLosses
from service.web.charts.axis import Axis, dot, grid, path, svg, text, ticks
from service.web.words import Words, plain


@dataclass(frozen=True)
class _Frame:
    width: int
    left: int
    right: int


WIDE, NARROW = _Frame(720, 60, 580), _Frame(360, 60, 232)
HEIGHT, TOP, BOTTOM = 200, 12, 164
APART = 16
"""Between two labels."""


def losses(of: Sequence[EpochLosses], words: Words) -> Markup:
    """The wide picture and the narrow one, of one epoch at least."""
    return _picture(of, words, WIDE) + _picture(of, words, NARROW)


def describe(of: Sequence[EpochLosses], words: Words) -> str:
    """The chart in sentences: the first and the last value of each line."""
    first, last = of[0], of[-1]
    values = {"first": plain(first.training), "last": plain(last.training)}
    said = [words("chart.loss_from_to", epoch=first.epoch, now=last.epoch, **values)]
    if last.kept_back is not None:
        said.append(words("chart.kept_loss", last=plain(last.kept_back)))
    return " ".join(said)


def _picture(of: Sequence[EpochLosses], words: Words, frame: _Frame) -> Markup:
    lines = {
        "old": ("chart.loss", [(point.epoch, point.training) for point in of]),
        "new": ("chart.kept", [(point.epoch, point.kept_back) for point in of if point.kept_back is not None]),
    }
    values = [value for _, points in lines.values() for _, value in points]
    marks = ticks(min(0.0, *values), max(0.0, *values))
    up = Axis(marks[0], marks[-1], BOTTOM, TOP)
    first, last = of[0].epoch, of[-1].epoch
    along = Axis(first, max(last, first + 1), frame.left, frame.right)
    elements = grid(up, marks, frame.left, frame.right, plain)
    for epoch in dict.fromkeys((first, last)):
        name = words("chart.epoch", epoch=epoch)
        elements.append(text("tick", along.at(epoch), BOTTOM + 18, name, "start" if epoch == first else "end"))
    below = 0.0
    for kind, (name, points) in sorted(lines.items(), key=lambda item: -item[1][1][-1][1] if item[1][1] else 0):
        if not points:
            continue
        places = [(along.at(epoch), up.at(value)) for epoch, value in points]
        below = max(places[-1][1] + 4, below + APART)
        elements += [path(f"line {kind}", "polyline", places), dot(f"dot {kind}", *places[-1])]
        elements.append(text(f"lab {kind}", frame.right + 14, below, words(name, value=plain(points[-1][1]))))
    if frame is NARROW:
        return svg(elements, frame.width, HEIGHT, kind="small")
    return svg(elements, frame.width, HEIGHT, words("chart.loss_title"), describe(of, words))
