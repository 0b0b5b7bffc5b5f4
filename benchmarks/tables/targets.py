"""What the methods aim at on the streams of the benchmark, and whether a run got there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.tables.learned import Learned, bounds, mean
from benchmarks.tables.terminal import reached

MEASURED = ("accuracy", "forgetting", "masked_forgetting", "numpy_ridge", "last_seconds")
Measured = Mapping[str, float]
"""Means over the seeds of one method on one stream; `joint`, `joint_last`: joint retraining's accuracy and seconds."""


@dataclass(frozen=True)
class Target:
    """`value` of a method on a stream shall be at least, or with `most` at most, `limit`."""

    stream: str
    method: str
    words: str
    value: Callable[[Measured], float]
    limit: Callable[[Measured], float]
    most: bool = False

    def sentence(self, measured: Measured) -> str:
        """One line: reached or not, with the numbers."""
        words = f"{self.stream}, {self.method}: {self.words}"
        return reached(words, self.value(measured), self.limit(measured), self.most)


def _accuracy(m: Measured) -> float:
    return m["accuracy"]


def _of_joint(stream: str, share: float, method: str = "auto") -> Target:
    return Target(stream, method, f"accuracy, {share:g} of joint", _accuracy, lambda m: share * m["joint"])


TARGETS = (
    Target("digits-images", "auto", "accuracy, joint + 0.01", _accuracy, lambda m: m["joint"] + 0.01),
    Target("digits-images", "auto", "forgetting", lambda m: m["forgetting"], lambda _: 0.01, most=True),
    Target("digits-images", "auto", "masked forgetting", lambda m: m["masked_forgetting"], lambda _: 0.01, most=True),
    _of_joint("digits-vectors", 1.0),
    _of_joint("mnist10k", 1.0),
    _of_joint("letter", 0.985),
    _of_joint("clinc150", 0.975),
    _of_joint("emoji32-classes", 0.98),
    _of_joint("emoji32-styles", 0.96),
    _of_joint("emoji32-sources", 0.98),
    _of_joint("employment", 0.995),
    *(
        Target(s, "ridge", "accuracy, 0.995 of numpy's ridge", _accuracy, lambda m: 0.995 * m["numpy_ridge"])
        for s in ("digits-images", "digits-vectors", "mnist10k", "letter")
    ),
    *(
        Target(s, "den", "accuracy, pseudo-features", _accuracy, lambda _: 0.85)
        for s in ("digits-images", "digits-vectors")
    ),
    _of_joint("digits-halves", 0.95, "linear_probe"),
    Target("mnist10k", "den", "accuracy, pseudo-features", _accuracy, lambda _: 0.8),
    Target("mnist10k", "replay", "accuracy, 500 kept rows", _accuracy, lambda _: 0.87),
    Target(
        "mnist10k",
        "ridge",
        "core-seconds of the last update, 0.1 of one joint retraining",
        lambda m: m["last_seconds"],
        lambda m: 0.1 * m["joint_last"],
        most=True,
    ),
)


def targets(runs: Sequence[Learned]) -> Iterator[str]:
    """A line for each target that was measured, over the seeds that joint retraining has, too."""
    for target in TARGETS:
        bound = bounds([r for r in runs if r.stream == target.stream])
        own_runs = [r for r in runs if r.stream == target.stream and r.method == target.method and r.seed in bound]
        if own_runs:
            measured = {key: mean([getattr(r, key) for r in own_runs]) for key in MEASURED}
            joint = [bound[r.seed] for r in own_runs]
            measured |= {"joint": mean([b.accuracy for b in joint])}
            measured |= {"joint_last": mean([b.last_seconds for b in joint])}
            yield target.sentence(measured)
