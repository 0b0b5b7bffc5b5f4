"""SIGKILL at random to services, workers and what they started, under load: nothing acknowledged is lost or counted
twice, and what a killed worker was learning is finished by another.

    python -m tests.soak.kills [--minutes 2] [--scaled] [--seed 0]

Without --scaled it is one `tsuika serve` on SQLite, which is started again as a supervisor does it; with it, two
services and two workers on PostgreSQL and a store in S3. Ends with a table, and with status 1 where anything is wrong.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import select

from service.registry import models
from service.registry.sql.engines import open_database
from service.registry.sql.tables import Update, UpdateEvent, Version
from tests import guard
from tests.acceptance.environments import Environment, embedded, scaled
from tests.acceptance.service import Caller, children_of, gone, slow, until
from tests.soak.load import PATIENCE_SECONDS, Predicting, Sending, Sent, ended

LEASE = 3.0
GRACE = 5.0
"""Seconds: another worker finishes a killed update within the lease and these, though it has work of its own; and what
a killed process had started lives no longer than these."""
PAUSE = (1.0, 4.0)
"""Between two kills, in seconds."""
FEWEST = 2
"""Kills, however slow the machine is."""
SETTINGS: dict[str, Any] = {"lease_seconds": LEASE, "beat_seconds": 0.5, "max_attempts": 50}
NETWORK = {"backbone": {"name": "mlp", "hidden": [16]}}
MODELS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sums-1": ({}, {}),
    "sums-2": ({}, {}),
    "network": ({"architecture": NETWORK}, {"method": slow(60)}),
}
"""What each model is made with, and each of its updates: quick ones, and such as are often killed half way."""
FIRST, FIRST_ROWS, ROWS = 10_000, 40, 24
"""The seed of the first batch of each model, and how many rows it and each later one has."""
CALLERS, RATE = 4, 25.0
"""Who predicts, and how often a second each."""


@dataclass(frozen=True)
class Hit:
    """An update that was being learned when a process was killed. `orphaned`: its worker, which else tries again by
    itself."""

    update: str
    at: float
    orphaned: bool


@dataclass(eq=False)
class Killer(threading.Thread):
    """Kills one process at a time, starts it again at once, and goes on once it is there."""

    environment: Environment
    stop: threading.Event
    random: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    hits: list[Hit] = field(default_factory=list)
    orphaned: list[tuple[float, float]] = field(default_factory=list)
    """When a worker was killed, and since when there was one that could go on with what it left."""
    outlived: list[float] = field(default_factory=list)
    """Seconds for which what a killed process had started was there after it."""
    failure: str | None = None

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._database = open_database(self.environment.database_url)

    def run(self) -> None:
        kinds = {"service": self._kill_service, "child": self._kill_child, "worker": self._kill_worker}
        if not self.environment.workers:
            del kinds["worker"]
        try:
            while not self.stop.wait(self.random.uniform(*PAUSE)):
                kind = self.random.choice(list(kinds))
                self.hits += kinds[kind]()
                self.kills[kind] += 1
        except AssertionError as error:
            self.failure = str(error)
        self._database.close()

    def _kill_service(self) -> list[Hit]:
        """It has a worker inside where there are none beside it."""
        service = self.random.choice(self.environment.services)
        running, at = [] if self.environment.workers else self._running(), time.time()
        self._kill(service.process)
        service.restart()
        if not self.environment.workers:
            self.orphaned.append((at, time.time()))
        return [Hit(update, at, True) for update in running]

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        children = children_of(process.pid)
        process.kill()
        process.wait()
        since = time.monotonic()
        assert gone(children), "an orphan trains on"
        self.outlived.append(time.monotonic() - since)

    def _kill_child(self) -> list[Hit]:
        """What learns, or what reads large bodies."""
        pids = [each.process.pid for each in self.environment.services]
        pids += [each.process.pid for each in self.environment.workers]
        children = [child for pid in pids for child in children_of(pid)]
        running, at = self._running(), time.time()
        if children:
            with suppress(psutil.NoSuchProcess):
                self.random.choice(children).kill()
        return [Hit(update, at, False) for update in running]

    def _kill_worker(self) -> list[Hit]:
        worker = self.random.choice(self.environment.workers)
        running, at = self._running(worker.said()), time.time()
        self._kill(worker.process)
        self.orphaned.append((at, at))  # the other one is there
        self.environment.workers.remove(worker)
        new = self.environment.start_worker()
        until(lambda: " begins" in new.said(), what="the start of a worker")
        return [Hit(update, at, True) for update in running]

    def _running(self, said: str | None = None) -> list[str]:
        """Updates that are being learned: all, or those of the worker who says its name in that log."""
        with self._database.looking() as reader:
            rows = reader.execute(select(Update.id, Update.worker).where(Update.state == "running")).all()
        return [update for update, name in rows if said is None or (name or "-") in said]


@dataclass(frozen=True)
class Outcome:
    """What happened. `taken_over`: as of `_taken_over` · `outlived`: the most of `Killer` · `wrong`: what there should
    be none of."""

    environment: str
    seconds: float
    kills: Counter[str]
    statuses: Counter[int]
    broken: int
    acknowledged: int
    attempts: int
    taken_over: list[tuple[float, float | None]]
    outlived: float
    wrong: list[str]

    def lines(self) -> Iterator[str]:
        """As a table."""
        kills = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kills.items()))
        answers = ", ".join(f"{count:,} x {status}" for status, count in sorted(self.statuses.items()))
        claimed = max((claim for claim, _ in self.taken_over), default=0.0)
        finished = max((end for _, end in self.taken_over if end is not None), default=0.0)
        rows = {
            "environment": f"{self.environment}, {self.seconds:.0f} s",
            "killed": kills,
            "predictions": f"{answers}; {self.broken} cut off by a kill",
            "updates acknowledged": f"{self.acknowledged:,}, learned in {self.attempts:,} attempts",
            "killed half way": f"{len(self.taken_over)}; the slowest was claimed anew after {claimed:.1f} s, "
            f"finished after {finished:.1f} s (at most {LEASE + GRACE:g})",
            "left by killed processes": f"gone after {self.outlived:.1f} s (at most {GRACE:g})",
            "wrong": "nothing" if not self.wrong else f"{len(self.wrong)}",
        }
        for name, value in rows.items():
            yield f"{name:24} {value}"
        yield from self.wrong


def run(environment: Environment, seconds: float, seed: int) -> Outcome:
    """Load and kills for so long, then a look at all that is left."""
    for name, (fields, _) in MODELS.items():
        with Caller(environment.services[0], name) as caller:
            caller.create(**fields)
            caller.learn(FIRST, rows=FIRST_ROWS)
    stop, stop_kills = threading.Event(), threading.Event()
    senders = [Sending(environment, name, stop, rows=ROWS, more=more) for name, (_, more) in MODELS.items()]
    callers = [Predicting(environment, list(MODELS)[k % len(MODELS)], stop, RATE) for k in range(CALLERS)]
    killer = Killer(environment, stop_kills, random.Random(seed))
    threads: list[threading.Thread] = [*senders, *callers, killer]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    until(lambda: killer.kills.total() >= FEWEST or killer.failure, 2 * PATIENCE_SECONDS, f"{FEWEST} kills")
    stop_kills.set()
    killer.join()
    stop.set()
    for thread in threads:
        thread.join()
    sent = [each for sender in senders for each in sender.sent]
    done = ended(environment, sent)
    wrong = [f"{u['id']} ended as {u['state']}: {u['error']}" for u in done if u["state"] != "succeeded"]
    wrong += [text for caller in callers for text in caller.strange]
    failures = [killer.failure, *(sender.failure for sender in senders)]
    wrong += [failure for failure in failures if failure is not None]
    if len({each.update for each in sent}) < len(sent) or len({each.batch for each in sent}) < len(sent):
        wrong.append("two rows of different batches were acknowledged as one")
    environment.hold(each.batch for each in sent)
    wrong += _counted_otherwise(environment, sent)
    taken_over = list(_taken_over(environment, killer.hits, killer.orphaned))
    late = [end if end is not None else claimed for claimed, end in taken_over]
    wrong += [f"a killed update was not gone on with for {took:.1f} s" for took in late if took > LEASE + GRACE]
    outlived = max(killer.outlived, default=0.0)
    wrong += [f"what a killed process had started lived on for {outlived:.1f} s"] * (outlived > GRACE)
    return Outcome(
        environment.name,
        seconds,
        killer.kills,
        sum((caller.statuses for caller in callers), Counter()),
        sum(caller.anywhere.broken for caller in callers),
        len(sent),
        sum(u["attempts"] for u in done),
        taken_over,
        outlived,
        wrong,
    )


def _counted_otherwise(environment: Environment, sent: Sequence[Sent]) -> Iterator[str]:
    """Models whose exact sums are not those of a model that learns the same batches at once, undisturbed."""
    seeds = {each.batch: each.seed for each in sent}
    for name in (name for name, (fields, _) in MODELS.items() if not fields):
        with Caller(environment.services[0], f"{name}-again") as again:
            again.create()
            digest, learned = _sums(environment, name)
            for batch in learned:
                again.batch(seeds.get(batch, FIRST), rows=ROWS if batch in seeds else FIRST_ROWS)
            again.end(again.order("pending")["id"])
            if (digest, len(learned)) != (_sums(environment, again.name)[0], len(seeds.keys() & learned) + 1):
                yield f"{name}: the sums of {len(learned)} batches are not those of the same rows learned at once"


def _sums(environment: Environment, name: str) -> tuple[str | None, list[str]]:
    """The digest of the exact sums behind the newest version of a model, and the batches that are in them."""
    with closing(open_database(environment.database_url)) as database, database.reading() as session:
        query = select(Version).where(Version.model_id == models.get(session, name).id)
        newest = session.scalars(query.order_by(Version.number.desc()).limit(1)).one()
        return newest.ledger_digest, list(newest.learned)


def _taken_over(
    environment: Environment, hits: Sequence[Hit], orphaned: Sequence[tuple[float, float]]
) -> Iterator[tuple[float, float | None]]:
    """Of each update whose worker was killed: seconds until it was claimed anew, and until it was finished; None where
    it was hit once more before that. They count from when there was a worker that lived on. Nothing of those updates
    that had ended at that moment."""
    with closing(open_database(environment.database_url)) as database, database.looking() as reader:
        for hit in (hit for hit in hits if hit.orphaned):
            query = select(UpdateEvent.at, UpdateEvent.kind).where(UpdateEvent.update_id == hit.update)
            after = [(kind, at) for at, kind in reader.execute(query.order_by(UpdateEvent.id)) if at > hit.at]
            claims, ends = ([at for kind, at in after if kind == wanted] for wanted in ("claimed", "succeeded"))
            if claims:
                again = any(h.update == hit.update and hit.at < h.at < ends[0] for h in hits)
                since = (max(there for killed, there in orphaned if killed <= at) for at in (claims[0], ends[0]))
                claimed, ended = (max(0.0, at - there) for at, there in zip((claims[0], ends[0]), since, strict=True))
                yield claimed, None if again else ended


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.kills", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--scaled", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environment = opened(stack, folder, chosen.scaled, **SETTINGS)
        outcome = run(environment, chosen.minutes * 60.0, chosen.seed)
    print("\n".join(outcome.lines()))
    return 1 if outcome.wrong else 0


def opened(stack: ExitStack, folder: Path, is_scaled: bool, **settings: Any) -> Environment:
    """An environment and the servers that it needs. They end with the stack, and with this process however it ends."""
    guard.start()
    if is_scaled:
        from tests import postgres, s3

        servers = stack.enter_context(postgres.started()), stack.enter_context(s3.started())
        environment = scaled(folder, *servers, **settings)
    else:
        environment = embedded(folder, **settings)
    stack.callback(environment.stop)
    return environment


if __name__ == "__main__":
    sys.exit(main())
