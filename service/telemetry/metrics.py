"""Figures of a process for Prometheus, and their text format, version 0.0.4.

Counters and histograms stand in the module that counts, as in any client of Prometheus; a gauge is read when somebody
asks. They are our own: on the way of a prediction a counter and a histogram of `prometheus_client`, which take locks,
cost four times as much (2.2 against 0.5 microseconds, its version 0.26).
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Bounds of the buckets of what takes between a millisecond and half a minute."""
OTHER = "(other)"
"""In place of the name of a model beyond those that are named; no model is called so."""

Labels = tuple[tuple[str, str], ...]


class Sample(NamedTuple):
    """One line. `ending`: of the name of its family, as in `_bucket`."""

    labels: Labels
    value: float
    ending: str = ""


class Family(NamedTuple):
    """Figures of one name. `kind`: counter, gauge or histogram."""

    name: str
    kind: str
    help: str
    samples: Sequence[Sample]


class NamedModels:
    """The models that figures name, the first that are met, so that many models do not become many series."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._names: set[str] = set()

    def label(self, name: str) -> str:
        """The name, or that of the others together."""
        if name in self._names or len(self._names) < self.most:
            self._names.add(name)
            return name
        return OTHER

    def known(self, name: str) -> str:
        """The name of a model that figures name already; an address may name any."""
        return name if name in self._names else OTHER


NAMED = NamedModels(100)
"""Of this process."""


class Counter:
    """Counts by labels, in any thread. `names`: of its labels; that of a model, `model`, is bounded."""

    def __init__(self, name: str, help: str, names: Sequence[str] = ()) -> None:
        self._name, self._help, self._names = name, help, names
        self._values: dict[tuple[str, ...], float] = {} if names else {(): 0.0}
        self._lock = threading.Lock()
        _counting.append(self)

    def add(self, *values: str, by: float = 1.0) -> None:
        """Counts one more. `values`: of its labels, in their order."""
        key = tuple(NAMED.label(v) if n == "model" else v for n, v in zip(self._names, values, strict=True))
        with self._lock:
            self._values[key] = self._values.get(key, 0.0) + by

    def family(self) -> Family:
        with self._lock:
            samples = [Sample(tuple(zip(self._names, key, strict=True)), v) for key, v in self._values.items()]
        return Family(self._name, "counter", self._help, samples)


class Buckets:
    """One distribution; used in one thread, or under a lock."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds, self.counts, self.sum = bounds, [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def samples(self, labels: Labels = ()) -> Iterator[Sample]:
        """Its lines: how many values are at most each bound, their sum, and how many there are."""
        below = 0
        for bound, count in zip((*map(_number, self._bounds), "+Inf"), self.counts, strict=True):
            below += count
            yield Sample((*labels, ("le", bound)), below, "_bucket")
        yield Sample(labels, self.sum, "_sum")
        yield Sample(labels, below, "_count")


class Histogram:
    """Distributions by labels, in any thread."""

    def __init__(self, name: str, help: str, names: Sequence[str] = (), bounds: tuple[float, ...] = SECONDS) -> None:
        self._name, self._help, self._names, self._bounds = name, help, names, bounds
        self._values: dict[tuple[str, ...], Buckets] = {}
        self._lock = threading.Lock()
        _counting.append(self)

    def observe(self, value: float, *labels: str) -> None:
        with self._lock:
            if (buckets := self._values.get(labels)) is None:
                buckets = self._values[labels] = Buckets(self._bounds)
            buckets.observe(value)

    def family(self) -> Family:
        with self._lock:
            samples = [
                sample
                for key, buckets in self._values.items()
                for sample in buckets.samples(tuple(zip(self._names, key, strict=True)))
            ]
        return Family(self._name, "histogram", self._help, samples)


_counting: list[Counter | Histogram] = []


def counted() -> list[Family]:
    """What all counters and histograms of this process have counted."""
    return [each.family() for each in _counting]


def gauge(name: str, help: str, value: float, kind: str = "gauge") -> Family:
    """One figure, without labels, as it is now."""
    return Family(name, kind, help, [Sample((), value)])


def of_models(families: Iterable[Family], sees: Callable[[str], bool]) -> Iterator[Family]:
    """The figures that name a model which exists for a caller, and no others."""
    for family in families:
        shown = [s for s in family.samples if any(n == "model" and sees(v) for n, v in s.labels)]
        if shown:
            yield family._replace(samples=shown)


def text_of(families: Iterable[Family]) -> str:
    """The figures as Prometheus reads them."""
    return "".join(_text_of(family) for family in families if family.samples)


def _text_of(family: Family) -> str:
    lines = [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
    for labels, value, ending in family.samples:
        pairs = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels)
        lines.append(f"{family.name}{ending}{f'{{{pairs}}}' if pairs else ''} {_number(value)}")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else repr(value)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
