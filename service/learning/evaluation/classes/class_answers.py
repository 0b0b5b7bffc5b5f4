"""What a version answers, and how answers are scored.

*Masked* accuracy scores old rows over old columns alone: it shows what was forgotten. Forgetting follows Chaudhry et
al. (2018), backward transfer Lopez-Paz and Ranzato (2017).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from service.contract.reports.class_report import ClassScore, Commonest, Confusion, Score
from service.learning.data.matrices import matrix, parts, row_by_row
from service.learning.data.rows import Bools, Floats, Ints, Rows
from service.learning.evaluation.assessment import ExamAnswers
from service.learning.evaluation.version_answers import Logits, Outputs, VersionAnswers
from service.learning.ledger.ledger import Ledger
from service.learning.method import Learned

CALIBRATION_BINS = 15
MOST_CONFUSIONS = 100
"""A report lists at most so many: those of ten classes are all there."""
FAINT = math.exp(-30)
"""Scores below this are alike."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers to n rows. probabilities [n, C], one column a class; a row of NaN was not judged. gained [C]: how much of
    the logarithm of each class's probability is what its share counts; None: nothing."""

    classes: tuple[str, ...]
    probabilities: Floats
    gained: Floats | None = None

    @cached_property
    def judged(self) -> Bools:
        """Rows that have an answer. -> [n]"""
        if not self.classes:
            return np.zeros(len(self.probabilities), bool)
        return row_by_row(self.probabilities, lambda rows: np.asarray(~np.isnan(rows).any(1)))

    @cached_property
    def best(self) -> Ints:
        """The column of the top score, ties to the first class by name; -1 where not judged. -> [n]"""
        if not self.classes:
            return np.full(len(self.probabilities), -1, np.int64)
        by_name = np.array(sorted(range(len(self.classes)), key=lambda k: self.classes[k]), np.int64)
        first = row_by_row(self.probabilities, lambda rows: np.asarray(rows.take(by_name, 1).argmax(1)))
        return np.where(self.judged, by_name[first], -1)

    @cached_property
    def scores(self) -> Floats:
        """The top score; NaN where not judged. -> [n]"""
        if not self.classes:
            return np.full(len(self.probabilities), np.nan)
        return np.where(self.judged, self.probabilities.max(1), np.nan)

    @cached_property
    def _second(self) -> Floats:
        """The top score but one; 0 with a single column. -> [n]"""
        if len(self.classes) < 2:
            return np.zeros(len(self.probabilities))
        return row_by_row(self.probabilities, lambda rows: np.asarray(np.partition(rows, -2, 1)[:, -2]))

    def margins(self, rows: Rows) -> Floats:
        """How far each row's label is above the best other class, as the logarithm of their scores' ratio, cut off at
        +-30; NaN where not judged, and of labels that have no column. Without what shares count, which is a setting:
        it raises common classes above rare ones. rows [n] -> [n]"""
        if self.gained is not None:
            return self.even().margins(rows)
        codes = rows.codes(self.classes)
        known = self.judged & (codes >= 0)
        own = np.where(known, self.probabilities[np.arange(len(codes)), codes], np.nan) if self.classes else self.scores
        other = np.where(self.best == codes, self._second, self.scores)
        return np.asarray(np.log(np.maximum(own, FAINT) / np.maximum(other, FAINT)), np.float64)

    def even(self) -> Answers:
        """The answers without what shares count; their order and ratios alone are of use."""
        if self.gained is None:
            return self
        kept, (rows, columns) = np.exp(-self.gained), self.probabilities.shape
        return Answers(self.classes, matrix(rows, columns, lambda some: np.asarray(self.probabilities[some] * kept)))

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
        """The answers over these columns alone, as if the others did not exist."""
        wanted = frozenset(classes)
        if wanted.issuperset(self.classes):
            return self
        keep = [k for k, name in enumerate(self.classes) if name in wanted]
        large = len(parts(*self.probabilities.shape)) > 1
        if large and keep == list(range(len(keep))):  # a view, and no second table
            return Answers(self.classes[: len(keep)], self.probabilities[:, : len(keep)], self._gained(keep))
        return Answers(tuple(self.classes[k] for k in keep), self.probabilities[:, keep], self._gained(keep))

    def _gained(self, columns: list[int]) -> Floats | None:
        return None if self.gained is None else self.gained[columns]

    def take(self, which: Bools | Ints | slice) -> Answers:
        """The answers to the rows of a mask, of an index array or of a slice, in that order."""
        every = np.arange(len(self.probabilities))
        if np.array_equal(every[which], every):
            return self
        return Answers(self.classes, self.probabilities[which], self.gained)


def base_answers(version: VersionAnswers) -> ExamAnswers[Answers]:
    """Trusted rows by the head that never saw a judging fold, the batch by the head that is served."""
    return ExamAnswers(_trusted(version), _batch(version))


def candidate_answers(version: VersionAnswers, learned: Learned) -> ExamAnswers[Answers]:
    """Trusted rows by the head that never saw a judging fold, the batch by heads that never saw the row; NaN where
    there is none."""
    if learned.out_of_fold is not None:
        return ExamAnswers(_trusted(version), replace(own_answers(learned), gained=_gained(version)))
    served = _batch(version)
    return ExamAnswers(_trusted(version), replace(served, probabilities=version.rows.unlearned(served.probabilities)))


def own_answers(learned: Learned) -> Answers:
    """Answers to the update's own rows out of fold."""
    version, logits = learned.checkpoint, learned.out_of_fold
    assert logits is not None
    return softmax(version.classes, logits, version.layout.temperature)


def older_answers(version: VersionAnswers) -> Answers | None:
    """Answers to trusted rows that are too old to judge by; None where raw inputs are needed that were deleted."""
    outputs = version.older_outputs()
    return None if outputs is None else _answers(version, len(version.rows.older), outputs)


def softmax(classes: tuple[str, ...], logits: Logits, temperature: float = 1.0) -> Answers:
    """Probabilities of logits [n, C] over the temperature; rows of NaN stay."""
    rows, columns = logits.shape
    return Answers(classes, matrix(rows, columns, lambda some: _probabilities(logits[some] / temperature)))


def _trusted(version: VersionAnswers) -> Answers:
    return _answers(version, len(version.rows.trusted), version.trusted_outputs())


def _batch(version: VersionAnswers) -> Answers:
    return _answers(version, len(version.rows.batch), version.batch_outputs())


def _answers(answered: VersionAnswers, rows: int, logits: Outputs) -> Answers:
    """Answers to so many rows whose logits are given a few at a time."""
    classes, temperature = answered.version.classes, answered.version.layout.temperature
    probabilities = matrix(rows, len(classes), lambda some: _probabilities(logits(some) / temperature))
    return Answers(classes, probabilities, _gained(answered))


def _gained(answered: VersionAnswers) -> Floats | None:
    """`Answers.gained` of a version: of an exact head that counts shares."""
    layout, sums = answered.version.layout, answered.rows.ledger.unjudged
    if layout.exact is None or not layout.exact.log_share:
        return None
    learned = dict(zip(sums.classes, sums.n.tolist(), strict=True))
    rows = np.array([max(learned.get(name, 0.0), 1.0) for name in answered.version.classes])
    return np.asarray(layout.exact.log_share / layout.temperature * np.log(rows / rows.max()))


def _probabilities(logits: Logits) -> Logits:
    top = logits.max(1, keepdims=True) if logits.size else logits
    raised = np.exp(logits - top)
    return np.asarray(raised / raised.sum(1, keepdims=True))


def standing_for(rows: Rows, ledger: Ledger) -> Floats:
    """How many learned rows of its class each stands for, 1 on average: trusted rows are bounded by class, so of rare
    ones a greater part is kept. -> [n]"""
    learned = dict(zip(ledger.all.classes, ledger.all.n, strict=True))
    kept = np.bincount(rows.labels, minlength=len(rows.names))
    each = np.array([learned.get(name, 0.0) for name in rows.names]) / np.maximum(kept, 1)
    counts = each[rows.labels]
    return np.asarray(counts / counts.mean())


def scored(answers: Answers, rows: Rows, counts: Floats | None = None) -> Score | None:
    """Accuracy, its mean over the classes, that of each class, the calibration error, and what is taken for what; None
    without rows. counts [n]: how many rows each stands for in accuracy and calibration error"""
    if not len(rows):
        return None
    right = answers.right(rows)
    classes = class_scores(right, rows)
    return Score(
        accuracy=float(np.average(right, weights=counts)),
        balanced_accuracy=float(np.mean([c.accuracy for c in classes.values()])),
        rows=len(rows),
        classes=classes,
        ece=calibration_error(answers, rows, counts),
        confusions=confusions(answers, rows),
        commonest=commonest(rows, counts),
    )


def commonest(rows: Rows, counts: Floats | None = None) -> Commonest | None:
    """What always saying the commonest label of rows is right on; None without rows. counts [n]: as of `scored`"""
    if not len(rows):
        return None
    shares = np.bincount(rows.labels, weights=counts, minlength=len(rows.names))
    shares = shares / shares.sum()
    most = max(np.argsort(rows.names), key=lambda k: shares[k])
    return Commonest(class_=rows.names[most], accuracy=float(shares[most]), rows=len(rows))


def confusions(answers: Answers, rows: Rows) -> list[Confusion]:
    """Wrong answers to judged rows, counted by class and answer: those of the most rows first, at most
    MOST_CONFUSIONS. answers [n], rows [n]"""
    wrong, width = answers.judged & ~answers.right(rows), max(len(answers.classes), 1)
    pairs, counts = np.unique(rows.labels[wrong].astype(np.int64) * width + answers.best[wrong], return_counts=True)
    frequent = np.argsort(-counts, kind="stable")[:MOST_CONFUSIONS]
    return [
        Confusion(class_=rows.names[pairs[k] // width], answer=answers.classes[pairs[k] % width], rows=int(counts[k]))
        for k in frequent
    ]


def calibration_error(answers: Answers, rows: Rows, counts: Floats | None = None) -> float | None:
    """Expected calibration error: over bins of the top score, |share right - mean score|, weighted by their rows, of
    which each stands for `counts`.

    15 bins of equal width (Guo et al., "On calibration of modern neural networks", ICML 2017); None where nothing was
    judged. answers [n], rows [n]
    """
    judged = answers.judged
    if not judged.any():
        return None
    top, right = answers.scores[judged], answers.right(rows)[judged]
    bins = np.clip(np.ceil(top * CALIBRATION_BINS).astype(np.int64) - 1, 0, CALIBRATION_BINS - 1)
    counts = np.ones(len(top)) if counts is None else counts[judged]
    gaps = np.bincount(bins, weights=(right - top) * counts, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / counts.sum())


def class_scores(right: Bools, rows: Rows) -> dict[str, ClassScore]:
    """Recall of each class that has rows, by name."""
    counts = np.bincount(rows.labels, minlength=len(rows.names))
    hits = np.bincount(rows.labels, weights=right, minlength=len(rows.names))
    of_classes = sorted(zip(rows.names, hits, counts, strict=True))
    return {name: ClassScore(accuracy=float(h / n), rows=int(n)) for name, h, n in of_classes if n}
