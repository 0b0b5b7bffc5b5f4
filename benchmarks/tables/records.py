"""Records of runs: what is in every one, and how they are kept, a JSON line each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

JOINT, MLP = "joint", "joint MLP"
BOOSTING, PLAIN, NEVER = "joint boosting", "joint boosting, plain target", "boosting of the first tenth"
RECENT = "boosting of the last 20 batches"
SERVICE, PROMOTED = "auto", "auto, all promoted"


@dataclass(frozen=True)
class Run:
    """One method on one stream and seed. seconds: of the processor, all updates, gate included, challengers not ·
    last_seconds: of the last one, or the median of several · bytes: of the version · kept: with rows and features ·
    gate: what it said of each update · chosen: the methods that learned · refused: why the method cannot run here.
    """

    stream: str
    method: str
    seed: int = 0
    seconds: float = 0.0
    last_seconds: float = 0.0
    challenge_seconds: float = 0.0
    bytes: int = 0
    kept: int = 0
    features: int = 0
    gate: list[str] = field(default_factory=list)
    chosen: list[str] = field(default_factory=list)
    challenges: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    refused: str | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        return self.stream, self.method, self.seed


Kept = TypeVar("Kept", bound=Run)


def keep(run: Kept, file: Path | None) -> Kept:
    """Append it to the file, if there is one."""
    write([run], file)
    return run


def write(records: Iterable[Any], file: Path | None) -> None:
    """Append dataclasses to the file, if there is one, a line each."""
    if file is not None:
        with file.open("a") as lines:
            lines.writelines(json.dumps(asdict(record)) + "\n" for record in records)


def kept(file: Path | None, kind: type[Kept]) -> list[Kept]:
    """The records of a file, the last one where a run was done again; none where there is no file."""
    if file is None or not file.exists():
        return []
    runs = [kind(**json.loads(line)) for line in file.read_text().splitlines() if line]
    return list({run.key: run for run in runs}.values())


def stopped(method: str, gates: Sequence[str]) -> Iterator[str]:
    """What the gate stopped, by which rules, how often."""
    counts = Counter(outcome for outcome in gates if outcome != "live")
    yield from (f"  {method}: {outcome}, {'once' if k == 1 else f'{k} times'}" for outcome, k in counts.most_common())


def live(gates: Sequence[str]) -> str:
    return f"{gates.count('live')} of {len(gates)}" if gates else "–"
