"""How any version of a lineage answers the same rows: trusted ones, and those of an update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from service.learning.data.near_duplicates import parted
from service.learning.data.rows import Bools, FeatureRows, Rows
from service.learning.evaluation.assessment import places_of_same
from service.learning.exact.source_heads import answered_by_source
from service.learning.ledger.feature_space import Space, extracted, rounded
from service.learning.ledger.ledger import Ledger
from service.learning.network.checkpoint import VALUES, Checkpoint
from service.learning.network.network import Network, build
from service.learning.update_data import Data

Logits = NDArray[np.float64]
Outputs = Callable[[slice], Logits]
"""Columns of a head, or features, of some rows. -> [rows, C] or [rows, M]"""


@dataclass(eq=False)
class ExamRows:
    """Trusted rows and the update's own rows, as any version of the lineage answers them.

    `raw`: one of the versions has features of its own, so raw inputs are needed. `last`: rows of so many latest batches
    alone are trusted; None: of all.
    """

    data: Data
    space: Space
    ledger: Ledger
    raw: bool = False
    last: int | None = None

    @cached_property
    def trusted(self) -> FeatureRows:
        """Trusted rows with rounded features; asked for once it is known which versions answer.

        Where raw inputs are needed, those alone that are still kept: all versions must answer the same rows.
        """
        exam = self.ledger.exam if self.last is None else self.data.recent_features(self.last, self.space)
        if not self.raw or self.data.kept_rows == self.data.known_rows:
            return exam
        kept = self.raw_trusted
        return exam.take(np.sort(places_of_same(exam, kept.batches, kept.batch, kept.row)[0]))

    @property
    def raw_trusted(self) -> Rows:
        """Trusted rows as they came, those that are still kept; in another order."""
        return self.data.exam if self.last is None else self.data.recent_exam(self.last)

    @property
    def older(self) -> FeatureRows:
        """Trusted rows of batches that are too old to judge by, with rounded features."""
        exam = self.ledger.exam
        return exam.take(slice(0) if self.last is None else ~exam.in_batches(self.trusted.batches))

    @property
    def batch(self) -> FeatureRows:
        """The update's own rows with rounded features."""
        return self.data.entry(self.space)

    def unlearned(self, answers: Logits) -> Logits:
        """What a head that never saw a judging fold answers to the update's own rows; NaN for a row that it learned, or
        that has a near-duplicate among those. answers [n, C] -> [n, C]"""
        single = self.batch.judging & ~parted(self.batch.marks, self.batch.folds)
        return np.where(single[:, None], answers, np.nan)

    def answered_by(self, version: Checkpoint) -> VersionAnswers:
        """A version's answers to these rows, none of them computed yet."""
        space = Space.of(version) if version.layout.shift is not None else None
        same_space = space is not None and space.id == self.space.id
        self.raw = self.raw or not same_space
        return VersionAnswers(self, version, build(version) if space is None else space.network, same_space)


@dataclass(frozen=True, eq=False)
class VersionAnswers:
    """A version's answers to exam rows. `same_space`: its features are those of the rows, so its head alone is
    computed."""

    rows: ExamRows
    version: Checkpoint
    network: Network
    same_space: bool

    def trusted_outputs(self) -> Outputs:
        """Columns of the head that never saw a judging fold, for some of the trusted rows: logits, or numbers in
        units."""
        return self._judged(self.rows.trusted, lambda: self.rows.raw_trusted)

    def older_outputs(self) -> Outputs | None:
        """Columns of the head that never saw a judging fold, for trusted rows that are too old to judge by; None where
        raw inputs are needed that were deleted."""
        if not self.same_space and self.rows.data.kept_rows < self.rows.data.known_rows:
            return None
        return self._judged(self.rows.older, lambda: self.rows.data.exam)

    def batch_outputs(self) -> Outputs:
        """Columns of the served head, for some of the update's own rows."""
        batch = self.rows.batch
        features = self._features(*self._known_batch())

        def outputs(rows: slice) -> Logits:
            some = features(rows)
            return answered_by_source(self.version, "head", batch.take(rows), some, _head(self.network, some))

        return outputs

    def novel(self) -> Bools:
        """Which of the update's own rows have a value of a category that the version never learned. [n]"""
        raw = self.rows.data.batch
        if VALUES not in self.version.parts or not len(raw):
            return np.zeros(len(self.rows.batch), bool)
        return self.version.learned_values().novel(raw.inputs)

    def _known_batch(self) -> tuple[FeatureRows, Callable[[], Rows]]:
        """The update's own rows, with features and raw; of tables, values that the version never learned are missing,
        as they are where it serves."""
        batch, raw = self.rows.batch, self.rows.data.batch
        if VALUES not in self.version.parts or not len(raw):
            return batch, lambda: raw
        unknown = self.version.learned_values().unknown(raw.inputs)
        changed = unknown.any(1)
        known = replace(raw, inputs=np.where(unknown, np.nan, raw.inputs)) if changed.any() else raw
        if changed.any() and self.same_space:
            features = batch.inputs.copy()
            features[changed, : self.rows.space.features] = rounded(self.rows.space, known.inputs[changed])
            batch = batch.with_features(features)
        return batch, lambda: known

    def _judged(self, trusted: FeatureRows, raw: Callable[[], Rows]) -> Outputs:
        features = self._features(trusted, lambda: _aligned(raw(), trusted))
        judge = self.version.parts.get("judge")
        if judge is None:
            return lambda rows: _head(self.network, features(rows))
        weight, bias = judge["weight"].double().numpy(), judge["bias"].double().numpy()

        def outputs(rows: slice) -> Logits:
            some = features(rows)
            return answered_by_source(self.version, "judge", trusted.take(rows), some, some @ weight.T + bias)

        return outputs

    def _features(self, rows: FeatureRows, raw: Callable[[], Rows]) -> Outputs:
        """Features of some rows: those that they have, in the same space, else by the network of the version."""
        if not self.same_space:
            features = extracted(self.network, raw().inputs).double().numpy()
            return lambda some: features[some]
        return lambda some: rows.take(some).values(self.rows.space.shift)[:, : self.rows.space.features]


def _head(network: Network, features: Logits) -> Logits:
    with torch.no_grad():
        return network.logits(torch.from_numpy(features.astype(np.float32))).double().numpy()


def _aligned(raw: Rows, like: Rows) -> Rows:
    """Raw rows in the order of `like`: the same rows, by batch and number."""
    places, of_raw = places_of_same(like, raw.batches, raw.batch, raw.row)
    assert len(places) == len(like), "every row of these is kept raw"
    return raw.take(of_raw[np.argsort(places)])
