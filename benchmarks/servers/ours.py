"""Our own server over a folder that holds the network as versions of models, imported as a person would."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
from safetensors.torch import save
from torch import Tensor

from benchmarks.servers.contenders import CONTENDERS, KEY, MODEL, Contender
from benchmarks.servers.network import CLASSES, FILTERS, HIDDEN, SHAPES, build
from benchmarks.servers.running import NotStarted, Place, Running, process, running, started

SETTINGS = {"TSUIKA_KEY": KEY, "TSUIKA_WORKER": "false"}
SCALE = {"mean": 0, "std": 1}
PIXELS = {"range": [0, 1]}
"""Everybody's network takes its inputs as they are; small_resnet takes pixels in [0, 1] so."""
LAST = (str(2 * len(HIDDEN)), "fc")
"""Name of the dense layer that gives the scores."""
READY_SECONDS = 120.0
POLL_SECONDS = 0.02


def prepare(place: Place, models: int = 1, versions: int = 2) -> dict[str, str]:
    """Imports the network into a new folder, other weights in each version, the first one live.

    -> the settings of a server on that folder
    """
    settings = {**SETTINGS, "TSUIKA_DATA": str(place.folder / f"data-{models}")}
    with started(CONTENDERS["ours"], place, **settings) as server:
        until_ready(server)
        fill(server, models, versions)
    return settings


def fill(server: Running, models: int, versions: int) -> None:
    """The imports themselves."""
    network = server.place.network
    with client(server) as http:
        for k in range(models):
            name = MODEL if k == 0 else f"{MODEL}-{k}"
            expect(http.post("/v1/models", json={"name": name, "input": input_of(network)}))
            for seed in range(versions):
                expect(
                    http.post(
                        f"/v1/models/{name}/versions",
                        params={"promote": "true"} if seed == 0 else {},
                        content=exported(network, seed),
                        headers={"Content-Type": "application/octet-stream"},
                    )
                )


def exported(network: str, seed: int) -> bytes:
    """The network as a file that a model imports."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in build(network, seed).state_dict().items():
        layer, _, rest = name.partition(".")
        own = f"{int(layer) // 2}.{rest}" if layer.isdigit() else name  # layers of an mlp are counted
        part = f"head.0/{rest}" if layer in LAST else f"backbone.0/{own}"
        tensors[part] = tensor.contiguous()
    backbone = {"name": f"small_resnet/{'-'.join(map(str, FILTERS))}x2"}
    if network == "m1":
        backbone = {"name": "mlp", "hidden": HIDDEN}
    metadata = {
        "architecture": json.dumps({"backbone": backbone}),
        "classes": json.dumps([str(k) for k in range(CLASSES)]),
    }
    return save(tensors, metadata)


def input_of(network: str) -> dict[str, object]:
    """What a model of it takes, as it is declared."""
    shape = SHAPES[network]
    if len(shape) == 1:
        return {"kind": "vector", "size": shape[0], "scale": SCALE}
    return {"kind": "image", **dict(zip(("channels", "height", "width"), shape, strict=True)), "scale": PIXELS}


@contextmanager
def serving(contender: Contender, place: Place, settings: dict[str, str], worker: str = "none") -> Iterator[Running]:
    """A server on a prepared folder, warm. worker: none, "same" core as the server, or the "other" one."""
    with running(contender, place, **{**settings, "TSUIKA_WORKER": str(worker == "same").lower()}) as server:
        if worker != "other":
            yield server
            return
        words = [sys.executable, "-m", "service.cli", "work"]
        with process(words, place, place.folder / "work.log", place.cores[1], **settings):
            yield server


@contextmanager
def client(server: Running) -> Iterator[httpx.Client]:
    """A client that may do everything."""
    with httpx.Client(base_url=server.url, headers=server.contender.headers, timeout=60) as http:
        yield http


def until_ready(server: Running) -> float:
    """Waits. -> seconds that it took from now. Raises NotStarted."""
    began = time.monotonic()
    while time.monotonic() - began < READY_SECONDS and server.process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(f"{server.url}/readyz", timeout=2.0).is_success:
                return time.monotonic() - began
        time.sleep(POLL_SECONDS)
    raise NotStarted(f"{server.contender.name} is not ready:\n{server.log}")


def start_seconds(place: Place, settings: dict[str, str]) -> float:
    """From the command to readiness, on a prepared folder."""
    with started(CONTENDERS["ours"], place, **settings) as server:
        return until_ready(server)


def expect(response: httpx.Response) -> httpx.Response:
    """The response if it is a success. Raises RuntimeError with what it says."""
    if not response.is_success:
        raise RuntimeError(f"{response.request.url}: {response.status_code} {response.text[:500]}")
    return response


def one_core_each() -> tuple[int, int]:
    """The first two cores that this process may use: of servers, and of the load."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[1 % len(cores)]
