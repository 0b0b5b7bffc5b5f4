"""The report of a run: tables of its measurements, and a line for each target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.servers import overload
from benchmarks.servers.contenders import BASE, OTHERS
from benchmarks.servers.disturbed import Disturbed
from benchmarks.servers.faults import NAMES, clear
from benchmarks.servers.overload import Overload
from benchmarks.tables.terminal import reached, table

Limits = dict[int, float]
"""Connections -> a ratio."""
OVER_BASE: dict[str, dict[str, Limits]] = {
    "m1": {"ours": {1: 1.9, 8: 3.6, 64: 5.2}, "ours-f32": {1: 2.2, 8: 5.0, 64: 7.0}},
    "m2": {"ours": {1: 1.6, 8: 2.0, 64: 2.2}},
}
P99: dict[str, Limits] = {"m1": {1: 0.7, 8: 0.35, 64: 0.10}, "m2": {1: 0.8, 8: 0.5, 64: 0.1}}
OVER_OTHERS: dict[str, Limits] = {"m1": {1: 3.6, 8: 7.0, 64: 10.0}, "m2": {}}
OVER_FLOOR: dict[str, Limits] = {"m1": {1: 0.85, 8: 0.85, 64: 0.85}, "m2": {}}
PSS, START_SECONDS, GOODPUT = 1.3, 3.0, 0.9
SCENARIO_RATE = {
    "swaps": {"m1": 0.95, "m2": 0.85},
    "training on the same core": {"m1": 0.65, "m2": 0.65},
}
SCENARIO_P99 = {
    "swaps": 1.5,
    "training on the other core": 1.3,
    "training on the same core": 4.0,
    "upload": 2.0,
    "cold loads": 1.2,
}


@dataclass
class Measurements:
    """All measurements of one run. rounds: name and connections -> those of each round."""

    network: str
    rounds: dict[tuple[str, int], list[dict[str, Any]]] = field(default_factory=dict)
    disturbed: list[Disturbed] = field(default_factory=list)
    overload: list[Overload] = field(default_factory=list)
    start: list[float] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def ratio(self, metric: str, name: str, others: Sequence[str], connections: int) -> float | None:
        """Median over the rounds of a server's value by the others' highest; None where one is absent."""
        own = self.rounds.get((name, connections), [])
        peers = [self.rounds.get((other, connections), []) for other in others]
        if not own or not all(peers):
            return None
        ratios = [m[metric] / max(t[metric] for t in rest) for m, *rest in zip(own, *peers, strict=False)]
        return median(ratios)

    def median(self, metric: str, name: str, connections: int) -> float:
        return float(median(m[metric] for m in self.rounds[name, connections]))


def report(measurements: Measurements) -> Iterator[str]:
    """Tables, and a line for each target that was measured."""
    for connections in sorted({n for _, n in measurements.rounds}):
        yield from _round_lines(measurements, connections)
    if measurements.disturbed:
        yield from _disturbed_lines(measurements.disturbed)
    if measurements.overload:
        yield "ours, asked three times what it can answer"
        yield (
            table(("goodput", "offered", "refused", "broken", "p99 ms"), overload.table_rows(measurements.overload))
            + "\n"
        )
    if measurements.start:
        yield f"from the command to ready with ten models, s: {', '.join(f'{s:.2f}' for s in measurements.start)}\n"
    if measurements.faults:
        yield "bad input: status, and what is wrong with the answer"
        yield table(("", *NAMES), [[name, *cells] for name, cells in measurements.faults.items()]) + "\n"
    yield from (f"  absent  {name}: {why}" for name, why in measurements.absent.items())
    yield from _targets(measurements)


COLUMNS = (
    *("rate/mlserver", "/best other", "/floor"),
    *("p50 ms", "p99 ms", "p99/mlserver", "settled", "/mlserver", "core ms", "PSS MB", "failed"),
)


def _round_lines(measurements: Measurements, connections: int) -> Iterator[str]:
    names = [name for name, n in measurements.rounds if n == connections]
    rows = []
    for name in names:
        ratios = [measurements.ratio("rate", name, others, connections) for others in ((BASE,), OTHERS, ("floor",))]
        values = [measurements.median(k, name, connections) for k in ("p50", "p99", "settled", "core_ms", "pss")]
        p50, p99, settled, core, pss = (f"{v:.{digits}f}" for v, digits in zip(values, (2, 2, 2, 3, 0), strict=True))
        tails = [_ratio_text(measurements.ratio(k, name, (BASE,), connections)) for k in ("p99", "settled")]
        failed = sum(m["failed"] for m in measurements.rounds[name, connections])
        rows.append([name, *map(_ratio_text, ratios), p50, p99, tails[0], settled, tails[1], core, pss, str(failed)])
    yield f"{measurements.network}, {connections} connection{'s' * (connections > 1)}"
    yield table(("", *COLUMNS), rows) + "\n"


def _ratio_text(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}"


def _disturbed_lines(disturbed: Sequence[Disturbed]) -> Iterator[str]:
    rows = []
    for (scenario, n), some in _grouped(disturbed).items():
        ratios = [f"{_median(some, key):.2f}" for key in ("rate", "p99")]
        rows.append([scenario, str(n), *ratios, str(sum(d.failed for d in some)), str(sum(d.done for d in some))])
    yield "ours meanwhile, against undisturbed"
    yield table(("", "connections", "rate", "p99", "failed", "done"), rows) + "\n"
    yield from dict.fromkeys(f"  {d.what}: {fault}" for d in disturbed for fault in d.faults)


def _grouped(disturbed: Sequence[Disturbed]) -> Mapping[tuple[str, int], list[Disturbed]]:
    keys = dict.fromkeys((d.what, d.connections) for d in disturbed)
    return {key: [d for d in disturbed if (d.what, d.connections) == key] for key in keys}


def _median(some: Sequence[Disturbed], metric: str) -> float:
    return float(median(getattr(d, metric) for d in some))


def _targets(measurements: Measurements) -> Iterator[str]:
    for words, metric, name, others, limits, most in _aims(measurements.network):
        for connections, limit in limits.items():
            value = measurements.ratio(metric, name, others, connections)
            if value is not None:
                yield reached(f"{name}, {connections} connections: {words}", value, limit, most)
    for n in sorted({n for _, n in measurements.rounds})[:1]:
        if (value := measurements.ratio("pss", "ours", ("floor",), n)) is not None:
            yield reached("ours: PSS, worker apart, to the floor's", value, PSS)
    for (scenario, n), some in _grouped(measurements.disturbed).items():
        if scenario in SCENARIO_RATE:
            limit = SCENARIO_RATE[scenario][measurements.network]
            yield reached(f"{scenario}, {n} connections: rate", _median(some, "rate"), limit, most=False)
        yield reached(f"{scenario}, {n} connections: p99", _median(some, "p99"), SCENARIO_P99[scenario])
        yield reached(f"{scenario}, {n} connections: failed", sum(d.failed + len(d.faults) for d in some), 0)
    if measurements.overload:
        yield reached(
            "overload: good answers, of what could be answered",
            median(o.kept for o in measurements.overload),
            GOODPUT,
            most=False,
        )
        yield reached("overload: broken", sum(o.broken for o in measurements.overload), 0)
    if measurements.start:
        yield reached("ready with ten models, s", median(measurements.start), START_SECONDS)
    for name, cells in measurements.faults.items():
        if name.startswith("ours"):
            yield reached(f"{name}: bad input without a clear 4xx", sum(not clear(cell) for cell in cells), 0)


def _aims(network: str) -> Iterator[tuple[str, str, str, Sequence[str], Limits, bool]]:
    for name, limits in OVER_BASE[network].items():
        yield f"requests a second, to {BASE}'s JSON", "rate", name, (BASE,), limits, False
    yield f"p99, to {BASE}'s", "p99", "ours", (BASE,), P99[network], True
    yield "requests a second, to the best of the others", "rate", "ours", OTHERS, OVER_OTHERS[network], False
    yield "requests a second, to the floor's", "rate", "ours", ("floor",), OVER_FLOOR[network], False
