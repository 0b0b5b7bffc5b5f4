"""How soon one service answers with the version that another has made live, under load.

    python -m tests.soak.news [--moves 100]

Two services and two workers share nothing but PostgreSQL and a store in S3, by the default settings. Ends with a table,
and with status 1 where the news took more than NEWS_SECONDS once.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from service.settings import Settings
from tests.acceptance.environments import Environment
from tests.acceptance.service import Caller, blobs, until
from tests.soak.kills import opened
from tests.soak.load import Predicting

NEWS_SECONDS = 2.0
"""Within these a promotion or a rollback reaches every service."""
MODEL, CALLERS, RATE = "moves", 4, 25.0
"""Of the model that is asked, and who asks beside it: how often a second each."""


def run(environment: Environment, moves: int) -> list[float]:
    """-> for each promotion by one service in turn, the seconds from its answer until the other one answers by it"""
    stop = threading.Event()
    inputs, _ = blobs(99, rows=3)
    took = []
    with ExitStack() as stack:
        here, there = (stack.enter_context(Caller(service, MODEL)) for service in environment.services)
        here.create()
        for seed in (1, 2):
            here.learn(seed)
        callers = [Predicting(environment, MODEL, stop, RATE) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        for k in range(moves):
            mover, other = (here, there) if k % 4 < 2 else (there, here)
            version = 1 + k % 2
            mover.ok("POST", f"{mover.path}/deployments", {"version": version})
            since = time.monotonic()
            until(lambda other=other, version=version: other.predict(inputs)["version"] == version, pause=0.001)
            took.append(time.monotonic() - since)
        stop.set()
        for caller in callers:
            caller.join()
    assert [caller.strange for caller in callers] == [[]] * CALLERS
    return took


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.news", description=__doc__)
    parser.add_argument("--moves", type=int, default=100)
    chosen = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environment = opened(stack, folder, True, poll_seconds=Settings.model_fields["poll_seconds"].default)
        took = run(environment, chosen.moves)
    print(f"{len(took)} promotions: the other service answered by them after {statistics.median(took):.3f} s in the")
    print(f"median, {max(took):.3f} s at most (at most {NEWS_SECONDS:g} are allowed)")
    return 1 if max(took) > NEWS_SECONDS else 0


if __name__ == "__main__":
    sys.exit(main())
