"""How much slower predictions become beside large uploads, and beside a training.

    python -m tests.soak.beside [--seconds 20] [--rounds 3] [--scaled]

Predictions come at a fixed rate over connections that stay open: to a service at rest, beside bodies of 20 MB that come
one after another, and beside a training, so many seconds each, in turn. Without --scaled it is one service on SQLite,
and two workers beside it; with it, two services and two workers on PostgreSQL and a store in S3. It ends with a table,
and with status 1 where the median p99 of the rounds was more than SLOWER times that at rest.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from service.settings import Settings
from tests.acceptance.environments import Environment
from tests.acceptance.service import ENDLESS, SECONDS, Caller, blobs
from tests.soak.kills import opened
from tests.soak.load import Predicting

CALLERS, RATE = 4, 25.0
"""Who predicts, and how often a second each."""
BODY_BYTES = 20_000_000
TRAINING_ROWS = 600
"""So many that it trains on until it is cancelled."""
WARM_SECONDS, SLOWER = 1.0, 2.0
SETTINGS: dict[str, Any] = {"workers": 2, "child_priority": Settings.model_fields["child_priority"].default}
"""What learns and what reads large bodies has the priority that it has in production."""
SENDER = """
import sys, time, httpx
path, url, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
body, until, sent = open(path, "rb").read(), time.monotonic() + seconds, 0
headers = {"Content-Type": "application/json"}
with httpx.Client(timeout=120.0) as client:
    while time.monotonic() < until or not sent:
        whole = body + b'"%d of %f", "new_classes": "allow"}' % (sent, time.time())
        assert client.post(url, content=whole, headers=headers).status_code == 201
        sent += 1
print(sent)
"""
"""Sends the body of a file again and again, each from a source of its own. A process of its own: in that of those who
predict it would delay them by itself."""


@dataclass
class Phase:
    """What was done beside the predictions, and their p99 in milliseconds in each round."""

    name: str
    do: Callable[[float], int]
    """Does it for so many seconds; -> how often."""
    p99: list[float] = field(default_factory=list)
    predictions: int = 0
    done: int = 0

    def line(self, rest: Phase) -> str:
        each = ", ".join(f"{took:.1f}" for took in self.p99)
        slower = median(self.p99) / median(rest.p99)
        return f"{self.name:14} {self.done:3}  {self.predictions:,} predictions, p99 {each} ms, {slower:.2f} x at rest"


def run(environment: Environment, seconds: float, rounds: int) -> list[Phase]:
    """At rest, beside uploads, beside a training. Asserts that all predictions and uploads were answered well."""
    stop = threading.Event()
    with ExitStack() as stack:
        caller = stack.enter_context(Caller(environment.services[0], "digits"))
        uploader = stack.enter_context(Caller(environment.services[-1], "large"))
        body = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "body"
        caller.create().learn(0)
        uploader.create()
        body.write_text(_body())
        url = f"{uploader.server.url}{uploader.path}/batches"
        phases = [
            Phase("at rest", _rest),
            Phase("20 MB uploads", lambda seconds: _upload(body, url, seconds)),
            Phase("trainings", lambda seconds: _train(caller, seconds)),
        ]
        callers = [Predicting(environment, "digits", stop, RATE) for _ in range(CALLERS)]
        stack.callback(stop.set)
        for each in callers:
            each.start()
        for _ in range(rounds):
            for phase in phases:
                time.sleep(WARM_SECONDS)
                began = time.monotonic()
                phase.done += phase.do(seconds)
                took = [took for each in callers for at, took in each.took if began <= at < began + seconds]
                phase.p99.append(float(np.quantile(took, 0.99)) * 1000.0)
                phase.predictions += len(took)
        stop.set()
        for each in callers:
            each.join()
    assert [(set(each.statuses), each.anywhere.broken, each.strange) for each in callers] == [({200}, 0, [])] * CALLERS
    environment.hold()
    return phases


def _rest(seconds: float) -> int:
    time.sleep(seconds)
    return 0


def _body() -> str:
    """Rows and labels; `source` is to follow."""
    [row], _ = blobs(0, rows=1)
    rows = BODY_BYTES // len(json.dumps(row))
    return f'{{"inputs": [{",".join([json.dumps(row)] * rows)}], "labels": {json.dumps(["a"] * rows)}, "source": '


def _upload(body: Path, url: str, seconds: float) -> int:
    sender = [sys.executable, "-c", SENDER, str(body), url, str(seconds)]
    return int(subprocess.run(sender, check=True, capture_output=True, timeout=seconds + SECONDS, text=True).stdout)


def _train(caller: Caller, seconds: float) -> int:
    until = time.monotonic() + seconds
    update = caller.order([caller.batch(1, rows=TRAINING_ROWS)], method=ENDLESS)["id"]
    caller.training(update)
    time.sleep(max(0.0, until - time.monotonic()))
    assert caller.update(update)["state"] == "running", "it is to train on"
    caller.ok("POST", f"/v1/updates/{update}/cancel", {})
    caller.end(update)
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.beside", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scaled", action="store_true")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        phases = run(opened(stack, folder, chosen.scaled, **SETTINGS), chosen.seconds, chosen.rounds)
    print(*(phase.line(phases[0]) for phase in phases), sep="\n")
    rest, *others = [median(phase.p99) for phase in phases]
    return 1 if max(others) > SLOWER * rest else 0


if __name__ == "__main__":
    sys.exit(main())
