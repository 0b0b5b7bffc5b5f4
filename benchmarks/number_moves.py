"""What becomes of wrong batches that come several times in a row: `benchmarks.gate --numbers --in-a-row 4`.

At some batches of a stream, that batch and the next ones come in one way, with rows of their own, and the gate alone
decides what goes live; then all of that is forgotten and the stream goes on. After two stopped batches the gate asks
whether the stream has moved, and some mistakes cannot be told from that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.learners.service import model_of, taught
from benchmarks.number_gate import EARLY, HARM, RIGHT, VERDICTS, WAYS, taken
from benchmarks.streams.stream import Stream
from benchmarks.tables.terminal import table

LIVE = "promoted"


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
        return self.verdicts.index(LIVE) + 1 if LIVE in self.verdicts else None


def judged_in_a_row(stream: Stream, points: int, method: Mapping[str, Any] | str, times: int) -> Iterator[InARow]:
    """Every way, so many times in a row, at so many places of a stream."""
    batches = stream.batches
    chosen = set(np.unique(np.linspace(EARLY + 1, len(batches) - times - 1, points).astype(int)).tolist())
    with model_of(stream, secret=b"folds %d" % stream.seed) as model:
        for at, rows in enumerate(batches[:-times]):
            usual = 0.0
            for way, spoil in WAYS.items() if at in chosen else ():
                spoiled = [
                    replace(batches[k], targets=spoil(batches[k].targets, np.random.default_rng(k)))
                    for k in range(at, at + times)
                ]
                if not all(taken(stream, wrong.targets) for wrong in spoiled):
                    continue
                with model.aside():
                    verdicts = list[str]()
                    for wrong in spoiled:
                        verdicts.append(VERDICTS[taught(model, wrong, method).report.gate.outcome])
                    following = batches[at + times]
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
        lines.append([way, *map(str, counts), str(sum(row.rise > HARM and row.first is not None for row in of_way))])
    yield table(columns, lines)
