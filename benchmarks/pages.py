"""How long pages take on the models of the demonstration: the first of a process, and those after it.

    python -m benchmarks.pages [--views N]

The five acts of `tsuika demo` are learned by a real `tsuika serve`, which is then started again, twice: the
first page is asked for the moment it is ready, beside what its workers load, and a second later. Seconds are
those of a client that waits for the whole page, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from rich.console import Console

from benchmarks.tables.terminal import bar, table
from service.cli.demonstration.acts import mistakes, new_classes, shifted_world
from service.cli.demonstration.data import digits
from service.cli.demonstration.deliveries import deliveries
from service.cli.demonstration.prices import prices
from service.cli.demonstration.process import running_service
from service.cli.demonstration.teller import Teller
from service.client import Client

FIRST = {"the first page, the moment the service is ready": 0.0, "the first page, a second later": 1.0}
"""Names -> seconds after the service is ready."""
PAGES = {
    "all models": "/",
    "a model": "/models/mistakes",
    "a version": "/models/mistakes/versions/2",
    "calls of programs": "/docs",
}


def learned(folder: Path) -> None:
    """A service learns what the demonstration shows, and ends."""
    silent = Teller(Console(file=io.StringIO()), Console(file=io.StringIO()))
    sent, aside = digits()
    with running_service(folder) as url, Client(url) as client, bar(5) as advance:
        for act in (new_classes, shifted_world, mistakes):
            act(client, silent, sent, aside)
            advance(act.__name__)
        for other in (prices, deliveries):
            other(client, silent)
            advance(other.__name__)


def viewed(folder: Path, views: int) -> dict[str, list[float]]:
    """Milliseconds of each view, of services that are started for them."""
    measured: dict[str, list[float]] = {}
    for name, seconds in FIRST.items():
        with _started(folder) as http:
            time.sleep(seconds)
            measured[name] = [_view(http, "/")]
            later = {page: [_view(http, path) for _ in range(views)] for page, path in PAGES.items()}
    return measured | later


@contextmanager
def _started(folder: Path) -> Iterator[httpx.Client]:
    with (
        running_service(folder) as url,
        httpx.Client(base_url=url, timeout=60, headers={"Accept": "text/html"}) as http,
    ):
        yield http


def _view(http: httpx.Client, path: str) -> float:
    began = time.perf_counter()
    http.get(path).raise_for_status()
    return 1e3 * (time.perf_counter() - began)


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code"""
    parser = argparse.ArgumentParser("benchmarks.pages", description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--views", type=int, default=20, help="of each page, after the first of a process")
    views = parser.parse_args(words).views
    with tempfile.TemporaryDirectory() as folder:
        learned(Path(folder))
        measured = viewed(Path(folder), views)
    rows = [[name, *(f"{value:.0f}" for value in (np.median(ms), min(ms), max(ms)))] for name, ms in measured.items()]
    print(table(("milliseconds", "median", "least", "most"), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
