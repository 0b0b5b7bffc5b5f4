"""What the methods aim at on the streams of the benchmark, and whether a run got there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.telling import reached

Measured = Mapping[str, float]
"""Means over the seeds of one method on one stream, `joint` among them."""


@dataclass(frozen=True)
class Target:
    """`value` of a method on a stream shall be at least, or with `most` at most, `limit`."""

    stream: str
    method: str
    words: str
    value: Callable[[Measured], float]
    limit: Callable[[Measured], float]
    most: bool = False

    def told(self, measured: Measured) -> str:
        """One line: reached or not, with the numbers."""
        words = f"{self.stream}, {self.method}: {self.words}"
        return reached(words, self.value(measured), self.limit(measured), self.most)


def _accuracy(m: Measured) -> float:
    return m["accuracy"]


TARGETS = (
    Target("digits-images", "auto", "accuracy, joint + 0.01", _accuracy, lambda m: m["joint"] + 0.01),
    Target("digits-images", "auto", "forgetting", lambda m: m["forgetting"], lambda _: 0.01, most=True),
    Target("digits-images", "auto", "masked forgetting", lambda m: m["masked_forgetting"], lambda _: 0.01, most=True),
    Target("digits-vectors", "auto", "accuracy, joint", _accuracy, lambda m: m["joint"]),
    Target("mnist10k", "auto", "accuracy, joint", _accuracy, lambda m: m["joint"]),
    Target("letter", "auto", "accuracy, 0.98 of joint", _accuracy, lambda m: 0.98 * m["joint"]),
    *(
        Target(s, "ridge", "accuracy, 0.995 of numpy's ridge", _accuracy, lambda m: 0.995 * m["numpy_ridge"])
        for s in ("digits-images", "digits-vectors", "mnist10k", "letter")
    ),
    *(
        Target(s, "den", "accuracy, pseudo-features", _accuracy, lambda _: 0.85)
        for s in ("digits-images", "digits-vectors")
    ),
    Target("mnist10k", "replay", "accuracy, 500 kept rows", _accuracy, lambda _: 0.87),
)


def targets(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each target that was measured."""
    for target in TARGETS:
        mine = [r for r in found if r["stream"] == target.stream and r["method"] == target.method]
        bound = [r["accuracy"] for r in found if r["stream"] == target.stream and r["method"] == "joint"]
        if mine:
            numbers = [key for key, value in mine[0].items() if isinstance(value, float)]
            yield target.told(
                {key: float(np.mean([r[key] for r in mine])) for key in numbers} | {"joint": np.mean(bound)}
            )
