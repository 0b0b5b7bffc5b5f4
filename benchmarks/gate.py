"""How well the gate tells good updates from bad ones, by the service's own updates, on rows it never sees.

    python -m benchmarks.gate [--data FOLDER] [--streams digits-images letter] [--seeds N] [--method auto] [--json FILE]
    python -m benchmarks.gate --numbers [--streams price diabetes seasons] [--points N] [--in-a-row N]

Each update is learned on the same live version and judged; none of them is promoted. FOLDER (or TSUIKA_BENCH_DATA)
holds letter.npz with X_train, y_train, X_test, y_test; digits come with scikit-learn, and hundred, 100 round classes,
is drawn. A bad update costs what accuracy falls on the test rows, against the version that was live.
`benchmarks.erosion` has what comes in many small updates; with --numbers `benchmarks.number_gate` has targets that are
numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.number_gate import JudgedNumbers, judged_numbers, number_report
from benchmarks.number_moves import InARow, in_a_row_report, judged_in_a_row
from benchmarks.running.workbench import Model
from benchmarks.streams.numbers import NUMBER_STREAMS
from benchmarks.streams.streams import STREAMS, Rows, Stream, data_option, load
from benchmarks.tables.terminal import bar, reached, table
from service.contract.enums import Outcome
from service.contract.inputs import VectorInput

BASE_ROWS = {"digits": 600, "letter": 4000, "mnist10k": 2000, "hundred": 3000}
"""Rows of the live version; what is left of the training rows makes the updates."""
TEST_ROWS = 1000
"""Test rows of images at most: each of thirty versions answers them."""
NEW_NAME = "unknown"
ONE_NAME, ALL_NAMES = "a class under a new name", 'all rows as "unknown"'
RENAMES = 12
"""Number of the rule that should hold those two."""
COSTLY = 0.02
"""Accuracy lost from which a bad update does harm."""
USUAL = ["digits-images", "letter", "mnist10k", "hundred"]
VERDICTS = {Outcome.PASS: "promoted", Outcome.UNDECIDED: "held", Outcome.FAIL: "rejected"}

Spoil = Callable[[Rows, np.random.Generator], Rows]
Late = Callable[[Rows, np.random.Generator], list[str]]
"""The classes that the live version does not know."""


def none_late(train: Rows, random: np.random.Generator) -> list[str]:
    """It knows all classes."""
    return []


def two_late(train: Rows, random: np.random.Generator) -> list[str]:
    """Any two."""
    return [str(name) for name in random.choice(np.unique(train.labels), 2, replace=False)]


def look_alike(train: Rows, random: np.random.Generator) -> list[str]:
    """One of two whose rows are hard to tell apart: class means are near in the spread of the columns within classes.

    By the seed another of the five nearest pairs.
    """
    names, codes = np.unique(train.labels, return_inverse=True)
    rows = train.inputs.reshape(len(train), -1).astype(np.float64)
    means = np.stack([rows[codes == k].mean(0) for k in range(len(names))])
    scale = (rows - means[codes]).std(0)
    means /= np.where(scale > 0, scale, 1)
    apart = ((means[:, None] - means[None]) ** 2).sum(2) + np.where(np.tri(len(names), dtype=bool), np.inf, 0)
    pair = np.argsort(apart, axis=None)[random.integers(0, 5)]
    return [str(names[np.unravel_index(pair, apart.shape)[random.integers(0, 2)]])]


def most_late(train: Rows, random: np.random.Generator) -> list[str]:
    """Nine in ten: 10 -> 100."""
    names = random.permutation(np.unique(train.labels))
    return [str(name) for name in names[max(2, len(names) // 10) :]]


@dataclass(frozen=True)
class Kind:
    """One kind of update. `good`: it should go live; None: shown beside, whatever becomes of it. `late`: classes that
    the live version does not know, whose rows the update brings."""

    name: str
    good: bool | None
    sizes: tuple[int, ...]
    spoil: Spoil
    late: Late = none_late


@dataclass(frozen=True)
class Judged:
    """One update: what became of it, by which rules, and accuracy on test rows before and after."""

    stream: str
    kind: str
    good: bool | None
    rows: int
    seed: int
    verdict: str
    rules: list[int]
    before: float
    after: float

    @property
    def harmful(self) -> bool:
        return self.verdict == "promoted" and self.before - self.after >= COSTLY


def honest(rows: Rows, random: np.random.Generator) -> Rows:
    """As they are."""
    return rows


def shuffled(rows: Rows, random: np.random.Generator) -> Rows:
    """Labels in any order."""
    return Rows(rows.inputs, random.permutation(rows.labels))


def swapped(rows: Rows, random: np.random.Generator) -> Rows:
    """Two classes under each other's name."""
    a, b = random.choice(np.unique(rows.labels), 2, replace=False)
    return Rows(rows.inputs, np.where(rows.labels == a, b, np.where(rows.labels == b, a, rows.labels)))


def rotated(rows: Rows, random: np.random.Generator) -> Rows:
    """Every class under the next one's name."""
    names = np.unique(rows.labels)
    return Rows(rows.inputs, names[(np.searchsorted(names, rows.labels) + 1) % len(names)])


def flipped(rows: Rows, random: np.random.Generator) -> Rows:
    """Three in ten rows of one class under another's name."""
    a, b = random.choice(np.unique(rows.labels), 2, replace=False)
    return Rows(rows.inputs, np.where((rows.labels == a) & (random.random(len(rows)) < 0.3), b, rows.labels))


def noisy(rows: Rows, random: np.random.Generator) -> Rows:
    """One row in twenty under any name."""
    wrong = random.random(len(rows)) < 0.05
    return Rows(rows.inputs, np.where(wrong, random.choice(np.unique(rows.labels), len(rows)), rows.labels))


def shifted(rows: Rows, random: np.random.Generator) -> Rows:
    """Images moved by one pixel; of a table the first column larger by two."""
    moved = rows.inputs.astype(np.float32)
    if moved.ndim > 2:
        moved[..., 1:], moved[..., 0] = rows.inputs[..., :-1], 0
    else:
        moved[:, 0] += 2
    return Rows(moved, rows.labels)


def one_renamed(rows: Rows, random: np.random.Generator) -> Rows:
    """Rows of one class alone, under a new name."""
    chosen = rows.of([str(random.choice(np.unique(rows.labels)))])
    return Rows(chosen.inputs, np.full(len(chosen), NEW_NAME))


def all_renamed(rows: Rows, random: np.random.Generator) -> Rows:
    """Rows of all classes under one new name."""
    return Rows(rows.inputs, np.full(len(rows), NEW_NAME))


def two_merged(rows: Rows, random: np.random.Generator) -> Rows:
    """Rows of two classes alone, under one new name."""
    chosen = rows.of([str(name) for name in random.choice(np.unique(rows.labels), 2, replace=False)])
    return Rows(chosen.inputs, np.full(len(chosen), NEW_NAME))


def scattered(rows: Rows, random: np.random.Generator) -> Rows:
    """One class under the names of all others, at random."""
    names = np.unique(rows.labels)
    name = random.choice(names)
    return Rows(rows.inputs, np.where(rows.labels == name, random.choice(names[names != name], len(rows)), rows.labels))


KINDS = (
    Kind("honest", True, (1, 20, 100, 300, 600), honest),
    Kind("new classes", True, (60, 200), honest, two_late),
    Kind("a class like an old one", True, (30, 100), honest, look_alike),
    Kind("most classes at once", True, (6000,), honest, most_late),
    Kind("shifted inputs", True, (200,), shifted),
    Kind("shuffled labels", False, (100, 200, 300, 600), shuffled),
    Kind("two classes swapped", False, (100, 200, 300, 600), swapped),
    Kind(ONE_NAME, False, (30, 100), one_renamed),
    Kind(ALL_NAMES, False, (50, 200), all_renamed),
    Kind("junk class over two", False, (50, 200), two_merged),
    Kind("labels of a class scattered", False, (200, 600), scattered),
    Kind("all labels rotated", None, (200,), rotated),
    Kind("3 in 10 of a class flipped", None, (200,), flipped),
    Kind("1 in 20 labels wrong", None, (200,), noisy),
)
"""Per stream and seed 11 good and 16 bad updates: with five seeds 55 and 80."""
OF_ONE_CLASS = (one_renamed, two_merged)
"""Of these so many rows are taken of the classes that are renamed."""


def judged(stream: Stream, folder: Path | None, seed: int, method: str) -> Iterator[Judged]:
    """Every kind and size on one draw of a stream."""
    train, test = drawn(stream, folder, seed)
    for late in dict.fromkeys(kind.late for kind in KINDS):
        classes = late(train, np.random.default_rng(seed))
        known = train.of(np.setdiff1d(train.labels, classes).tolist())
        base = known.take(np.arange(min(BASE_ROWS[stream.data], len(known))))
        fresh = train.of(classes) if classes else known.take(np.arange(len(base), len(known)))
        known_test = test.of(np.unique(known.labels).tolist())
        with Model(stream.input, secret=b"folds %d" % seed) as model:
            model.learn(base.inputs, base.labels.tolist(), method, seed=seed, promote=True)
            before = float((model.predict(known_test.inputs) == known_test.labels).mean())
            for kind in (k for k in KINDS if k.late is late):
                for size in kind.sizes:
                    rows = _rows(kind, fresh, size, np.random.default_rng([seed, size]))
                    result = model.learn(rows.inputs, rows.labels.tolist(), method, seed=seed, promote=False)
                    after = float((model.predict(known_test.inputs, result) == known_test.labels).mean())
                    gate = result.report.gate
                    rules = [rule.number for rule in gate.rules if rule.severity]
                    verdict = VERDICTS[gate.outcome]
                    yield Judged(stream.name, kind.name, kind.good, size, seed, verdict, rules, before, after)


def _rows(kind: Kind, fresh: Rows, size: int, random: np.random.Generator) -> Rows:
    order = random.permutation(len(fresh))
    if kind.spoil not in OF_ONE_CLASS:
        return kind.spoil(fresh.take(order[:size]), random)
    spoiled = kind.spoil(fresh.take(order), random)
    return spoiled.take(np.arange(min(size, len(spoiled))))


def drawn(stream: Stream, folder: Path | None, seed: int) -> tuple[Rows, Rows]:
    """-> training and test rows."""
    if stream.data == HUNDRED.data:
        return _hundred(seed)
    train, test = load(stream, folder, seed)
    most = TEST_ROWS if train.inputs.ndim > 2 else len(test)
    return train, test.take(np.random.default_rng(seed).permutation(len(test))[:most])


HUNDRED = Stream("hundred", "hundred", VectorInput(kind="vector", size=20), (256,), 0.03)


def _hundred(seed: int) -> tuple[Rows, Rows]:
    """100 round classes in 20 columns, of 60 training and 20 test rows each."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(100), 80))
    rows = random.normal(0, 1.3, (100, 20))[labels] + random.normal(0, 1, (len(labels), 20))
    all_ = Rows(rows.astype(np.float32), labels.astype(str))
    return all_.take(np.arange(6000)), all_.take(np.arange(6000, len(labels)))


def report(updates: Sequence[Judged]) -> Iterator[str]:
    """One table a stream, kind and size by verdict; then the targets."""
    for stream in dict.fromkeys(j.stream for j in updates):
        of_stream = [j for j in updates if j.stream == stream]
        yield f"{stream}: accuracy {np.mean([j.before for j in of_stream]):.3f} before"
        yield table(
            ("update", "rows", *VERDICTS.values(), "accuracy", "at worst", "rules that fired"), list(_lines(of_stream))
        )
        yield ""
        bad, good = ([j for j in of_stream if j.good is want] for want in (False, True))
        harmful, stopped = sum(j.harmful for j in bad), sum(j.verdict != "promoted" for j in good)
        yield reached(f"{stream}: of {len(bad)} bad updates, promoted and costly", harmful, 0)
        yield reached(f"{stream}: of {len(good)} good updates, not promoted", stopped, len(good) // 50)
        renamed = [j for j in bad if j.kind in (ONE_NAME, ALL_NAMES)]
        named = float(np.mean([j.verdict == "held" and RENAMES in j.rules for j in renamed]))
        yield reached(f"{stream}: of {len(renamed)} renamed ones, held as such", named, 0.9, most=False)
        yield ""


def _lines(updates: Sequence[Judged]) -> Iterator[list[str]]:
    for kind, size in dict.fromkeys((j.kind, j.rows) for j in updates):
        same_kind = [j for j in updates if (j.kind, j.rows) == (kind, size)]
        change = [j.after - j.before for j in same_kind]
        rules = sorted({number for j in same_kind for number in j.rules})
        counts = [str(sum(j.verdict == v for j in same_kind)) for v in VERDICTS.values()]
        yield [kind, str(size), *counts, f"{np.mean(change):+.3f}", f"{min(change):+.3f}", " ".join(map(str, rules))]


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code: 0, or 2 where the data are missing."""
    arguments = _arguments(words)
    torch.set_num_threads(1)
    if arguments.numbers:
        return _numbers(arguments)
    updates: list[Judged] = []
    streams = STREAMS | {HUNDRED.name: HUNDRED}
    rounds = [(streams[name], seed) for name in arguments.streams for seed in range(arguments.seeds)]
    try:
        for name in arguments.streams:  # what is missing is said at once
            drawn(streams[name], arguments.data, seed=0)
        with bar(len(rounds)) as advance:
            for stream, seed in rounds:
                updates += judged(stream, arguments.data, seed, arguments.method)
                advance(f"{stream.name} {seed}")
    except FileNotFoundError as missing:
        print(missing, file=sys.stderr)
        return 2
    print("\n".join(report(updates)))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(j) for j in updates], indent=1) + "\n")
    return 0


def _numbers(arguments: argparse.Namespace) -> int:
    judged_batches, in_a_row, times = list[JudgedNumbers](), list[InARow](), arguments.in_a_row
    rounds = [(name, seed) for name in arguments.streams for seed in range(arguments.seeds)]
    try:
        with bar(len(rounds)) as advance:
            for name, seed in rounds:
                asked = (name, arguments.data, arguments.points, arguments.method, seed)
                if times:
                    in_a_row += judged_in_a_row(*asked, times)
                else:
                    judged_batches += judged_numbers(*asked)
                advance(f"{name} {seed}")
    except FileNotFoundError as missing:
        print(missing, file=sys.stderr)
        return 2
    print("\n".join(in_a_row_report(in_a_row) if times else number_report(judged_batches)))
    if arguments.json:
        results = [asdict(j) for j in in_a_row or judged_batches]
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.gate", description=__doc__.split("\n\n")[0] if __doc__ else None)
    usual = [name for name, stream in STREAMS.items() if stream.data in BASE_ROWS] + [HUNDRED.name]
    data_option(parser, "folder of letter.npz; with --numbers of elec2.npz, and of any NAME.npz with X, y and batch")
    parser.add_argument("--numbers", action="store_true", help="targets that are numbers")
    parser.add_argument("--streams", nargs="+", help="which data")
    parser.add_argument("--seeds", type=int, help="draws of each stream (5; with --numbers 1)")
    parser.add_argument(
        "--points", type=int, default=10, help="with --numbers: batches of a stream that come wrong, too"
    )
    parser.add_argument("--in-a-row", type=int, default=0, help="with --numbers: so many batches come wrong one by one")
    parser.add_argument("--method", default="auto", help="how every update learns")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args(words)
    arguments.streams = arguments.streams or ([*NUMBER_STREAMS] if arguments.numbers else USUAL)
    arguments.seeds = arguments.seeds or (1 if arguments.numbers else 5)
    if not arguments.numbers and (unknown := set(arguments.streams) - set(usual)):
        parser.error(f"no stream is called {', '.join(sorted(unknown))}: there are {', '.join(usual)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
