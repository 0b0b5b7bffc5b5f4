"""A stream laid out for a run: what arrives in which order, what is asked, and both as features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.streams.frozen import features
from benchmarks.streams.streams import Arrival, Rows, Stream, load
from benchmarks.tables.scores import Course


@dataclass(frozen=True, eq=False)
class Laid:
    """One stream and seed. `plain`: the same with the backbone's features as inputs; None without a backbone."""

    stream: Stream
    seed: int
    arrivals: list[Arrival]
    test: Rows
    plain: Laid | None = None

    def course(self) -> Course:
        """Nothing learned yet."""
        groups = self.stream.groups(self.arrivals, self.test)
        return Course(self.test.labels, groups, alike=self.stream.kind == "domains")

    @property
    def on_features(self) -> Laid:
        """For joint retraining, peers and methods that train a network: features where there is a backbone."""
        return self.plain or self


def laid_out(stream: Stream, data: Path | None, kept: Path | None, seed: int) -> Laid:
    """Rows shuffled by the seed, in the stream's steps. kept: folder of features. Raises FileNotFoundError."""
    train, test = load(stream, data, seed)
    laid = Laid(stream, seed, stream.arrivals(train, seed), test)
    if stream.backbone is None:
        return laid
    vectors = stream.vectors
    rows, asked = load(vectors, data, seed, features(stream, data, kept))
    return Laid(stream, seed, laid.arrivals, test, Laid(vectors, seed, vectors.arrivals(rows, seed), asked))
