"""Each method beside the same method of Avalanche, at equal memory and epochs; and what is aimed at against the peers.

Avalanche's train on every row; ours keep three rows in ten back for the judge. Core-seconds of training are compared
with those of Avalanche's `train`; with the judging beside it. Avalanche's were given their strengths, so that a run of
ours with a given one (`ewc:strength=0.1`) is what compares with them in seconds; one that searches stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.tables.learned import Learned, mean
from benchmarks.tables.terminal import reached, table
from service.learning.methods import METHODS

PEERS = {"replay": "replay", "der_pp": "der++", "icarl": "icarl", "ewc": "ewc", "lwf": "lwf", "mas": "mas", "si": "si"}
"""Our method -> Avalanche's."""
EVEN = ", 0.7 of the rows"
POINT, SHARE = 1.0, 0.8
"""Points of accuracy that may be lost, and seconds that may be taken, against Avalanche's."""
AHEAD = {"mnist10k": 3.0, "letter": 13.0, "clinc150": 1.0, "emoji32-styles": 1.0}
"""Points by which `auto` shall beat the best strategy of Avalanche that keeps 500 rows."""


def report(runs: Sequence[Learned]) -> Iterator[str]:
    """A table a stream, and lines of what was reached."""
    for stream in dict.fromkeys(r.stream for r in runs):
        by_method = {m: [r for r in runs if r.stream == stream and r.method == m] for m in {r.method for r in runs}}
        by_method = {m: rows for m, rows in by_method.items() if rows and not rows[0].refused}
        if any(m.startswith("Avalanche ") for m in by_method):
            yield from _pairs(stream, by_method)
        yield from _within(stream, by_method)


def _pairs(stream: str, by_method: dict[str, list[Learned]]) -> Iterator[str]:
    lines, sentences = [], []
    for method in [m for name in METHODS for m in sorted(by_method) if m.partition(":")[0] == name]:
        full = f"Avalanche {PEERS.get(method.partition(':')[0], '')}"
        if full not in by_method:
            continue
        ours, avalanche = _same_seeds(by_method[method], by_method[full])
        even = by_method.get(full + EVEN, [])
        share, whole = (_mean(ours, key) / _mean(avalanche, "seconds") for key in ("training_seconds", "seconds"))
        lines.append(
            [
                method,
                *(f"{_mean(r, 'accuracy'):.4f}" if r else "–" for r in (ours, avalanche, even)),
                *(f"{_mean(r, 'forgetting'):.4f}" if r else "–" for r in (ours, avalanche, even)),
                f"{share:.2f}",
                f"{whole:.2f}",
            ]
        )
        if not method.startswith("si"):
            for name, rows in (("", avalanche), (EVEN, even)):
                if rows:
                    gain = 100 * (_mean(ours, "accuracy") - _mean(rows, "accuracy"))
                    sentences.append(
                        reached(f"{stream}, {method} against {full}{name}, points", gain, -POINT, most=False)
                    )
            sentences.append(reached(f"{stream}, {method}: core-seconds of training, times Avalanche's", share, SHARE))
    if lines:
        yield f"{stream}, method by method: ours, Avalanche's, Avalanche's with as many rows to train on as ours"
        headings = ("method", "ours", "theirs", "0.7", "forgets", "theirs", "0.7", "trains, times theirs", "judged")
        yield table(headings, lines)
        yield from sentences
    rivals = {m: rows for m, rows in by_method.items() if m.startswith("Avalanche ") and "rows" not in m}
    if "auto" in by_method and stream in AHEAD and rivals:
        best = max(rivals, key=lambda m: _mean(rivals[m], "accuracy"))
        ours, avalanche = _same_seeds(by_method["auto"], rivals[best])
        gain = 100 * (_mean(ours, "accuracy") - _mean(avalanche, "accuracy"))
        yield reached(f"{stream}, auto against {best}, points", gain, AHEAD[stream], most=False)
    yield ""


def _within(stream: str, by_method: dict[str, list[Learned]]) -> Iterator[str]:
    """Comparisons of ours with ours."""
    base = by_method.get("fine_tune")
    if stream == "emoji32-styles" and base:
        lost, accuracy = _mean(base, "forgetting"), _mean(base, "accuracy")
        if "si" in by_method:
            yield reached(f"{stream}, si forgets less than fine_tune", _mean(by_method["si"], "forgetting"), lost)
        for method, share in (("l2_sp", 0.8), ("interpolate", 0.4)):
            if method in by_method:
                words = f"{stream}, {method}"
                forgotten = _mean(by_method[method], "forgetting")
                yield reached(
                    f"{words}: accuracy, fine_tune's", _mean(by_method[method], "accuracy"), accuracy, most=False
                )
                yield reached(f"{words}: forgetting, {share:g} of fine_tune's", forgotten, share * lost)
    kept = by_method.get("den:memory_rows=500")
    if kept and "replay" in by_method:
        a, b = _same_seeds(kept, by_method["replay"])
        words = f"{stream}, den with 500 rows: within 3 points of replay"
        yield reached(words, _mean(a, "accuracy"), _mean(b, "accuracy") - 0.03, most=False)
    probe, beside = by_method.get("joint"), by_method.get('ridge:lift=["none","conv"]')
    if probe and beside:
        words = f"{stream}, convolutions beside the backbone: 1.07 of joint"
        yield reached(words, _mean(beside, "accuracy"), 1.07 * _mean(probe, "accuracy"), most=False)


def _same_seeds(a: Sequence[Learned], b: Sequence[Learned]) -> tuple[list[Learned], list[Learned]]:
    both = {r.seed for r in a} & {r.seed for r in b}
    return [r for r in a if r.seed in both], [r for r in b if r.seed in both]


def _mean(rows: Sequence[Learned], name: str) -> float:
    return mean([getattr(r, name) for r in rows])
