"""The report of a run: tables of its measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.servers import overload
from benchmarks.servers.contenders import BASE, OTHERS
from benchmarks.servers.disturbed import Disturbed
from benchmarks.servers.faults import NAMES
from benchmarks.servers.overload import Overload
from benchmarks.servers.table_cost import VECTOR, TableCost
from benchmarks.tables.terminal import table


@dataclass
class Measurements:
    """All measurements of one run. rounds: name and connections -> those of each round."""

    network: str
    rounds: dict[tuple[str, int], list[dict[str, Any]]] = field(default_factory=dict)
    disturbed: list[Disturbed] = field(default_factory=list)
    overload: list[Overload] = field(default_factory=list)
    tables: list[TableCost] = field(default_factory=list)
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
    """Tables."""
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
    if measurements.tables:
        yield "ours, core ms a request of one row, and beside the vector"
        yield table(("connections", *_forms(measurements.tables)), _table_rows(measurements.tables)) + "\n"
    if measurements.start:
        yield f"from the command to ready with ten models, s: {', '.join(f'{s:.2f}' for s in measurements.start)}\n"
    if measurements.faults:
        yield "bad input: status, and what is wrong with the answer"
        yield table(("", *NAMES), [[name, *cells] for name, cells in measurements.faults.items()]) + "\n"
    yield from (f"  absent  {name}: {why}" for name, why in measurements.absent.items())


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


def _forms(tables: Sequence[TableCost]) -> list[str]:
    return [*tables[0].core_ms]


def _table_rows(tables: Sequence[TableCost]) -> Iterator[list[str]]:
    for n in dict.fromkeys(cost.connections for cost in tables):
        rounds = [cost.core_ms for cost in tables if cost.connections == n]
        ratios = {form: median(r[form] / r[VECTOR] for r in rounds) for form in _forms(tables)}
        yield [str(n), *(f"{median(r[form] for r in rounds):.3f} ({ratio:.2f})" for form, ratio in ratios.items())]


def _grouped(disturbed: Sequence[Disturbed]) -> Mapping[tuple[str, int], list[Disturbed]]:
    keys = dict.fromkeys((d.what, d.connections) for d in disturbed)
    return {key: [d for d in disturbed if (d.what, d.connections) == key] for key in keys}


def _median(some: Sequence[Disturbed], metric: str) -> float:
    return float(median(getattr(d, metric) for d in some))
