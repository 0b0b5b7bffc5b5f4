"""How fast predictions are, beside other servers of models and a bare floor, alone and while other things go on.

    python -m benchmarks.serving [--targets mlserver,litserve,bentoml,mlflow,floor,ours,ours-f32] [--model m1|m2]
        [--connections 1,8,64] [--seconds 10] [--rounds 3] [--venvs DIR] [--json FILE]
        [--swaps] [--training] [--upload] [--cold] [--overload] [--tables] [--start] [--faults]

Everybody answers with the same network and is asked for one row a request. A server has one core, h2load makes the
load from another; every round starts each of them in turn, so that the drift of a machine falls on all. Ratios are
medians over the rounds of what one round gives. Scenarios (--swaps to --faults) stand alone unless --targets is given,
too.
Peers are installed with pip on first use, each into an environment of its own: about 1 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import torch

from benchmarks.servers.contenders import CONTENDERS, DOORS, KEY, PEERS, Contender
from benchmarks.servers.disturbed import SCENARIOS, disturbed
from benchmarks.servers.faults import faults
from benchmarks.servers.load import missing
from benchmarks.servers.network import SHAPES
from benchmarks.servers.ours import one_core_each, prepare, serving, start_seconds
from benchmarks.servers.overload import CROWD, TIMES, overloaded
from benchmarks.servers.report import Measurements, report
from benchmarks.servers.running import Place, running
from benchmarks.servers.table_cost import SIZE, table_costs
from benchmarks.tables.terminal import bar

TARGETS = (*(c.name for c in PEERS), "floor", "ours", "ours-f32")
MANY_MODELS = 10
FLAGS = {name: name.partition(" ")[0] for name in SCENARIOS}
"""Scenario -> the option that asks for it; training has two."""


def run(arguments: argparse.Namespace, place: Place) -> Measurements:
    """Runs all rounds. A server that cannot be installed, does not start or does not answer is absent; the others go
    on."""
    measurements = Measurements(arguments.model)
    settings = prepare(place)
    scenarios = [name for name in SCENARIOS if getattr(arguments, FLAGS[name])]
    many = prepare(place, MANY_MODELS, versions=1) if arguments.start else {}
    for contender in _contenders(arguments):  # environments are made before anything is measured
        _try(measurements, contender.name, partial(place.interpreter, contender))
    tried = _contenders(arguments) if arguments.faults else []
    once = arguments.overload + arguments.tables + arguments.start
    parts = arguments.rounds * (len(arguments.targets) + len(scenarios) + once) + len(tried)
    with bar(parts) as advance:
        for k in range(1, arguments.rounds + 1):
            for name in arguments.targets:
                _try(measurements, name, partial(_round, measurements, CONTENDERS[name], place, settings, arguments))
                advance(f"round {k}: {name}")
            for scenario in scenarios:
                _try(measurements, scenario, partial(_disturbed, measurements, scenario, place, settings, arguments))
                advance(f"round {k}: {scenario}")
            if arguments.overload:
                _try(measurements, "overload", partial(_overloaded, measurements, place, settings, arguments))
                advance(f"round {k}: overload")
            if arguments.tables:
                _try(measurements, "tables", partial(_table_costs, measurements, place, arguments))
                advance(f"round {k}: tables")
            if arguments.start:
                _try(measurements, "start", partial(_started, measurements, place, many))
                advance(f"round {k}: start")
        for contender in tried:
            _try(measurements, contender.name, partial(_faulty, measurements, contender, place, settings))
            advance(f"bad input: {contender.name}")
    return measurements


def _contenders(arguments: argparse.Namespace) -> list[Contender]:
    """The servers that this run starts; bad input goes to all of our endpoints."""
    names: Iterable[str] = arguments.targets
    if arguments.faults:
        names = dict.fromkeys([*(arguments.targets or TARGETS), *(door.name for door in DOORS)])
    return [CONTENDERS[name] for name in names]


def _try(measurements: Measurements, name: str, do: Callable[[], Any]) -> None:
    """Runs one part, unless that server or scenario has failed before."""
    if name not in measurements.absent:
        try:
            do()
        except (RuntimeError, httpx.HTTPError) as error:
            measurements.absent[name] = str(error) or repr(error)


def _round(
    measurements: Measurements,
    contender: Contender,
    place: Place,
    settings: dict[str, str],
    arguments: argparse.Namespace,
) -> None:
    """One server: warm, then each number of connections."""
    with serving(contender, place, settings) if contender.ours else running(contender, place) as server:
        server.warm(arguments.seconds)
        for connections in arguments.connections:
            measured = server.load(connections, arguments.seconds)
            measurements.rounds.setdefault((contender.name, connections), []).append(measured)


def _disturbed(
    measurements: Measurements, scenario: str, place: Place, settings: dict[str, str], arguments: argparse.Namespace
) -> None:
    measurements.disturbed += disturbed(scenario, place, settings, arguments.connections, arguments.seconds)


def _overloaded(
    measurements: Measurements, place: Place, settings: dict[str, str], arguments: argparse.Namespace
) -> None:
    measurements.overload.append(overloaded(place, settings, arguments.seconds))


def _table_costs(measurements: Measurements, place: Place, arguments: argparse.Namespace) -> None:
    settings = {"TSUIKA_KEY": KEY, "TSUIKA_DATA": str(place.folder / "data-tables")}
    measurements.tables += table_costs(place, settings, arguments.connections, arguments.seconds)


def _started(measurements: Measurements, place: Place, settings: dict[str, str]) -> None:
    measurements.start.append(start_seconds(place, settings))


def _faulty(measurements: Measurements, contender: Contender, place: Place, settings: dict[str, str]) -> None:
    measurements.faults[contender.name] = faults(contender, place, settings)


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code: 0, or 2 where the load cannot be made."""
    arguments = _arguments(words)
    if (tool := missing()) is not None:
        print(tool, file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a crowd has many connections
    cores = one_core_each()
    os.sched_setaffinity(0, cores[1:])  # what this process does itself is load
    with tempfile.TemporaryDirectory() as folder:
        measurements = run(arguments, Place(Path(folder), arguments.venvs, arguments.model, cores))
    print("\n".join(report(measurements)))
    if arguments.json:
        rounds = [{"target": name, "connections": n, "rounds": r} for (name, n), r in measurements.rounds.items()]
        arguments.json.write_text(json.dumps({**asdict(measurements), "rounds": rounds}, indent=1) + "\n")
    return 0


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.serving", description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--targets", type=_targets, help=f"of {', '.join(CONTENDERS)}")
    parser.add_argument("--model", choices=[*SHAPES], default="m1", help="784-512-256-10, or a small ResNet on 3x32x32")
    parser.add_argument("--connections", type=_numbers, default="1,8,64", help="each with one request in flight")
    parser.add_argument("--seconds", type=int, default=10, help="of each load")
    parser.add_argument("--rounds", type=int, default=3, help="in which each server is started once")
    default = Path.home() / ".cache" / "tsuika" / "peers"
    parser.add_argument("--venvs", type=Path, default=default, help=f"folder of the peers' environments ({default})")
    parser.add_argument("--json", type=Path, help="file for all that was measured")
    parser.add_argument("--swaps", action="store_true", help="two versions go live by turns, every 250 ms")
    parser.add_argument("--training", action="store_true", help="an update trains, on the other core and on the same")
    parser.add_argument("--upload", action="store_true", help="batches of 20 MB come in, one after another")
    parser.add_argument("--cold", action="store_true", help="once a second a version is asked for the first time")
    parser.add_argument("--overload", action="store_true", help=f"{CROWD:,} ask {TIMES} times what it can do")
    parser.add_argument(
        "--tables", action="store_true", help=f"a row of {SIZE} columns beside a vector of {SIZE} numbers"
    )
    parser.add_argument("--start", action="store_true", help=f"from the command to ready with {MANY_MODELS} models")
    parser.add_argument("--faults", action="store_true", help="what bad input gets, everywhere")
    arguments = parser.parse_args(words)
    if arguments.targets is None:
        alone = any(getattr(arguments, name) for name in (*FLAGS.values(), "overload", "tables", "start", "faults"))
        arguments.targets = [] if alone else [*TARGETS]
    return arguments


def _targets(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    if unknown := [name for name in names if name not in CONTENDERS]:
        raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {', '.join(CONTENDERS)}")
    return names


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
