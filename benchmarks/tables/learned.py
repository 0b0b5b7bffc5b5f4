"""What was measured: one record a run, kept as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables.scores import Course

JOINT = "joint"


@dataclass(frozen=True)
class Learned:
    """One method on one stream and seed, after the last step. `bytes`: of the version · `kept`: with rows and features.

    accuracies: after each update · seconds: of the processor, all updates and the last one,
    training_seconds: of all, without the judging · `gate`: what the gate said
    of each update · `chosen`: the methods that learned · `numpy_ridge`: accuracy of a ridge head that was fitted in
    numpy on the features of exactly the rows that a `ridge` learned · `refused`: why the method cannot run here.
    """

    stream: str
    method: str
    seed: int
    accuracy: float = 0.0
    seconds: float = 0.0
    last_seconds: float = 0.0
    training_seconds: float | None = None
    bytes: int = 0
    kept: int = 0
    average: float | None = None
    accuracies: list[float] = field(default_factory=list)
    forgetting: float | None = None
    masked_forgetting: float | None = None
    backward: float | None = None
    intrusion: float | None = None
    numpy_ridge: float | None = None
    gate: list[str] = field(default_factory=list)
    chosen: list[str] = field(default_factory=list)
    challenges: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    refused: str | None = None


def scored(stream: str, method: str, seed: int, course: Course, seconds: Sequence[float], **more: Any) -> Learned:
    """A record from a course and the core-seconds of its updates."""
    several = len(course.plain) > 1
    return Learned(
        stream,
        method,
        seed,
        accuracy=course.accuracy,
        average=course.average if several else None,
        accuracies=course.accuracies,
        forgetting=course.forgetting if several else None,
        masked_forgetting=course.masked_forgetting if several else None,
        backward=course.backward if several else None,
        intrusion=course.intrusion if several else None,
        seconds=sum(seconds),
        last_seconds=seconds[-1],
        **more,
    )


def keep(run: Learned, file: Path | None) -> Learned:
    """Append it to the file, if there is one."""
    if file is not None:
        with file.open("a") as lines:
            lines.write(json.dumps(asdict(run)) + "\n")
    return run


def kept(file: Path) -> list[Learned]:
    """The records of a file, the last one where a run was done again."""
    lines = [Learned(**json.loads(line)) for line in file.read_text().splitlines() if line]
    return list({(r.stream, r.method, r.seed): r for r in lines}.values())


def mean(values: Sequence[float | None]) -> float:
    """Of the values that there are; NaN where there is none."""
    present = [v for v in values if v is not None]
    return float(np.mean(present)) if present else float("nan")
