"""What grows with what: the cost of an update, of a prediction and of a rollback against how much there is already.

    python -m benchmarks.scale [--parts history,batches,rows,versions,models,classes] [--most N] [--ray ADDRESS]
                               [--learned N] [--json FILE]

A real `tsuika serve` in a folder of its own for each part, asked over HTTP. *history*: rows learned before (1,000 to
1,000,000), or *batches* of 8 rows (100 to 10,000); *versions* of one model (100 to 10,000), each by an update of 10
rows of two numbers that one process makes without HTTP, with --learned only the first N, whose rows are copied then;
*models* in one service whose memory of loaded versions is bounded (100 to 1,000); *classes* of one model (10 to
10,000). At each size a few small updates or requests are timed; all else is only there. *rows* is one update of so many
(100,000), all of which is timed; with --ray it learns on that cluster, whose nodes make its features and sums side by
side (docs/ray.md). Other rows are scikit-learn's digits as 64 numbers with a little noise; those of many classes lie
around a point of their own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from benchmarks.running.memory import core_seconds_of_children, pss_of_children
from benchmarks.running.updates_here import UpdatesHere
from benchmarks.streams.steps import INK_VECTOR, noisy_digits
from benchmarks.tables.terminal import bar, reached, table
from service.cli.demonstration.process import running_service
from service.client import Client, RemoteModel
from service.contract.enums import Verdict
from service.contract.resources import Update

SIZES = {
    "history": [1_000, 10_000, 100_000, 1_000_000],
    "batches": [100, 1_000, 3_000, 10_000],
    "rows": [100_000],
    "versions": [100, 1_000, 10_000],
    "models": [100, 1_000],
    "classes": [10, 100, 1_000, 10_000],
}
RIDGE = {"name": "ridge", "lift": "relu", "width": 256}
WIDE = {**RIDGE, "width": 1024}
"""Of an update of many rows: features and sums are most of its work."""
UPDATE_ROWS, UPDATES, REQUESTS, LOOKS = 250, 5, 200, 40
BODY_ROWS, BATCH_ROWS, SENDERS = 50_000, 8, 8
FLAT = 1.5
"""What is aimed at: the last size costs at most so many times what the first does."""
BOUNDED = {"TSUIKA_SERVING_BYTES": str(16 * 2**20)}
VERSIONS, POINTS, COPIED_AT_ONCE = "versions", "points", 500
NUMBERS = {"kind": "vector", "size": 64}
SCALED = {**NUMBERS, "scale": {"mean": 0, "std": 1}}


@dataclass(frozen=True)
class Measured:
    """One size of a part. `costs`: by name, with its unit."""

    part: str
    size: int
    costs: Mapping[str, float]


def history(client: Client, sizes: Sequence[int]) -> Iterator[Measured]:
    """Core-seconds of an update of 250 rows, after so many rows were learned."""
    model = client.create_model(name_of("digits"), input=INK_VECTOR.model_dump(mode="json"))
    learned, row = 0, noisy_digits(1, seed=0).inputs
    for size in sizes:
        while learned < size - UPDATES * UPDATE_ROWS // 2:
            n = min(BODY_ROWS, size - learned)
            _learn(model, *_digits(n, seed=learned))
            learned += n
        batches = [_digits(UPDATE_ROWS, seed=10_000_000 + size + k) for k in range(UPDATES)]
        yield Measured("history", size, _costs(model, batches, row))
        learned += UPDATES * UPDATE_ROWS


def batches(client: Client, sizes: Sequence[int]) -> Iterator[Measured]:
    """The same after so many batches of 8 rows were learned."""
    model = client.create_model(name_of("digits"), input=INK_VECTOR.model_dump(mode="json"))
    made, row = 0, noisy_digits(1, seed=0).inputs
    for size in sizes:
        _add_batches(model, *_digits(BATCH_ROWS * (size - made), seed=made))
        made = size
        _made(model.update(batches="pending", method=RIDGE))
        batches = [_digits(UPDATE_ROWS, seed=10_000_000 + size + k) for k in range(UPDATES)]
        yield Measured("batches", size, _costs(model, batches, row))


def rows(client: Client, sizes: Sequence[int]) -> Iterator[Measured]:
    """Seconds of one update of so many rows."""
    for size in sizes:
        model = client.create_model(name_of(f"rows-{size}"), input=SCALED)
        for first in range(0, size, BODY_ROWS):
            model.add_batch(*_digits(min(BODY_ROWS, size - first), seed=first), new_classes="allow")
        began = time.perf_counter()
        _made(model.update(batches="pending", method=WIDE))
        seconds = time.perf_counter() - began
        yield Measured("rows", size, {"update, s": seconds, "rows a second": size / seconds})


def versions(sizes: Sequence[int], learned: int | None, advance: Callable[[str], None]) -> Iterator[Measured]:
    """Core-milliseconds of a service for each answer, with so many versions of one model, each made by an update.
    learned: of so many at most; those after them are copies of the rows of the last, None: there are none."""
    with tempfile.TemporaryDirectory() as folder:
        made, data = 0, Path(folder) / "data"
        for size in sizes:
            here = UpdatesHere(data, POINTS, None if made else 2)
            while made < size:
                if learned is not None and made >= learned:
                    more = min(COPIED_AT_ONCE, size - made)
                    here.copy(more)
                else:
                    verdict, more = here.learn(*_points(10 if made else 200, seed=made)), 1
                    if verdict is not Verdict.PROMOTED:
                        raise RuntimeError(f"update {made + 1} is {verdict}")
                if (made + more) // 100 > made // 100:
                    advance(f"versions: {made + more:,}")
                made += more
            here.close()
            with running_service(Path(folder)) as url, Client(url) as client, httpx.Client(base_url=url) as http:
                yield Measured(VERSIONS, size, asked(client.model(POINTS), http, data))


def asked(model: RemoteModel, http: httpx.Client, data: Path) -> Mapping[str, float]:
    """What answers about a model cost the service, core ms each; its memory, and what the database has."""
    here, row = f"/v1/models/{POINTS}", np.zeros((1, 2), np.float32)
    live = model.info().live_version
    assert live is not None
    listed = {
        "model": here,
        "page of 50": f"{here}/versions?limit=50&batches=false",
        "with names": f"{here}/versions?limit=50",
        "batches": f"{here}/batches?limit=50",
        "updates": f"{here}/updates?limit=50",
        "moves": f"{here}/deployments?limit=50",
        "audit": f"/v1/audit?model={POINTS}&limit=50",
        "lineage of 50": f"{here}/lineage?after={max(live - 50, 0)}",
        "lineage": f"{here}/lineage",
        "browser": f"/models/{POINTS}",
    }
    costs = {
        "prediction": _core_ms(lambda: model.predict(row)),
        "of version 1": _core_ms(lambda: model.predict(row, version=1)),
        "back and forth": _core_ms(partial(_back_and_forth, model, live), LOOKS),
        **{name: _core_ms(partial(_got, http, path), LOOKS) for name, path in listed.items()},
    }
    model.configure(promotion="auto")  # a rollback has stopped that
    database = (data / "tsuika.db").stat().st_size
    return {**costs, "service, MB": pss_of_children() or float("nan"), "database, kB a version": database / 1000 / live}


def models(client: Client, sizes: Sequence[int]) -> Iterator[Measured]:
    """Milliseconds of a prediction of one model, and of each in turn, and memory, with so many models."""
    made, row = list[RemoteModel](), np.zeros((1, 64), np.float32)
    for size in sizes:
        while len(made) < size:
            made.append(client.create_model(name_of(f"digits-{len(made)}"), input=SCALED))
            made[-1].import_version(_network(len(made), 256), promote=True)
        turn = itertools.cycle(made)
        costs = {
            "prediction, ms": _p50(lambda: made[0].predict(row)),
            "of each in turn, ms": _p50(lambda turn=turn: next(turn).predict(row)),
            "page of 50, ms": _p50(lambda: _first(client.models(), 50)),
            "service, MB": pss_of_children() or float("nan"),
        }
        yield Measured("models", size, costs)


def classes(client: Client, sizes: Sequence[int]) -> Iterator[Measured]:
    """Core-seconds of an update of 250 rows and milliseconds of a prediction, with so many classes."""
    for size in sizes:
        model = client.create_model(name_of(f"of-{size}"), input=SCALED)
        _learn(model, *_around(size, 3 * size, seed=0))
        batches = [_around(size, UPDATE_ROWS, seed=1 + k) for k in range(UPDATES)]
        yield Measured("classes", size, _costs(model, batches, _around(size, 1, seed=0)[0]))


PARTS: dict[str, Callable[[Client, Sequence[int]], Iterator[Measured]]] = {
    "history": history,
    "batches": batches,
    "rows": rows,
    "models": models,
    "classes": classes,
}


def run(parts: Sequence[str], most: int | None, ray: str | None, learned: int | None) -> Iterator[Measured]:
    """All sizes of the parts, each part with a service of its own. ray: the cluster on which it learns, if any ·
    learned: as of `versions`."""
    sizes = {part: [n for n in SIZES[part] if most is None or n <= most] for part in parts}
    cluster = {"TSUIKA_RAY": ray} if ray is not None else {}
    steps = {part: len(of) if part != VERSIONS else max(of, default=0) // 100 for part, of in sizes.items()}
    with bar(sum(steps.values())) as advance:
        for part in parts:
            if part == VERSIONS:
                yield from versions(sizes[part], learned, advance)
                continue
            with _service({**cluster, **(BOUNDED if part == "models" else {})}) as client:
                for measured in PARTS[part](client, sizes[part]):
                    advance(f"{part}: {measured.size:,}")
                    yield measured


def report(measured: Sequence[Measured]) -> Iterator[str]:
    """A table of each part, and whether the last size costs what the first does."""
    for part in dict.fromkeys(one.part for one in measured):
        own = [one for one in measured if one.part == part]
        names = list(own[0].costs)
        yield table((part, *names), [[f"{m.size:,}", *(f"{m.costs[n]:.3g}" for n in names)] for m in own])
        for name in names:
            yield reached(f"{name}: last size / first", own[-1].costs[name] / own[0].costs[name], FLAT)
        yield ""


def name_of(what: str) -> str:
    """The name of a model."""
    return what


@contextmanager
def _service(settings: Mapping[str, str]) -> Iterator[Client]:
    with (
        tempfile.TemporaryDirectory() as folder,
        running_service(Path(folder), settings) as url,
        Client(url) as client,
    ):
        yield client


def _digits(n: int, seed: int) -> tuple[Any, list[str]]:
    rows = noisy_digits(n, seed=seed)
    return rows.inputs, rows.targets.tolist()


def _learn(model: RemoteModel, inputs: Any, labels: list[str]) -> None:
    _made(model.update(inputs, labels, method=RIDGE, new_classes="allow"))


def _add_batches(model: RemoteModel, inputs: Any, labels: list[str]) -> None:
    """Sends these rows as batches of 8, several at once: one alone waits for the disk most of its time."""

    def add(first: int) -> None:
        end = first + BATCH_ROWS
        model.add_batch(inputs[first:end], labels[first:end], new_classes="allow")

    with ThreadPoolExecutor(SENDERS) as senders:
        list(senders.map(add, range(0, len(labels), BATCH_ROWS)))


def _made(update: Update) -> None:
    """Raises RuntimeError where it has made no version."""
    if update.version is None:
        raise RuntimeError(f"the update is {update.state}: {update.error}")


def _around(count: int, n: int, seed: int) -> tuple[Any, list[str]]:
    """n rows of `count` classes, each around a point of its own."""
    points = np.random.default_rng(0).normal(size=(count, 64))
    drawn = np.random.default_rng(1 + seed)
    named = np.arange(n) % count if n >= count else drawn.integers(0, count, n)
    rows = points[named] + 0.3 * drawn.normal(size=(n, 64))
    return rows.round(4).astype(np.float32), [f"class {k}" for k in named]


def _network(seed: int, hidden: int = 8) -> bytes:
    """A small network of ten classes as a file that a model imports."""
    drawn = torch.Generator().manual_seed(seed)
    sizes = {"backbone.0/0.weight": (hidden, 64), "backbone.0/0.bias": (hidden,)}
    sizes |= {"head.0/weight": (10, hidden), "head.0/bias": (10,)}
    metadata = {
        "architecture": json.dumps({"backbone": {"name": "mlp", "hidden": [hidden]}}),
        "classes": json.dumps([str(k) for k in range(10)]),
    }
    return save({name: torch.randn(size, generator=drawn) for name, size in sizes.items()}, metadata)


def _back_and_forth(model: RemoteModel, newest: int) -> None:
    model.rollback("measured")
    model.promote(newest, "measured")


def _costs(model: RemoteModel, batches: Sequence[tuple[Any, list[str]]], row: Any) -> Mapping[str, float]:
    """Core-seconds of the service and seconds of an update of each batch, then milliseconds of a prediction."""
    used, began = core_seconds_of_children(), time.perf_counter()
    for batch in batches:
        _learn(model, *batch)
    core, seconds = core_seconds_of_children() - used, time.perf_counter() - began
    each = {"update, core s": core / len(batches), "update, s": seconds / len(batches)}
    return {**each, "prediction, ms": _p50(partial(model.predict, row))}


def _points(n: int, seed: int) -> tuple[NDArray[np.float64], list[str]]:
    """n rows of two numbers, of two classes that lie apart."""
    drawn = np.random.default_rng(seed)
    high = drawn.integers(0, 2, n)
    rows = drawn.normal(size=(n, 2)) + 4 * high[:, None]
    return rows.round(3), ["high" if k else "low" for k in high]


def _got(http: httpx.Client, path: str) -> None:
    http.get(path).raise_for_status()


def _core_ms(do: Callable[[], object], times: int | None = None) -> float:
    """Core-milliseconds of the service each, asked as often as it takes to see any; the first, which loads, does not
    count."""
    do()
    used, count = core_seconds_of_children(), 0
    while (spent := core_seconds_of_children() - used) == 0 or count < (times or REQUESTS):
        do()
        count += 1
    return 1000 * spent / count


def _p50(do: Callable[[], Any]) -> float:
    """Milliseconds; the first few, which load and warm, do not count."""
    seconds = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        do()
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds[len(seconds) // 10 :])


def _first(things: Iterator[Any], n: int) -> list[Any]:
    return [thing for _, thing in zip(range(n), things, strict=False)]


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code"""
    parser = argparse.ArgumentParser("benchmarks.scale", description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--parts", default=",".join(SIZES), help=f"of {', '.join(SIZES)}")
    parser.add_argument("--most", type=int, help="no larger sizes than this")
    parser.add_argument("--ray", help="the Ray cluster on which updates learn: auto, or HEAD:PORT")
    parser.add_argument("--learned", type=int, help="versions: so many updates learn, and those after them are copies")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args(words)
    parts = arguments.parts.split(",")
    if unknown := [part for part in parts if part not in SIZES]:
        parser.error(f"no {', '.join(unknown)}; there are {', '.join(SIZES)}")
    measured = list(run(parts, arguments.most, arguments.ray, arguments.learned))
    print("\n".join(report(measured)))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(one) for one in measured], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
