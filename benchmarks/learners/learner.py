"""The contract of everybody who learns a stream: batches in order, and rows that are answered in between."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from types import TracebackType
from typing import Any, Self

import numpy as np

from benchmarks.streams.stream import Floats, Rows, Stream
from service.contract.targets.number_target import NumberTarget


@dataclass(frozen=True, eq=False)
class Answers:
    """values: numbers [n], or probabilities [n, C] of the classes `names` · intervals [n, 2], where there are any."""

    values: Floats
    names: list[str] = field(default_factory=list)
    intervals: Floats | None = None


class Learner:
    """Learns the batches of `stream` in order.

    challenge_seconds: of the processor, of challengers, which `timed` leaves out · training_seconds: of all updates,
    without the judging · gate: what it said of each batch · chosen: the methods that learned · challenges: how each
    challenger fared · unanswered: rows that came before any version was live.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.challenge_seconds = 0.0
        self.training_seconds: float | None = None
        self.gate: list[str] = []
        self.chosen: list[str] = []
        self.challenges: list[str] = []
        self.unanswered = 0

    def learn(self, rows: Rows) -> None:
        """The next batch. Raises MethodRefused"""
        raise NotImplementedError

    def answer(self, rows: Rows) -> Answers:
        """By what was learned so far."""
        raise NotImplementedError

    def timed(self, rows: Rows) -> float:
        """Learns the next batch. -> core-seconds"""
        began, before = time.process_time(), self.challenge_seconds
        self.learn(rows)
        return time.process_time() - began - (self.challenge_seconds - before)

    @property
    def bytes(self) -> int:
        """What answers, and for peers all that must be kept to go on."""
        return 0

    @property
    def kept(self) -> int:
        """What is kept in all."""
        return self.bytes

    @property
    def features(self) -> int:
        """Width of the exact head, if there is one."""
        return 0

    @property
    def details(self) -> dict[str, Any]:
        return {}

    def facts(self) -> dict[str, Any]:
        """What every record says of it."""
        names = ("challenge_seconds", "bytes", "kept", "features", "gate", "chosen", "challenges", "details")
        return {name: getattr(self, name) for name in names}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Whatever it holds is given up."""


@cache
def why_absent(package: str) -> str | None:
    """What keeps a peer's package from being imported, None where nothing does."""
    try:
        import_module(package)
    except Exception as error:  # whatever its own imports raise
        return f"{type(error).__name__}: {error}"
    return None


def given(words: str) -> tuple[str, dict[str, Any]]:
    """A name, or a name with parameters in JSON behind colons: ridge:lift=["none","conv"]. -> name, parameters"""
    name, *more = words.split(":")
    return name, {k: json.loads(v) for k, _, v in (part.partition("=") for part in more)}


def goals(target: NumberTarget, rows: Rows) -> Floats:
    """What is learned of the targets, as the service does it: their logarithm, or the difference to a column."""
    if target.scale == "log":
        return np.asarray(np.log(rows.targets))
    return np.asarray(rows.targets - _added(target, rows))


def back(target: NumberTarget, answers: Floats, rows: Rows) -> Floats:
    """Its inverse."""
    return np.exp(answers) if target.scale == "log" else np.asarray(answers + _added(target, rows))


def _added(target: NumberTarget, rows: Rows) -> Floats | float:
    return 0.0 if target.from_ is None else np.asarray(rows.inputs[:, target.from_], np.float64)
