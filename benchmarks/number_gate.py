"""How well the gate tells right batches from wrong ones where targets are numbers: `benchmarks.gate --numbers`.

At some batches of a stream, the batch comes right and in every wrong way; each is learned on the same live version and
judged, and none is promoted. Then the right one goes live, whatever the gate says, and the stream goes on. A wrong
batch does harm if the errors of its version on the next two batches are 10 % above those of the right one's. With
`--inputs` columns of numbers come wrong, and targets right; with `--rows 50` only its first 50 rows are sent.

With `--in-a-row 4` that batch and the next ones come in one way, with rows of their own, and the gate alone decides
what goes live; then all of that is forgotten and the stream goes on. After two stopped batches the gate asks whether
the stream has moved, and some mistakes cannot be told from that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.learners.service import fired, model_of, taught
from benchmarks.running.workbench import Model
from benchmarks.streams.slips import SLIPS, slipped, slips_of
from benchmarks.streams.stream import Floats, Rows, Stream, together
from benchmarks.tables.terminal import reached, table
from service.contract.enums import Outcome
from service.errors import MethodRefused

VERDICTS = {Outcome.PASS: "promoted", Outcome.UNDECIDED: "held", Outcome.FAIL: "rejected"}
HARM = 0.10
"""Rise of the next errors from which a wrong batch does harm."""
EARLY = 3
"""Batches after which the gate knows what is usual."""
NEXT = 2
STOPPED, LIVE = 0.01, 0.07
"""Aimed at: share of right batches that are stopped, and of harmful ones, after the first three, that go live."""

Wrong = Callable[[Floats, np.random.Generator], Floats]
RIGHT = "right"


def _some(share: float, wrong: Wrong) -> Wrong:
    def spoil(targets: Floats, random: np.random.Generator) -> Floats:
        return np.where(random.random(targets.shape) < share, wrong(targets, random), targets)

    return spoil


def _shuffled(targets: Floats, random: np.random.Generator) -> Floats:
    return random.permutation(targets)


def _top_halved(targets: Floats, random: np.random.Generator) -> Floats:
    return np.where(targets >= np.quantile(targets, 0.8), targets / 2, targets)


WAYS: dict[str, Wrong] = {
    RIGHT: lambda y, random: y,
    "shuffled": _shuffled,
    "10 times": lambda y, random: 10 * y,
    "a tenth": lambda y, random: y / 10,
    "other sign": lambda y, random: -y,
    "one value": lambda y, random: np.full_like(y, np.median(y)),
    "°C for °F": lambda y, random: (y - 32) / 1.8,
    "km for miles": lambda y, random: y * 1.609344,
    "shifted by 1 sd": lambda y, random: y + y.std(),
    "rows off by one": lambda y, random: np.roll(y, 1, 0),
    "3 in 10 times 10": _some(0.3, lambda y, random: 10 * y),
    "3 in 10 shuffled": _some(0.3, _shuffled),
    "mirrored": lambda y, random: 2 * y.mean() - y,
    "noise of 1 sd": lambda y, random: y + random.normal(0, y.std(), y.shape),
    "top fifth halved": _top_halved,
    "2 in 100 times 10": _some(0.02, lambda y, random: 10 * y),
}
"""Targets of a batch, right and wrong."""


def spoiled(stream: Stream, way: str, at: int, most: int | None = None) -> Rows | None:
    """A batch of the stream in one way; None where the service would not take it, since a target has no logarithm.
    most: its first so many rows"""
    rows, random = stream.rows.take(stream.parts[at][:most]), np.random.default_rng(at)
    if way not in WAYS:
        return slipped(rows, stream.input, way, random)
    wrong = replace(rows, targets=WAYS[way](rows.targets, random))
    logarithm = stream.numbers is not None and stream.numbers.scale == "log"
    return None if logarithm and (wrong.targets <= 0).any() else wrong


@dataclass(frozen=True)
class JudgedNumbers:
    """One batch in one way. rise: of the next errors, beside the right batch's version; rules: that fired."""

    stream: str
    way: str
    at: int
    rows: int
    verdict: str
    rules: list[str]
    rise: float
    why: str

    @property
    def good(self) -> bool:
        return self.way == RIGHT

    @property
    def live(self) -> bool:
        return self.verdict == "promoted"

    @property
    def harmful(self) -> bool:
        return self.rise > HARM


def judged_numbers(
    stream: Stream, points: int, method: str, inputs: bool = False, most: int | None = None
) -> Iterator[JudgedNumbers]:
    """Every way at so many batches of a stream, or their first rows. inputs: these are wrong in place of targets"""
    ways = [RIGHT, *slips_of(stream.input)] if inputs else [*WAYS]
    batches = stream.batches
    chosen = set(np.unique(np.linspace(1, len(batches) - NEXT - 1, points).astype(int)).tolist())
    with model_of(stream, secret=b"folds %d" % stream.seed) as model:
        for at, rows in enumerate(batches[:-NEXT]):
            if at in chosen:
                following = together(batches[at + 1 : at + 1 + NEXT])
                wrong = {way: batch for way in ways if (batch := spoiled(stream, way, at, most)) is not None}
                yield from _ways(model, stream.name, at, wrong, following, method)
            taught(model, rows, method, promote=True)


def _ways(
    model: Model, stream: str, at: int, batches: Mapping[str, Rows], following: Rows, method: str
) -> Iterator[JudgedNumbers]:
    usual = 0.0
    for way, rows in batches.items():
        try:
            result = taught(model, rows, method, promote=False)
        except MethodRefused as refused:
            yield JudgedNumbers(stream, way, at, len(rows), VERDICTS[Outcome.FAIL], ["refused"], 0.0, refused.detail)
            continue
        error = float(np.abs(model.values(following.inputs, result)[:, 0] - following.targets).mean())
        usual = error if way == RIGHT else usual
        rules, verdict = [rule.name for rule in fired(result)], VERDICTS[result.outcome]
        rise = error / usual - 1 if usual else 0.0
        yield JudgedNumbers(stream, way, at, len(rows), verdict, rules, rise, result.report.gate.why)


def number_report(updates: Sequence[JudgedNumbers]) -> Iterator[str]:
    """Ways by verdict; then the targets."""
    streams = dict.fromkeys(j.stream for j in updates)
    yield f"{', '.join(streams)}: {len({(j.stream, j.at) for j in updates})} batches"
    columns = ("batch", *VERDICTS.values(), "next errors", "worst tenth", "rules that fired")
    came = {way: of_way for way in (*WAYS, *SLIPS) if (of_way := [j for j in updates if j.way == way])}
    yield table(columns, [_line(way, of_way) for way, of_way in came.items()])
    yield ""
    right = [j for j in updates if j.good]
    stopped = sum(not j.live for j in right) / max(len(right), 1)
    yield reached(f"of {len(right)} right batches, not promoted", stopped, STOPPED)
    for when, harmful in (
        ("after the first three batches", [j for j in updates if j.harmful and j.at >= EARLY]),
        ("in the first three", [j for j in updates if j.harmful and j.at < EARLY]),
    ):
        live = sum(j.live for j in harmful) / max(len(harmful), 1)
        yield reached(f"of {len(harmful)} harmful ones {when}, promoted", live, LIVE)
    for j in right:
        if not j.live:
            yield f"  {j.stream}, batch {j.at}: {j.why}"


def _line(way: str, of_way: Sequence[JudgedNumbers]) -> list[str]:
    rises, rules = [j.rise for j in of_way], sorted({rule for j in of_way for rule in j.rules})
    counts = [str(sum(j.verdict == verdict for j in of_way)) for verdict in VERDICTS.values()]
    return [way, *counts, f"{np.median(rises):+.2f}", f"{np.quantile(rises, 0.9):+.2f}", " ".join(rules)]


@dataclass(frozen=True)
class InARow:
    """Batches in one way. verdicts: in their order · rise: of the errors on the next right batch, beside those after as
    many right ones."""

    stream: str
    way: str
    at: int
    verdicts: list[str]
    rise: float

    @property
    def first(self) -> int | None:
        """Which of them went live first, from 1."""
        return self.verdicts.index("promoted") + 1 if self.live else None

    @property
    def good(self) -> bool:
        return self.way == RIGHT

    @property
    def live(self) -> bool:
        return "promoted" in self.verdicts

    @property
    def harmful(self) -> bool:
        return self.rise > HARM


def judged_in_a_row(stream: Stream, points: int, method: Mapping[str, Any] | str, times: int) -> Iterator[InARow]:
    """Every way, so many times in a row, at so many places of a stream."""
    batches = stream.batches
    chosen = set(np.unique(np.linspace(EARLY + 1, len(batches) - times - 1, points).astype(int)).tolist())
    with model_of(stream, secret=b"folds %d" % stream.seed) as model:
        for at, rows in enumerate(batches[:-times]):
            usual, following = 0.0, batches[at + times]
            for way in WAYS if at in chosen else ():
                wrong = [one for k in range(at, at + times) if (one := spoiled(stream, way, k)) is not None]
                if len(wrong) < times:
                    continue
                with model.aside():
                    verdicts = [VERDICTS[taught(model, one, method).outcome] for one in wrong]
                    error = float(np.abs(model.values(following.inputs)[:, 0] - following.targets).mean())
                usual = error if way == RIGHT else usual
                yield InARow(stream.name, way, at, verdicts, error / usual - 1 if usual else 0.0)
            taught(model, rows, method, promote=True)


def in_a_row_report(rows: Sequence[InARow]) -> Iterator[str]:
    """Ways by which of the batches went live first."""
    times = max(len(row.verdicts) for row in rows)
    yield f"{', '.join(dict.fromkeys(r.stream for r in rows))}: {len({(r.stream, r.at) for r in rows})} places"
    columns = ("batches", *(f"live from {k}" for k in range(1, times + 1)), "never", f"next errors +{HARM:.0%}")
    lines = list[list[str]]()
    for way in dict.fromkeys(row.way for row in rows):
        of_way = [row for row in rows if row.way == way]
        counts = [sum(row.first == k for row in of_way) for k in [*range(1, times + 1), None]]
        lines.append([way, *map(str, counts), str(sum(row.live and row.harmful for row in of_way))])
    yield table(columns, lines)
