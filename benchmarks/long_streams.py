"""Long streams of one law: what the gate stops of honest updates, and what it lets go of many small harms.

    python -m benchmarks.long_streams [--streams made:60:0.3,letter:200:0.1] [--kinds honest,labels] [--seeds N]
        [--first ROWS] [--updates N]

A stream is a set, rows a batch, and the share of labels that are any class. Rows are drawn anew for each batch: of
*made* and *ten*, 3 and 10 classes in 12 columns by scikit-learn, of *round*, 3 round classes in 3 columns, of *rare*,
two of which one is 6 % of the rows, of *table*, which is *made* as a table, or of a set with replacement, each a little
off. *honest*: all updates are alike. Of the others each is a little worse than the one before: *labels*: more rows of
one class carry another's name, none at first and all at last; *inputs*: rows of one class come nearer to another;
*noise*: more labels are any class. *half*: in all updates but the first, half of the rows of one class carry another's
name. Fresh rows without noise tell whether a candidate that was stopped was worse than the live version, and what that
has lost at the end.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.learners.service import fired, model_of, taught
from benchmarks.running.command import data_option, finished, parser_of, seeds
from benchmarks.streams.stream import Rows, Stream, arrays
from benchmarks.tables.records import write
from benchmarks.tables.terminal import bar, reached, table
from service.contract.enums import Outcome
from service.contract.inputs import InputSpec, VectorInput
from service.contract.tables import TableInput

FRESH, MADE_ROWS = 3000, 60_000
OFF = 0.5
"""How far drawn rows lie off, in standard deviations of each column: copies would prove nothing."""
WORSE = 0.005
"""Accuracy on fresh rows by which a candidate must be worse to be stopped rightly."""
HONEST, HARM_UPDATES = "honest", 60
ROUND = ((0, 0, 0), (3, 0, 0), (0, 3, 0))
"""Where three round classes lie."""
USUAL = (
    "made:60:0.1,made:60:0.3,made:20:0.2,ten:60:0.1,rare:200:0.02,table:60:0.2,digits:20:0,digits:60:0.2,wine:20:0.2,"
    "cancer:60:0.3"
)

Batch = tuple[NDArray[np.float64], NDArray[np.str_]]
Harm = Callable[[Batch, Batch, float, np.random.Generator], Batch]


@dataclass(frozen=True)
class Law:
    """A set's name, rows a batch, and the share of labels that are any class."""

    name: str
    rows: int
    noise: float

    @staticmethod
    def read(text: str) -> list[Law]:
        """made:60:0.3,digits:20:0"""
        cut = (one.split(":") for one in text.split(","))
        return [Law(name, int(rows), float(noise)) for name, rows, noise in cut]

    def __str__(self) -> str:
        return f"{self.name}, {self.rows} rows, {100 * self.noise:.0f} %"


def drawn(name: str, folder: Path | None, seed: int) -> Batch:
    """MADE_ROWS rows of a law. Raises FileNotFoundError where data are missing."""
    from sklearn import datasets

    random = np.random.default_rng(seed)
    if name == "round":
        y = random.integers(0, len(ROUND), MADE_ROWS)
        return np.array(ROUND)[y] + random.normal(0, 1, (MADE_ROWS, 3)), y.astype(str)
    if name in ("made", "table", "ten", "rare"):
        classes, clusters = {"ten": (10, 1), "rare": (2, 2)}.get(name, (3, 2))
        x, y = datasets.make_classification(
            MADE_ROWS,
            12,
            n_informative=8,
            n_classes=classes,
            n_clusters_per_class=clusters,
            weights=[0.94] if name == "rare" else None,
            flip_y=0,
            random_state=seed,
        )
        return x, y.astype(str)
    loads = {"digits": datasets.load_digits, "wine": datasets.load_wine, "cancer": datasets.load_breast_cancer}
    if name in loads:
        x, y = loads[name](return_X_y=True)
    else:
        file = arrays(name, folder)
        x, y = file["X_train"].astype(np.float64), file["y_train"]
    which = random.integers(0, len(y), MADE_ROWS)
    return x[which] + random.normal(0, OFF, (MADE_ROWS, x.shape[1])) * x.std(0), y[which].astype(str)


def labels(batch: Batch, rows: Batch, part: float, random: np.random.Generator) -> Batch:
    """That part of the first class carries the second's name."""
    x, y = batch
    a, b = np.unique(rows[1])[:2]
    return x, np.where((y == a) & (random.random(len(y)) < part), b, y)


def inputs(batch: Batch, rows: Batch, part: float, random: np.random.Generator) -> Batch:
    """Each row of the first class has come that part of the way to one of the second."""
    x, y = batch[0].copy(), batch[1]
    a, b = np.unique(rows[1])[:2]
    others = rows[0][rows[1] == b]
    of_class = y == a
    x[of_class] += part * (others[random.integers(0, len(others), of_class.sum())] - x[of_class])
    return x, y


def noise(batch: Batch, rows: Batch, part: float, random: np.random.Generator) -> Batch:
    """That part of the labels is any class."""
    x, y = batch
    return x, np.where(random.random(len(y)) < part, random.choice(np.unique(rows[1]), len(y)), y)


def half(batch: Batch, rows: Batch, part: float, random: np.random.Generator) -> Batch:
    """Half of the first class carries the second's name."""
    return labels(batch, rows, 0.5 if part else 0.0, random)


HARMS: dict[str, Harm] = {"labels": labels, "inputs": inputs, "noise": noise, "half": half}


@dataclass(frozen=True)
class Course:
    """One stream. `stopped`: rules that fired, for each update that was stopped · `gained`: by how much each of these
    is more accurate on fresh rows than the live version · `lost`, `ungated`: accuracy of the best live version less
    that of the last, as the gate let versions go live, and had all of them gone live."""

    law: str
    kind: str
    seed: int
    updates: int
    stopped: list[list[str]]
    gained: list[float]
    lost: float
    ungated: float = 0.0

    @property
    def worse(self) -> int:
        return sum(share < -WORSE for share in self.gained)


def course(law: Law, kind: str, folder: Path | None, seed: int, updates: int, first: int | None = None) -> Course:
    """All updates of a stream, judged. first: rows of the first one, where they are others."""
    rows, random = drawn(law.name, folder, seed), np.random.default_rng([seed, 1])
    fresh = (rows[0][-FRESH:], rows[1][-FRESH:])
    first, most = first or law.rows, updates if kind in (HONEST, "half") else min(updates, HARM_UPDATES)
    updates = min(most, (MADE_ROWS - FRESH - first) // law.rows + 1)
    ends = first + law.rows * np.arange(updates)
    batches = list[Batch]()
    for k, end in enumerate(ends):
        of = slice(end - law.rows if k else 0, end)
        batch = (rows[0][of], rows[1][of])
        batch = batch if kind == HONEST else HARMS[kind](batch, rows, k / max(updates - 1, 1), random)
        batches.append(noise(batch, rows, law.noise, random))
    done = _learned(law, batches, fresh, seed, None)
    ungated = 0.0 if kind == HONEST else _learned(law, batches, fresh, seed, True).lost
    return replace(done, kind=kind, ungated=ungated)


def _learned(law: Law, batches: Sequence[Batch], fresh: Batch, seed: int, promote: bool | None) -> Course:
    width = fresh[0].shape[1]
    columns = [{"name": f"c{k}", "kind": "number"} for k in range(width)]
    spec: InputSpec = VectorInput(kind="vector", size=width)
    if law.name == "table":
        spec = TableInput.model_validate({"kind": "table", "columns": columns})
    kind = np.float64 if law.name == "table" else np.float32
    fresh_rows = Rows(fresh[0].astype(kind), fresh[1])
    stopped, gained, accuracy = list[list[str]](), list[float](), list[float]()
    with model_of(Stream(law.name, spec, fresh_rows, []), secret=b"folds %d" % seed) as model:
        for x, y in batches:
            result = taught(model, Rows(x.astype(kind), y), "auto", seed=seed, promote=promote)
            if promote or result.outcome is Outcome.PASS:
                accuracy.append(model.accuracy(fresh_rows.inputs, fresh_rows.targets))
                continue
            stopped.append([rule.name for rule in fired(result)])
            candidate = model.accuracy(fresh_rows.inputs, fresh_rows.targets, result)
            gained.append(candidate - accuracy[-1] if accuracy else 0.0)
    return Course(str(law), "", seed, len(batches), stopped, gained, max(accuracy) - accuracy[-1])


def report(courses: Sequence[Course]) -> Iterator[str]:
    """A line a law and kind, and what was stopped wrongly of all honest updates."""
    honest = [c for c in courses if c.kind == HONEST]
    if honest:
        lines = [[law, *_stopped([c for c in honest if c.law == law])] for law in dict.fromkeys(c.law for c in honest)]
        yield table(("honest", "updates", "stopped", "of these worse", "points won on average", "by"), lines)
        wrongly = sum(len(c.stopped) - c.worse for c in honest)
        yield reached("honest, stopped though no worse", wrongly / sum(c.updates for c in honest), 0.01)
    harmful = [c for c in courses if c.kind != HONEST]
    if harmful:
        yield ""
        yield table(
            ("little by little", "law", "seed", "updates", "stopped", "points lost", "without the gate", "by"),
            [
                [
                    c.kind,
                    c.law,
                    str(c.seed),
                    str(c.updates),
                    str(len(c.stopped)),
                    _points(c.lost),
                    _points(c.ungated),
                    _rules([c]),
                ]
                for c in harmful
            ],
        )


def _stopped(courses: Sequence[Course]) -> list[str]:
    gained = [share for c in courses for share in c.gained]
    counts = (sum(c.updates for c in courses), len(gained), sum(c.worse for c in courses))
    return [*map(str, counts), _points(float(np.mean(gained))) if gained else "", _rules(courses)]


def _rules(courses: Sequence[Course]) -> str:
    """The rule that decided, and how often, most first."""
    counts = Counter(rules[0] for c in courses for rules in c.stopped)
    return ", ".join(f"{name} {n}" for name, n in counts.most_common())


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code: 0, or 2 where the data are missing."""
    parser = parser_of("long_streams", __doc__)
    data_option(parser)
    parser.add_argument("--streams", type=Law.read, default=USUAL, help="set:rows:noise, with commas")
    kinds = [HONEST, *HARMS]
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=kinds, help=f"of {', '.join(kinds)}")
    parser.add_argument("--seeds", type=seeds, default="2", help="draws of each stream, how many or 1-4")
    parser.add_argument("--first", type=int, help="rows of the first update (as many as of the others)")
    parser.add_argument(
        "--updates", type=int, default=240, help="of an honest stream, and of half; of the others 60 at most"
    )
    arguments = parser.parse_args(words)

    def run() -> Iterator[str]:
        courses: list[Course] = []
        rounds = [(law, kind, k) for law in arguments.streams for kind in arguments.kinds for k in arguments.seeds]
        with bar(len(rounds)) as advance:
            for law, kind, seed in rounds:
                courses.append(course(law, kind, arguments.data, seed, arguments.updates, arguments.first))
                advance(f"{law} {seed}: {kind}")
        write(courses, arguments.json)
        yield from report(courses)

    return finished(run)


if __name__ == "__main__":
    sys.exit(main())
