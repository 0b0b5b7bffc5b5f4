"""Our server under load while something else goes on, beside the same load undisturbed just before."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks.running.background import in_background
from benchmarks.servers.contenders import CONTENDERS, MODEL
from benchmarks.servers.network import CLASSES, SHAPES
from benchmarks.servers.ours import client, expect, exported, input_of, serving
from benchmarks.servers.running import Place, Running

SWAP_EVERY_SECONDS = 0.25
UPLOAD_BYTES = 20_000_000
COLD_EVERY_SECONDS = 1.0
COLD = "cold"
TRAINING_ROWS = {"m1": 3000, "m2": 200}
TRAINING = {
    "m1": {"name": "retrain", "epochs": 1000},
    "m2": {"name": "linear_probe", "epochs": 1000, "unfreeze": 7, "pseudo_features": False},
}
"""Longer than a load; it is cancelled."""
TRAINS_SECONDS = 120.0
"""A worker has to be there and an update to be at its training within this time."""


@dataclass
class Meanwhile:
    """What went on: how often, and what was answered otherwise than it should."""

    done: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Disturbed:
    """One pair of loads. rate, p99: against undisturbed · failed: predictions · done: how often it happened."""

    what: str
    connections: int
    rate: float
    p99: float
    failed: int
    done: int
    faults: list[str]


def disturbed(
    what: str, place: Place, settings: dict[str, str], connections: Sequence[int], seconds: int
) -> list[Disturbed]:
    """One round of a scenario. Raises NotStarted, RuntimeError."""
    worker, happening = SCENARIOS[what]
    disturbed_rounds = []
    with serving(CONTENDERS["ours"], place, settings, worker) as server:
        server.warm(seconds)
        for n in connections:
            quiet = server.load(n, seconds)
            with happening(server, seconds) as meanwhile:
                loud = server.load(n, seconds)
            rate, p99 = (loud[k] / quiet[k] if quiet[k] else float("nan") for k in ("rate", "p99"))
            disturbed_rounds.append(Disturbed(what, n, rate, p99, loud["failed"], meanwhile.done, meanwhile.faults))
    return disturbed_rounds


@contextmanager
def swaps(server: Running, seconds: int) -> Iterator[Meanwhile]:
    """Versions 1 and 2 go live by turns."""

    def swap(http: httpx.Client, k: int) -> httpx.Response:
        body = {"version": 2 - k % 2, "reason": "benchmark"}
        return http.post(f"/v1/models/{MODEL}/deployments", json=body)

    with _again_and_again(server, swap, SWAP_EVERY_SECONDS) as meanwhile:
        yield meanwhile
    with client(server) as http:
        if expect(http.get(f"/v1/models/{MODEL}")).json()["live_version"] == 2:
            expect(swap(http, 1))


@contextmanager
def uploads(server: Running, seconds: int) -> Iterator[Meanwhile]:
    """Batches of 20 MB of JSON, one after another, each stored as a new one."""
    shape = SHAPES[server.place.network]
    row = json.dumps(_row(shape))
    rows = UPLOAD_BYTES // len(row)
    inputs = ",".join([row] * rows)
    labels = json.dumps([str(k % CLASSES) for k in range(rows)])

    def upload(http: httpx.Client, k: int) -> httpx.Response:
        body = f'{{"inputs": [{inputs}], "labels": {labels}, "source": "upload-{k}-{time.time_ns()}"}}'
        return http.post(f"/v1/models/{MODEL}/batches", content=body, headers={"Content-Type": "application/json"})

    with _again_and_again(server, upload, 0.0) as meanwhile:
        yield meanwhile


@contextmanager
def training(server: Running, seconds: int) -> Iterator[Meanwhile]:
    """An update trains from before the load until after it."""
    shape = SHAPES[server.place.network]
    rows = [_row(shape, k) for k in range(TRAINING_ROWS[server.place.network])]
    body = {
        "inputs": rows,
        "labels": [str(k % CLASSES) for k in range(len(rows))],
        "method": TRAINING[server.place.network],
    }
    meanwhile = Meanwhile()
    with client(server) as http:
        body["source"] = f"training-{time.time_ns()}"
        update = expect(http.post(f"/v1/models/{MODEL}/updates", json=body)).json()
        path = f"/v1/updates/{update['id']}"
        try:
            _until(
                http, path, lambda now: now["state"] != "queued" and (now["progress"] or {}).get("phase") == "training"
            )
            yield meanwhile
            now = expect(http.get(path)).json()
            meanwhile.done = int(now["state"] == "running")
            if not meanwhile.done:
                meanwhile.faults.append(f"the update was {now['state']} before the load ended: {now['error']}")
        finally:
            http.post(f"{path}/cancel")
            _until(http, path, lambda now: now["state"] not in ("queued", "running"))


@contextmanager
def cold_loads(server: Running, seconds: int) -> Iterator[Meanwhile]:
    """Versions of another model are asked for the first time, each once."""
    network, numbers = server.place.network, list[int]()
    with client(server) as http:
        http.post("/v1/models", json={"name": COLD, "input": input_of(network)})  # it is there from the second time on
        headers = {"Content-Type": "application/octet-stream"}
        for seed in range(int(seconds / COLD_EVERY_SECONDS) + 1):
            content = exported(network, time.time_ns() % 2**32 + seed)
            made = expect(http.post(f"/v1/models/{COLD}/versions", content=content, headers=headers)).json()
            numbers.append(made["number"])
    row = {"inputs": [_row(SHAPES[network])]}

    def ask(http: httpx.Client, k: int) -> httpx.Response:
        return http.post(f"/v1/models/{COLD}/versions/{numbers[k]}/predictions", json=row)

    with _again_and_again(server, ask, COLD_EVERY_SECONDS) as meanwhile:
        yield meanwhile


def _until(http: httpx.Client, path: str, is_done: Callable[[Any], bool]) -> None:
    """Waits until an update is so far. Raises RuntimeError."""
    until = time.monotonic() + TRAINS_SECONDS
    while not is_done(now := expect(http.get(path)).json()):
        if time.monotonic() > until:
            raise RuntimeError(f"the update is {now['state']}, {now['progress']}, {now['error']}")
        time.sleep(0.1)


@contextmanager
def _again_and_again(
    server: Running, do: Callable[[httpx.Client, int], httpx.Response], every: float
) -> Iterator[Meanwhile]:
    """Does it in a thread until the block ends; what it began it ends."""
    meanwhile = Meanwhile()

    def work(stop: threading.Event) -> None:
        with client(server) as http:
            k = 0
            while not stop.wait(every):
                try:
                    expect(do(http, k))
                    meanwhile.done += 1
                except (RuntimeError, httpx.HTTPError) as error:
                    meanwhile.faults.append(str(error) or repr(error))
                k += 1

    with in_background(work):
        yield meanwhile


def _row(shape: Sequence[int], seed: int = 0) -> list[object]:
    draw = random.Random(seed)

    def fill(rest: Sequence[int]) -> object:
        return [fill(rest[1:]) for _ in range(rest[0])] if rest else round(draw.random(), 3)

    row = fill(shape)
    assert isinstance(row, list)
    return row


SCENARIOS = {
    "swaps": ("none", swaps),
    "training on the other core": ("other", training),
    "training on the same core": ("same", training),
    "upload": ("none", uploads),
    "cold loads": ("none", cold_loads),
}
"""Name -> where the worker is, and what goes on."""
