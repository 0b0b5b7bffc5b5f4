"""How good a model was, version by version: a line with its band, dots by what became of each, arcs of rollbacks; and
bars below of what each had forgotten.

A wide picture, and one of the latest versions for narrow screens; style.css shows one of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import ceil
from typing import TypeVar

from markupsafe import Markup

from service.contract.figures import amount
from service.web.charts.axis import Axis, bar, cross, dot, grid, length, line, path, svg, text, ticks
from service.web.reports.estimates import Estimate
from service.web.words import Words, round_percent

T = TypeVar("T")


class Mark(StrEnum):
    """What became of a version."""

    LIVE = "live"
    WENT_LIVE = "went_live"
    HELD = "held"
    REJECTED = "rejected"


UP = (Mark.LIVE, Mark.WENT_LIVE)


@dataclass(frozen=True)
class Step:
    """A version. `main`: accuracy on trusted rows, or error on new rows; `other`: recall of the classes that it
    brought, or the error on rows of its own; `beside`: the error of the yardstick on the same new rows; `forgotten`:
    what was lost since its best, a share; less than nothing is a gain."""

    number: int
    mark: Mark
    main: Estimate | None
    other: Estimate | None = None
    beside: Estimate | None = None
    forgotten: float | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class History:
    """What the chart shows. `steps`: oldest first · `rollbacks`: (from, to) · `show`: a value as text · `names`: of the
    series, keys of words ("old", "new"; or "error", "own", "yardstick") · `lost`: what was forgotten, as text."""

    steps: Sequence[Step]
    rollbacks: Sequence[tuple[int, int]]
    show: Callable[[float], str]
    names: tuple[str, ...]
    words: Words
    lost: Callable[[float], str] = round_percent

    @property
    def of_error(self) -> bool:
        """Whether less is better."""
        return self.names[0] == "error"


@dataclass(frozen=True)
class _Frame:
    """Measures of a picture: where its values lie, how many versions it has room for, at which distance notes fit."""

    width: int
    left: int
    right: int
    most: int


HEIGHT, TOP, BOTTOM = 250, 22, 206
BARS, BARS_ABOVE, BARS_WIDTH = 48, 28, 14
"""Height of the bars of what was forgotten, the room between them and the line, and how wide a bar is at most."""
WIDE, NARROW = _Frame(720, 52, 600, 50), _Frame(360, 52, 250, 6)
TICK_GAP, LABEL_GAP = 12, 14
"""Room between the lines and the values at their left, and what they are at their right."""
NOTE_WIDTH = 56
"""Room that the note below a version takes."""
LABEL_HEIGHT, NOTE_HEIGHT = 16, 14
"""Of what a line is, and of the version below it."""
SIGN_WIDTH = 8
"""Room that a sign of a version's number takes; as much stands between two."""
HIGHEST_FLOOR, LOWEST_CEILING = 0.95, 0.05
"""Accuracies are shown from there or lower, and what was forgotten to there or higher, so that chance does not look
like a cliff."""

FEW_ROWS = 20
"""What rests on fewer, as a new class of a few rows does, does not stretch the scale: it is shown at its edge."""


def history(of: History) -> Markup:
    """The wide picture and the narrow one."""
    return _picture(of, WIDE) + _picture(of, NARROW)


def describe(of: History) -> str:
    """The chart in sentences: the first value of the line and that of the live version, and what was not made live."""
    words, sentences = of.words, list[str]()
    for step in of.steps:
        if step.mark is Mark.LIVE and step.main is None:
            sentences.append(words("models.live", version=step.number))
        elif step.mark is Mark.LIVE and step.main is not None:
            now = {"last": of.show(step.main.value), "now": step.number}
            first, value = next((s.number, s.main.value) for s in of.steps if s.main and s.mark in UP)
            was = {"first": of.show(value), "version": first}
            name = f"chart.{of.names[0]}"
            sentences.append(
                words(f"{name}_from_to", **was, **now) if first < step.number else words(f"{name}_is", **now)
            )
            if step.beside is not None:
                sentences.append(words("chart.yardstick_is", last=of.show(step.beside.value)))
    if forgot := _judged(of.steps):
        worst, last = max(forgot, key=lambda pair: pair[1]), _told(forgot)
        key = "chart.forgotten_most" if round(worst[1], 3) > 0 else "chart.forgotten_none"
        sentences.append(words(key, value=of.lost(worst[1]), version=worst[0].number))
        if last is not worst and round(worst[1], 3) > 0:
            sentences.append(words("chart.forgotten_last", value=of.lost(last[1]), version=last[0].number))
    for mark in (Mark.HELD, Mark.REJECTED):
        if numbers := [str(step.number) for step in of.steps if step.mark is mark]:
            sentences.append(words(f"chart.{mark}", n=len(numbers), versions=numbers))
    sentences += [words("chart.rolled_back", version=before, to=to) for before, to in of.rollbacks]
    return " ".join(sentences)


def _picture(of: History, frame: _Frame) -> Markup:
    steps = of.steps[-frame.most :]
    values, show = _scale(steps, of.of_error), amount if of.of_error else round_percent
    is_narrow, frame = frame is NARROW, _fitted(of, steps, frame, map(show, values))
    up = Axis(values[0], values[-1], BOTTOM, TOP)
    along = Axis(0, max(len(steps) - 1, 1), frame.left, frame.right)
    x = {step.number: along.at(place) for place, step in enumerate(steps)}
    elements = grid(up, values, frame.left, frame.right, show)
    if len(steps) < len(of.steps):
        elements.append(text("note", frame.left, 12, of.words("chart.from_version", version=steps[0].number)))
    beside = [(x[s.number], s.beside, s.mark) for s in steps if s.beside and s.mark is not Mark.REJECTED]
    joined = [(at, estimate) for at, estimate, mark in beside if mark in UP]
    elements += _line("beside", joined, up)
    if len(joined) < 2:  # no line: a dash each
        elements += [line("line beside", at - 6, y, at + 6, y) for at, e, _ in beside for y in (up.at(e.value),)]
    elements += _line("old", [(x[step.number], step.main) for step in steps if step.main and step.mark in UP], up)
    elements += _arcs(of, x, up, {step.number: step for step in steps})
    room = (frame.right - frame.left) / max(len(steps) - 1, 1)
    bars = _bars(of, steps, x, frame, min(BARS_WIDTH, 0.6 * room))
    elements += bars
    foot, height = (BOTTOM + BARS_ABOVE + BARS, HEIGHT + BARS_ABOVE + BARS) if bars else (BOTTOM, HEIGHT)
    every = ceil(SIGN_WIDTH * (len(_name(steps[-1])) + 1) / room)
    for place, step in enumerate(steps):
        elements += _marks(step, x[step.number], up)
        if place % every == (len(steps) - 1) % every:
            elements.append(text("tick", x[step.number], foot + 20, _name(step), "middle"))
        if (room >= NOTE_WIDTH and step.mark is not Mark.WENT_LIVE) or step.mark is Mark.LIVE:
            kind = {Mark.HELD: "note warn", Mark.REJECTED: "note bad"}.get(step.mark, "note")
            elements.append(text(kind, x[step.number], foot + 36, of.words(f"chart.note.{step.mark}"), "middle"))
    elements += _labels(of, steps, frame, up)
    if is_narrow:
        return svg(elements, frame.width, height, kind="small")
    return svg(elements, frame.width, height, of.words(f"chart.{of.names[0]}_title"), describe(of))


def _fitted(of: History, steps: Sequence[Step], frame: _Frame, values: Iterable[str]) -> _Frame:
    """As much narrower as long values at the left and long labels at the right need."""
    said = [_label(of, name, of_last[0]) for name, of_last in zip(of.names, _last(steps), strict=False) if of_last]
    left = max(frame.left, TICK_GAP + max(map(length, values)))
    right = min(frame.right, frame.width - LABEL_GAP - max(map(length, said), default=0))
    return replace(frame, left=left, right=max(right, left + NOTE_WIDTH))


def _name(step: Step) -> str:
    return f"v{step.number}"


def _scale(steps: Sequence[Step], of_error: bool) -> list[float]:
    """Ticks that hold what was not rejected and rests on more than a few rows: errors from 0, accuracies up to 1."""
    held = [e for step in steps if step.mark is not Mark.REJECTED for e in (step.main, step.other, step.beside) if e]
    held = [e for e in held if e.rows >= FEW_ROWS] or held
    ends = [end for e in held for end in (e.value, e.low, e.high) if end is not None]
    if of_error:
        return ticks(0.0, max(ends, default=1.0) or 1.0)
    return ticks(min([HIGHEST_FLOOR, *ends]), 1.0)


def _line(kind: str, points: Sequence[tuple[float, Estimate]], up: Axis) -> list[str]:
    """A line of what went live, with the band of its intervals. New classes, and rows of a version's own, are
    others each time: no line joins them."""
    banded = [(x, e.low, e.high) for x, e in points if e.low is not None and e.high is not None]
    upper, lower = [(x, up.at(high)) for x, _, high in banded], [(x, up.at(low)) for x, low, _ in banded]
    band = [path(f"band {kind}", "polygon", [*upper, *reversed(lower)])] if len(banded) > 1 else []
    return [*band, path(f"line {kind}", "polyline", [(x, up.at(e.value)) for x, e in points])] if points[1:] else band


def _marks(step: Step, x: float, up: Axis) -> list[str]:
    """The dots of a version: filled where it went live, hollow where it is held, a cross where it was rejected."""
    if step.mark is Mark.REJECTED:
        return [cross(x, up.at(step.main.value))] if step.main else []
    shape = "hollow" if step.mark is Mark.HELD else "dot"
    marks = []
    if (new := step.other) is not None:
        if new.low is not None and new.high is not None:
            marks.append(line("line new", x, up.at(new.low), x, up.at(new.high)))
        marks.append(dot(f"{shape} new", x, up.at(new.value)))
    if step.main is not None:
        marks.append(dot(f"{shape} old", x, up.at(step.main.value)))
    if step.mark is Mark.LIVE and (shown := step.main or step.other) is not None:
        marks.append(dot("ring", x, up.at(shown.value), 8))
    return marks


def _judged(steps: Sequence[Step]) -> list[tuple[Step, float]]:
    """Versions with what they had forgotten, where it is known, but for rejected ones."""
    known = ((step, step.forgotten) for step in steps if step.mark is not Mark.REJECTED)
    return [(step, share) for step, share in known if share is not None]


def _bars(of: History, steps: Sequence[Step], x: dict[int, float], frame: _Frame, width: float) -> list[str]:
    """A bar each of what a version had forgotten, above a line of nothing, and of what it had gained below it; none
    where nothing is known. A rejected version does not stretch their scale."""
    if all(step.forgotten is None for step in steps):
        return []
    judged = _judged(steps)
    shares = [0.0, LOWEST_CEILING, *(share for _, share in judged)]
    low = ticks(min(shares), 0.0)[0] if round(min(shares), 3) < 0 else 0.0
    up = Axis(low, ticks(0.0, max(shares))[-1], BOTTOM + BARS_ABOVE + BARS, BOTTOM + BARS_ABOVE)
    bars = grid(up, (0.0, up.high), frame.left, frame.right, round_percent)
    bars += [
        cross(x[s.number], up.at(s.forgotten)) for s in steps if s.mark is Mark.REJECTED and s.forgotten is not None
    ]
    for step, share in judged:
        kind = "bar held" if step.mark is Mark.HELD else "bar"
        bars.append(bar(kind, x[step.number] - width / 2, up.at(share), width, up.at(0.0)))
    if judged:
        label, y, (step, share) = frame.right + LABEL_GAP, BOTTOM + BARS_ABOVE + 8, _told(judged)
        bars.append(text("lab beside", label, y, of.words("chart.forgotten")))
        bars.append(text("tick", label, y + LABEL_HEIGHT, of.lost(share)))
        if not _goes_unsaid(step.number, steps):
            whose = of.words("version.path", version=step.number)
            bars.append(text("note", label, y + LABEL_HEIGHT + NOTE_HEIGHT, whose))
    return bars


def _arcs(of: History, x: dict[int, float], up: Axis, steps: dict[int, Step]) -> list[str]:
    """A dashed arc with an arrow for each rollback between versions that are shown."""
    arcs = []
    for before, to in of.rollbacks:
        if before not in x or to not in x:
            continue
        (y1, y2) = (up.at(e.value) if (e := steps[n].main or steps[n].other) else TOP for n in (before, to))
        x1, x2 = x[before], x[to]
        arcs.append(f'<path class="undo" d="M{x1},{y1 - 8}C{x1},6 {x2},6 {x2},{y2 - 10}"/>')
        arcs.append(f'<path class="arrow" d="M{x2},{y2 - 6}l-4,-8l8,0z"/>')
    return arcs


def _labels(of: History, steps: Sequence[Step], frame: _Frame, up: Axis) -> list[str]:
    """What the lines are, at the right end, with the values that `_last` has, and whose those are where that has to be
    said; apart by a line's height at least, and above the names of versions."""
    places = [
        (up.at(shown[0].value), kind, name, *shown)
        for shown, kind, name in zip(_last(steps), KINDS, of.names, strict=False)
        if shown
    ]
    places.sort(key=lambda place: place[0])
    heights = [0 if _goes_unsaid(version, steps) else NOTE_HEIGHT for *_, version in places]
    at, above, below = list[float](), 0.0, BOTTOM + 4.0
    for (y, *_), height in zip(places, heights, strict=True):
        at.append(max(y + 4, above + LABEL_HEIGHT))
        above = at[-1] + height
    for place in reversed(range(len(at))):
        at[place] = min(at[place], below - heights[place])
        below = at[place] - LABEL_HEIGHT
    labels = []
    for y, height, (_, kind, name, estimate, version) in zip(at, heights, places, strict=True):
        labels.append(text(f"lab {kind}", frame.right + LABEL_GAP, y, _label(of, name, estimate)))
        if height:
            labels.append(text("note", frame.right + LABEL_GAP, y + height, of.words("version.path", version=version)))
    return labels


def _goes_unsaid(version: int, steps: Sequence[Step]) -> bool:
    """Whether it need not be said that a value is of that version: it is the newest one, and waits for nobody."""
    return version == steps[-1].number and steps[-1].mark is not Mark.HELD


def _last(steps: Sequence[Step]) -> list[tuple[Estimate, int] | None]:
    """The value of each line of the live version, else the last one, and its version; rejected ones are passed over."""
    known = [[(s, e) for s in steps if (e := choose(s)) and s.mark is not Mark.REJECTED] for choose in CHOICES]
    last = [_told(of) if of else None for of in known]
    return [(of[1], of[0].number) if of is not None else None for of in last]


def _told(known: Sequence[tuple[Step, T]]) -> tuple[Step, T]:
    """That of the live version, which stands for how good the model is; the last one where it has none."""
    return next((of for of in known if of[0].mark is Mark.LIVE), known[-1])


def _label(of: History, name: str, estimate: Estimate) -> str:
    return of.words(f"chart.{name}", value=of.show(estimate.value))


KINDS = ("old", "new", "beside")
CHOICES: tuple[Callable[[Step], Estimate | None], ...] = (
    lambda step: step.main,
    lambda step: step.other,
    lambda step: step.beside,
)
