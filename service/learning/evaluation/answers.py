"""What a version answers, and how answers are scored: masked and unmasked, before and after, over a whole lineage.

*Masked* accuracy scores old rows over old columns only: what was forgotten. *Intrusion* is the share of old rows that
are answered with a new class. Forgetting follows Chaudhry et al. (2018), backward transfer Lopez-Paz and Ranzato
(2017).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from service.contract.report import ClassScore, Score
from service.learning.data.rows import Bools, Ints, Rows
from service.learning.statistics import Paired
from service.learning.tables import parts, row_by_row

Floats = NDArray[np.float64]
CALIBRATION_BINS = 15


@dataclass(frozen=True, eq=False)
class Answers:
    """Scores of n rows. probabilities [n, C], one column a class; a row of NaN was not judged."""

    classes: tuple[str, ...]
    probabilities: Floats

    @cached_property
    def judged(self) -> Bools:
        """Rows that were answered at all. -> [n]"""
        if not self.classes:
            return np.zeros(len(self.probabilities), bool)
        return row_by_row(self.probabilities, lambda some: np.asarray(~np.isnan(some).any(1)))

    @cached_property
    def best(self) -> Ints:
        """Column of the top score, ties to the first class by name; -1 where not judged. -> [n]"""
        if not self.classes:
            return np.full(len(self.probabilities), -1, np.int64)
        by_name = np.array(sorted(range(len(self.classes)), key=lambda k: self.classes[k]), np.int64)
        first = row_by_row(self.probabilities, lambda some: np.asarray(some.take(by_name, 1).argmax(1)))
        return np.where(self.judged, by_name[first], -1)

    @cached_property
    def scores(self) -> Floats:
        """The top score; NaN where not judged. -> [n]"""
        if not self.classes:
            return np.full(len(self.probabilities), np.nan)
        return np.where(self.judged, self.probabilities.max(1), np.nan)

    def names(self) -> list[str]:
        """The answer to each row; "" where not judged."""
        return [self.classes[k] if k >= 0 else "" for k in self.best]

    def right(self, rows: Rows) -> Bools:
        """Which answers are the rows' labels. rows [n] -> [n]"""
        return np.asarray(self.judged & (self.best == rows.codes(self.classes)))

    def among(self, classes: Iterable[str]) -> Bools:
        """Which answers are one of these classes. -> [n]"""
        wanted = frozenset(classes)
        return np.array([name in wanted for name in self.classes] + [False])[self.best]

    def over(self, classes: Iterable[str]) -> Answers:
        """The same scores over those columns only, as if the others did not exist."""
        wanted = frozenset(classes)
        if wanted.issuperset(self.classes):
            return self
        keep = [k for k, name in enumerate(self.classes) if name in wanted]
        large = len(parts(*self.probabilities.shape)) > 1
        if large and keep == list(range(len(keep))):  # a view, and no second table
            return Answers(self.classes[: len(keep)], self.probabilities[:, : len(keep)])
        return Answers(tuple(self.classes[k] for k in keep), self.probabilities[:, keep])

    def take(self, which: Bools | Ints) -> Answers:
        """The rows of a mask or of an index array, in that order."""
        if np.array_equal(np.arange(len(self.probabilities))[which], np.arange(len(self.probabilities))):
            return self
        return Answers(self.classes, self.probabilities[which])


def score(right: Bools, rows: Rows) -> Score | None:
    """Accuracy, the mean over classes, and each class; null without rows. right [n], rows [n]"""
    if not len(rows):
        return None
    classes = class_scores(right, rows)
    return Score(
        accuracy=float(right.mean()),
        balanced_accuracy=float(np.mean([c.accuracy for c in classes.values()])),
        rows=len(rows),
        classes=classes,
    )


def scored(answers: Answers, rows: Rows) -> Score | None:
    """The same of answers, with how far their scores can be trusted."""
    plain = score(answers.right(rows), rows)
    return plain and plain.model_copy(update={"ece": calibration_error(answers, rows)})


def calibration_error(answers: Answers, rows: Rows) -> float | None:
    """Expected calibration error: over bins of the top score, |share right - mean score|, weighted by their rows.

    15 bins of equal width (Guo et al., "On calibration of modern neural networks", ICML 2017); null where nothing was
    judged. answers [n], rows [n]
    """
    judged = answers.judged
    if not judged.any():
        return None
    top, right = answers.scores[judged], answers.right(rows)[judged]
    place = np.clip(np.ceil(top * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)
    apart = np.bincount(place, weights=right - top, minlength=CALIBRATION_BINS)
    return float(np.abs(apart).sum() / len(top))


def class_scores(right: Bools, rows: Rows) -> dict[str, ClassScore]:
    """Recall of each class that has rows, by name."""
    n = np.bincount(rows.labels, minlength=len(rows.names))
    hits = np.bincount(rows.labels, weights=right, minlength=len(rows.names))
    found = {
        name: ClassScore(accuracy=float(h / k), rows=int(k))
        for name, h, k in zip(rows.names, hits, n, strict=True)
        if k
    }
    return dict(sorted(found.items()))


@dataclass(frozen=True, eq=False)
class Bits:
    """Right or wrong of one promoted version on its trusted rows, kept so that small losses cannot add up unseen.

    `classes`: the columns it had. batch [n] indexes `batches`, row [n], right [n].
    """

    classes: tuple[str, ...]
    batches: tuple[str, ...]
    batch: NDArray[np.int32]
    row: NDArray[np.int32]
    right: Bools

    @staticmethod
    def of(rows: Rows, right: Bools, classes: Sequence[str]) -> Bits:
        """rows [n], right [n]"""
        return Bits(
            tuple(classes),
            rows.batches,
            rows.batch.astype(np.int32),
            rows.row.astype(np.int32),
            np.asarray(right, bool),
        )

    def against(self, candidate: Answers, rows: Rows, few: int = 1) -> tuple[Paired, dict[str, Paired]]:
        """That version and the candidate on the rows both were asked about, over the columns that version had; the same
        of each class that has `few` of these rows or more."""
        at = {batch: k for k, batch in enumerate(self.batches)}
        batch = np.array([at.get(b, -1) for b in rows.batches], np.int64)[rows.batch]
        shared = np.flatnonzero(batch >= 0)
        _, found, theirs = np.intersect1d(
            _key(batch[shared], rows.row[shared]),
            _key(self.batch, self.row),
            assume_unique=True,
            return_indices=True,
        )
        mine = shared[found]
        answered = candidate.judged[mine]
        before, after = self.right[theirs[answered]], candidate.over(self.classes).right(rows)[mine[answered]]
        labels = rows.labels[mine[answered]]
        counts = np.bincount(labels, minlength=len(rows.names))
        classes = {rows.names[k]: labels == k for k in np.flatnonzero(counts >= few)}
        return Paired.of(before, after), {c: Paired.of(before[m], after[m]) for c, m in classes.items()}

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Plain arrays, for a safetensors shard; names travel as the bytes of a JSON text."""
        names = json.dumps([self.classes, self.batches], ensure_ascii=False).encode()
        return {
            "batch": self.batch,
            "row": self.row,
            "right": self.right.astype(np.uint8),
            "names": np.frombuffer(names, np.uint8).copy(),
        }

    @staticmethod
    def load(arrays: Mapping[str, ArrayLike]) -> Bits:
        """The reverse of `arrays`; takes torch tensors too."""
        classes, batches = json.loads(np.asarray(arrays["names"]).tobytes())
        return Bits(
            tuple(classes),
            tuple(batches),
            np.asarray(arrays["batch"], np.int32),
            np.asarray(arrays["row"], np.int32),
            np.asarray(arrays["right"]).astype(bool),
        )


def _key(batch: NDArray[np.integer], row: NDArray[np.integer]) -> Ints:
    return (batch.astype(np.int64) << 32) | row.astype(np.int64)


def forgetting(accuracy: Floats) -> float:
    """Mean over all parts but the last of (best accuracy before the last update - accuracy now).

    accuracy [T, T]: row i = after update i, column j = on what update j brought; above the diagonal nothing is read.
    """
    last = len(accuracy) - 1
    return float(np.mean([accuracy[j:last, j].max() - accuracy[last, j] for j in range(last)])) if last > 0 else 0.0


def backward_transfer(accuracy: Floats) -> float:
    """Mean over all parts but the last of (accuracy now - accuracy when it was learned). accuracy [T, T] as above."""
    last = len(accuracy) - 1
    return float(np.mean([accuracy[last, j] - accuracy[j, j] for j in range(last)])) if last > 0 else 0.0
