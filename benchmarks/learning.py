"""How well each method learns classes that arrive in steps, through a real service, beside joint retraining.

    python benchmarks/learning.py --data FOLDER [STREAM ...] [--methods auto ridge ...] [--seeds 0 1 2] [--out FILE]

FOLDER (or TSUIKA_BENCH_DATA) holds mnist10k.npz and letter.npz with X_train, y_train, X_test, y_test; digits come from
scikit-learn. A version that the gate stops is promoted by hand and counted, so that each stream is learned to its end.
Masked: old rows scored over old classes alone. Intrusion: share of old rows answered with a class of the step.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joint import joint
from rich import box
from rich.console import Console
from rich.table import Table
from streams import STREAMS, load, shaped, steps

from service.cli.demonstration.data import Rows
from service.cli.demonstration.measure import Answers, ask
from service.cli.demonstration.process import running_service
from service.client import Client, RemoteModel
from service.contract.enums import UpdateState, Verdict

GRADIENT = ("retrain", "replay", "den", "linear_probe", "l2_sp", "fine_tune")
METHODS = ("auto", "ridge", "lda", *GRADIENT)
REPLAY_ROWS = 500


@dataclass(frozen=True)
class Result:
    """One method on one stream and seed, after the last step."""

    stream: str
    method: str
    seed: int
    accuracy: float
    forgetting: float | None = None
    masked_forgetting: float | None = None
    intrusion: float | None = None
    seconds: float = 0.0
    bytes: int = 0
    stopped: int = 0


def main() -> None:
    arguments = _arguments()
    console = Console(highlight=False)
    results: list[Result] = []
    for name in arguments.streams:
        for seed in arguments.seeds:
            train, test = load(STREAMS[name].data, arguments.data, seed)
            accuracy, seconds, size = joint(STREAMS[name], train, test, seed)
            results.append(Result(name, "joint", seed, accuracy, seconds=seconds, bytes=size))
            with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as url, Client(url) as client:
                for method in arguments.methods:
                    results.append(learn(client, name, method, train, test, seed))
                    console.print(asdict(results[-1]))
        console.print(table(name, [r for r in results if r.stream == name]))
    if arguments.out:
        Path(arguments.out).write_text(json.dumps([asdict(r) for r in results], indent=1))


def learn(client: Client, name: str, method: str, train: Rows, test: Rows, seed: int) -> Result:
    """Send the stream step by step and ask after each."""
    stream = STREAMS[name]
    settings = (
        {"architecture": {"backbone": {"name": "mlp", "hidden": list(stream.hidden)}}} if method in GRADIENT else {}
    )
    model = client.create_model(f"{name}-{method}-{seed}".replace("_", "-"), stream.input, **settings)
    seen: list[str] = []
    told: list[Answers] = []
    intrusions: list[float] = []
    seconds, stopped = 0.0, 0
    for step in steps(train, stream):
        chosen: dict[str, Any] = {"name": method} if seen or method not in GRADIENT else {"name": "retrain"}
        if chosen["name"] == "replay":
            chosen["memory_rows"] = REPLAY_ROWS
        rows = train.of(step)
        update = model.update(shaped(rows, stream), rows.labels, new_classes="allow", method=chosen, seed=seed)
        if update.state != UpdateState.SUCCEEDED or update.version is None or update.report is None:
            raise SystemExit(f"{name} {method}: {update.error}")
        seconds += update.report.cost.seconds
        if update.verdict != Verdict.PROMOTED:
            stopped += 1
            model.promote(update.version, "the benchmark goes on")
        known = [*seen, *step]
        answers = ask(model, update.version, Rows(shaped(test.of(known), stream), test.of(known).labels))
        if seen:
            intrusions.append(answers.of(seen).answered_with(step))
        told.append(answers)
        seen = known
    return Result(
        name,
        method,
        seed,
        accuracy=told[-1].accuracy,
        forgetting=_forgetting([by_class(a) for a in told]),
        masked_forgetting=_masked_forgetting(told),
        intrusion=float(np.mean(intrusions)),
        seconds=seconds,
        bytes=_bytes(model),
        stopped=stopped,
    )


def by_class(answers: Answers) -> dict[str, float]:
    """Accuracy of each class, all classes allowed."""
    return answers.masked(sorted({name for row in answers.scores for name in row}))


def _masked_forgetting(told: Sequence[Answers]) -> float:
    """Best masked accuracy a class ever had minus what it has now, mean over the classes known before the last step."""
    known: list[str] = []
    scores: list[dict[str, float]] = []
    for answers in told:
        now = [name for name in dict.fromkeys(answers.labels) if name not in known]
        scores.append((answers.of(known).masked(known) if known else {}) | answers.of(now).masked([*known, *now]))
        known += now
    return _forgetting(scores)


def _forgetting(scores: Sequence[dict[str, float]]) -> float:
    """Mean over the classes known before the last step of (best before - now)."""
    *before, now = scores
    return float(np.mean([max(s[c] for s in before if c in s) - now[c] for c in before[-1]]))


def _bytes(model: RemoteModel) -> int:
    """Bytes of what is served."""
    live = model.info().live_version
    assert live is not None
    return model.version(live).bytes


def table(name: str, results: Sequence[Result]) -> Table:
    """Means over the seeds."""
    made = Table(title=name, box=box.SIMPLE_HEAD)
    columns = ("accuracy", "of joint", "forgetting", "masked", "intrusion", "seconds", "kB", "stopped")
    for column in ("method", *columns):
        made.add_column(column, justify="left" if column == "method" else "right")
    bound = _mean([r.accuracy for r in results if r.method == "joint"])
    for method in dict.fromkeys(r.method for r in results):
        mine = [r for r in results if r.method == method]
        made.add_row(
            method,
            f"{_mean([r.accuracy for r in mine]):.4f}",
            f"{_mean([r.accuracy for r in mine]) / bound:.4f}",
            *(
                "–" if method == "joint" else f"{_mean([getattr(r, of) for r in mine]):.4f}"
                for of in ("forgetting", "masked_forgetting", "intrusion")
            ),
            f"{_mean([r.seconds for r in mine]):.2f}",
            f"{_mean([r.bytes for r in mine]) / 1000:.0f}",
            "–" if method == "joint" else f"{_mean([r.stopped for r in mine]):.1f}",
        )
    return made


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("streams", nargs="*", default=list(STREAMS), metavar="STREAM", help=", ".join(STREAMS))
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("TSUIKA_BENCH_DATA"), help="folder of the .npz files"
    )
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", help="file for the results, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
