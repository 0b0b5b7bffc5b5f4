"""How well the gate tells good updates from bad ones, by the service's own updates, on rows it never sees.

    python -m benchmarks.gate [--data FOLDER] [--streams digits-images,letter,credit] [--seeds N] [--inputs]
    python -m benchmarks.gate [--data FOLDER] --relabel
    python -m benchmarks.gate --numbers [--streams price,diabetes,seasons,hotel] [--inputs] [--rows N] [--in-a-row N]

Each update is learned on the same live version and judged; none of them is promoted. FOLDER (or TSUIKA_BENCH_DATA)
holds letter.npz with X_train, y_train, X_test, y_test; digits come with scikit-learn, and hundred, 100 round classes,
is drawn. A bad update costs what accuracy falls on the test rows, against the version that was live. With `--inputs`
columns of numbers come wrong, and targets right. With `--relabel` each update says that labels change on purpose.
`benchmarks.erosion` has what comes in many small updates; `benchmarks.number_gate` has targets that are numbers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.learners.service import fired, model_of, taught
from benchmarks.number_gate import (
    VERDICTS,
    InARow,
    JudgedNumbers,
    in_a_row_report,
    judged_in_a_row,
    judged_numbers,
    number_report,
)
from benchmarks.running.command import chosen_streams, finished, parser_of, seeds, streams_options
from benchmarks.streams.known import stream_of
from benchmarks.streams.slips import slipped, slips_of
from benchmarks.streams.stream import Rows, Stream
from benchmarks.tables.records import write
from benchmarks.tables.terminal import bar, reached, table
from service.contract.inputs import InputSpec, VectorInput
from service.contract.tables import TableInput

HUNDRED = "hundred"
BASE_ROWS = {"digits-images": 600, "digits-vectors": 600, "letter": 4000, "mnist10k": 2000, HUNDRED: 3000}
LARGEST = 600
"""Rows of the live version, fewer where less than the largest update would be left; what is left makes the updates."""
TEST_ROWS = 1000
"""Test rows of images at most: each of thirty versions answers them."""
NEW_NAME = "unknown"
ONE_NAME, ALL_NAMES = "a class under a new name", 'all rows as "unknown"'
RENAMES = 12
"""Number of the rule that should hold those two."""
COSTLY = 0.02
"""Accuracy lost from which a bad update does harm."""
USUAL_ROWS = 2000
USUAL = ["digits-images", "letter", "mnist10k", HUNDRED]
USUAL_NUMBERS = ["price", "diabetes", "seasons", "market"]

Spoil = Callable[[Rows, np.random.Generator], Rows]
Late = Callable[[Rows, np.random.Generator], list[str]]
"""The classes that the live version does not know."""


def none_late(train: Rows, random: np.random.Generator) -> list[str]:
    """It knows all classes."""
    return []


def two_late(train: Rows, random: np.random.Generator) -> list[str]:
    """Any two."""
    return [str(name) for name in random.choice(np.unique(train.targets), 2, replace=False)]


def look_alike(train: Rows, random: np.random.Generator) -> list[str]:
    """One of two whose rows are hard to tell apart: class means are near in the spread of the columns within classes.

    By the seed another of the five nearest pairs.
    """
    names, codes = np.unique(train.targets, return_inverse=True)
    rows = train.inputs.reshape(len(train), -1).astype(np.float64)
    means = np.stack([rows[codes == k].mean(0) for k in range(len(names))])
    scale = (rows - means[codes]).std(0)
    means /= np.where(scale > 0, scale, 1)
    apart = ((means[:, None] - means[None]) ** 2).sum(2) + np.where(np.tri(len(names), dtype=bool), np.inf, 0)
    pair = np.argsort(apart, axis=None)[random.integers(0, 5)]
    return [str(names[np.unravel_index(pair, apart.shape)[random.integers(0, 2)]])]


def most_late(train: Rows, random: np.random.Generator) -> list[str]:
    """Nine in ten: 10 -> 100."""
    names = random.permutation(np.unique(train.targets))
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
    def live(self) -> bool:
        return self.verdict == "promoted"

    @property
    def harmful(self) -> bool:
        return self.live and self.before - self.after >= COSTLY


def honest(rows: Rows, random: np.random.Generator) -> Rows:
    """As they are."""
    return rows


def shuffled(rows: Rows, random: np.random.Generator) -> Rows:
    """Labels in any order."""
    return Rows(rows.inputs, random.permutation(rows.targets))


def swapped(rows: Rows, random: np.random.Generator) -> Rows:
    """Two classes under each other's name."""
    a, b = random.choice(np.unique(rows.targets), 2, replace=False)
    return Rows(rows.inputs, np.where(rows.targets == a, b, np.where(rows.targets == b, a, rows.targets)))


def rotated(rows: Rows, random: np.random.Generator) -> Rows:
    """Every class under the next one's name."""
    names = np.unique(rows.targets)
    return Rows(rows.inputs, names[(np.searchsorted(names, rows.targets) + 1) % len(names)])


def flipped(rows: Rows, random: np.random.Generator) -> Rows:
    """Three in ten rows of one class under another's name."""
    a, b = random.choice(np.unique(rows.targets), 2, replace=False)
    return Rows(rows.inputs, np.where((rows.targets == a) & (random.random(len(rows)) < 0.3), b, rows.targets))


def noisy(rows: Rows, random: np.random.Generator) -> Rows:
    """One row in twenty under any name."""
    wrong = random.random(len(rows)) < 0.05
    return Rows(rows.inputs, np.where(wrong, random.choice(np.unique(rows.targets), len(rows)), rows.targets))


def shifted(rows: Rows, random: np.random.Generator) -> Rows:
    """Images moved by one pixel; of a table the first column larger by two."""
    moved = rows.inputs.astype(np.float32)
    if moved.ndim > 2:
        moved[..., 1:], moved[..., 0] = rows.inputs[..., :-1], 0
    else:
        moved[:, 0] += 2
    return Rows(moved, rows.targets)


def one_renamed(rows: Rows, random: np.random.Generator) -> Rows:
    """Rows of one class alone, under a new name."""
    chosen = rows.of([str(random.choice(np.unique(rows.targets)))])
    return Rows(chosen.inputs, np.full(len(chosen), NEW_NAME))


def all_renamed(rows: Rows, random: np.random.Generator) -> Rows:
    """Rows of all classes under one new name."""
    return Rows(rows.inputs, np.full(len(rows), NEW_NAME))


def two_merged(rows: Rows, random: np.random.Generator) -> Rows:
    """Rows of two classes alone, under one new name."""
    chosen = rows.of([str(name) for name in random.choice(np.unique(rows.targets), 2, replace=False)])
    return Rows(chosen.inputs, np.full(len(chosen), NEW_NAME))


def scattered(rows: Rows, random: np.random.Generator) -> Rows:
    """One class under the names of all others, at random."""
    names = np.unique(rows.targets)
    name = random.choice(names)
    return Rows(
        rows.inputs, np.where(rows.targets == name, random.choice(names[names != name], len(rows)), rows.targets)
    )


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


def input_kinds(spec: InputSpec) -> list[Kind]:
    """Honest rows, and those of which columns of numbers are wrong, labels being right."""

    def kind(name: str) -> Kind:
        return Kind(name, False, (50, 250), lambda rows, random: slipped(rows, spec, name, random))

    return [KINDS[0], *map(kind, slips_of(spec))]


def joined(rows: Rows, random: np.random.Generator) -> Rows:
    """One class under another's name."""
    a, b = random.choice(np.unique(rows.targets), 2, replace=False)
    return Rows(rows.inputs, np.where(rows.targets == a, b, rows.targets))


def one_label(rows: Rows, random: np.random.Generator) -> Rows:
    """All rows under the name of one class."""
    return Rows(rows.inputs, np.full(len(rows), random.choice(np.unique(rows.targets))))


def columns_rotated(rows: Rows, random: np.random.Generator) -> Rows:
    """Every column in the next one's place; of images the lines of pixels, half of them on."""
    return Rows(np.roll(rows.inputs, 1 if rows.inputs.ndim == 2 else rows.inputs.shape[1] // 2, axis=1), rows.targets)


RELABELS = (
    Kind("all labels rotated", True, (50, 200), rotated),
    Kind("two classes swapped", True, (50, 200), swapped),
    Kind("a class joined to another", True, (50, 200), joined),
    Kind("columns rotated", False, (50, 200), columns_rotated),
    Kind("one label for all", False, (50, 200), one_label),
    Kind("labels of a class scattered", False, (200, 600), scattered),
    Kind("shuffled labels", False, (50, 200), shuffled),
)
"""Said to change on purpose: so they do, or they are slips."""

OF_ONE_CLASS = (one_renamed, two_merged)
"""Of these so many rows are taken of the classes that are renamed."""


def judged(stream: Stream, method: str, kinds: Sequence[Kind], expected: bool = False) -> Iterator[Judged]:
    """Every kind and size on one draw of a stream. expected: labels are said to change on purpose."""
    train, test, seed = stream.rows, drawn_test(stream), stream.seed
    for late in dict.fromkeys(kind.late for kind in kinds):
        classes = late(train, np.random.default_rng(seed))
        known = train.of(np.setdiff1d(train.targets, classes).tolist())
        base = known.take(np.arange(base_rows(stream.name, len(known), bool(classes))))
        fresh = train.of(classes) if classes else known.take(np.arange(len(base), len(known)))
        known_test = test.of(np.unique(known.targets).tolist())
        with model_of(stream, secret=b"folds %d" % seed) as model:
            taught(model, base, method, seed=seed, promote=True)
            before = model.accuracy(known_test.inputs, known_test.targets)
            model.expected = expected
            for kind in (k for k in kinds if k.late is late):
                for size in kind.sizes:
                    rows = _rows(kind, fresh, size, np.random.default_rng([seed, size]))
                    result = taught(model, rows, method, seed=seed, promote=False)
                    after = model.accuracy(known_test.inputs, known_test.targets, result)
                    rules, verdict = [rule.number for rule in fired(result)], VERDICTS[result.outcome]
                    yield Judged(stream.name, kind.name, kind.good, size, seed, verdict, rules, before, after)


def base_rows(name: str, known: int, late: bool) -> int:
    """Of so many rows of known classes how many the live version learns. late: updates bring rows of other classes"""
    left = known if late else max(known - LARGEST, known // 2)
    return min(BASE_ROWS.get(name, USUAL_ROWS), left)


def kinds_of(stream: Stream) -> list[Kind]:
    """Of two classes none comes late, and a column of a table may be no number."""
    two, mixed = len(np.unique(stream.rows.targets)) == 2, isinstance(stream.input, TableInput)
    return [k for k in KINDS if not ((two and k.late is not none_late) or (mixed and k.spoil is shifted))]


def _rows(kind: Kind, fresh: Rows, size: int, random: np.random.Generator) -> Rows:
    order = random.permutation(len(fresh))
    if kind.spoil not in OF_ONE_CLASS:
        return kind.spoil(fresh.take(order[:size]), random)
    spoiled = kind.spoil(fresh.take(order), random)
    return spoiled.take(np.arange(min(size, len(spoiled))))


def drawn_test(stream: Stream) -> Rows:
    """Of images so many rows, drawn by the seed."""
    assert stream.test is not None
    most = TEST_ROWS if stream.test.inputs.ndim > 2 else len(stream.test)
    return stream.test.take(np.random.default_rng(stream.seed).permutation(len(stream.test))[:most])


def hundred(seed: int) -> Stream:
    """Drawn: 100 round classes in 20 columns, of 60 training and 20 test rows each."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(100), 80))
    inputs = random.normal(0, 1.3, (100, 20))[labels] + random.normal(0, 1, (len(labels), 20))
    rows = Rows(inputs.astype(np.float32), labels.astype(str))
    train, test = rows.take(np.arange(6000)), rows.take(np.arange(6000, len(labels)))
    return Stream(HUNDRED, VectorInput(kind="vector", size=20), train, [], test, seed=seed)


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
        harmful, stopped = sum(j.harmful for j in bad), sum(not j.live for j in good)
        yield reached(f"{stream}: of {len(bad)} bad updates, promoted and costly", harmful, 0)
        yield reached(f"{stream}: of {len(good)} good updates, not promoted", stopped, len(good) // 50)
        renamed = [j for j in bad if j.kind in (ONE_NAME, ALL_NAMES)]
        if renamed:
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
    parser = parser_of("gate", __doc__)
    streams_options(parser)
    parser.add_argument("--numbers", action="store_true", help="the usual streams whose targets are numbers")
    parser.add_argument("--seeds", type=seeds, help="draws of each stream, how many or 1-4 (5; of numbers 1)")
    parser.add_argument("--points", type=int, default=10, help="of numbers: batches of a stream that come wrong, too")
    parser.add_argument("--in-a-row", type=int, default=0, help="of numbers: so many batches come wrong one by one")
    parser.add_argument("--rows", type=int, help="of numbers: judge the first so many rows of a batch")
    parser.add_argument("--inputs", action="store_true", help="wrong inputs in place of wrong targets")
    parser.add_argument("--relabel", action="store_true", help="labels that are said to change on purpose")
    parser.add_argument("--method", default="auto", help="how every update learns")
    arguments = parser.parse_args(words)
    arguments.streams = chosen_streams(arguments, USUAL_NUMBERS if arguments.numbers else USUAL)
    return finished(lambda: run(arguments))


AnyJudged = Judged | JudgedNumbers | InARow


def run(arguments: argparse.Namespace) -> Iterator[str]:
    """All streams and seeds; classes and numbers each by what can be wrong with them.

    A run that is cut off is not lost: the file of results has every update by then, and standard error a line of each
    stream and seed.
    """
    done = list[AnyJudged]()
    streams = [_stream(name, arguments.data, 0) for name in arguments.streams]  # what is missing is said at once
    rounds = [(s, k) for s in streams for k in arguments.seeds or range(1 if s.numbers else 5)]
    with bar(len(rounds)) as advance:
        for one, seed in rounds:
            stream = _stream(one.name, arguments.data, seed).first(arguments.batches)
            before = len(done)
            for update in _judged(stream, arguments):
                write([update], arguments.json)
                done.append(update)
            advance(f"{stream.name} {seed}: {_in_a_line(done[before:])}")
    updates = [j for j in done if isinstance(j, Judged)]
    batches = [j for j in done if isinstance(j, JudgedNumbers)]
    in_a_row = [j for j in done if isinstance(j, InARow)]
    yield from report(updates) if updates else ()
    yield from number_report(batches) if batches else ()
    yield from in_a_row_report(in_a_row) if in_a_row else ()


def _judged(stream: Stream, arguments: argparse.Namespace) -> Iterator[AnyJudged]:
    method, points = arguments.method, arguments.points
    if stream.numbers is None:
        kinds = input_kinds(stream.input) if arguments.inputs else kinds_of(stream)
        yield from judged(stream.aside(), method, RELABELS if arguments.relabel else kinds, arguments.relabel)
    elif arguments.in_a_row:
        yield from judged_in_a_row(stream, points, method, arguments.in_a_row)
    else:
        yield from judged_numbers(stream, points, method, arguments.inputs, arguments.rows)


def _in_a_line(updates: Sequence[AnyJudged]) -> str:
    good, bad = ([j for j in updates if j.good is want] for want in (True, False))
    stopped, harmful = sum(not j.live for j in good), sum(j.live and j.harmful for j in bad)
    return f"{stopped} of {len(good)} good ones stopped, {harmful} of {len(bad)} bad ones live and harmful"


def _stream(name: str, folder: Path | None, seed: int) -> Stream:
    return hundred(seed) if name == HUNDRED else stream_of(name, folder, seed)


if __name__ == "__main__":
    sys.exit(main())
