"""Words the verdict of an update, and what the version gained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.contract.enums import Outcome, Verdict
from service.contract.reports import AnyReport, nothing_left
from service.learning.gate.classes.class_words import ClassWords
from service.learning.gate.numbers.number_words import NumberWords
from service.learning.gate.words import VerdictWords
from service.learning.wording import listed, lowered

NAMED = 3
"""Batches that were stopped alone before and that a sentence names."""
REBASE = (
    "If another version goes live first, rebase this one: it is learned again on that one, and nothing is left out."
)

WORDS: Mapping[str, VerdictWords[Any]] = {"class": ClassWords(), "number": NumberWords()}


def verdict_sentence(
    report: AnyReport, verdict: Verdict | None, version: int | None, base: int | None, live: int | None = None
) -> str:
    """Says why an update ended as it did. `version`: the one it made, `base`: the one it started from, `live`: the one
    that was live at its end."""
    if verdict is None or version is None:
        return "Nothing to do: every batch of this update was already learned."
    if verdict is Verdict.SUPERSEDED:
        on = "what is live now" if live is None else f"version {live}"
        return f"Set aside: version {base} stopped being live while this was learning. Learn it again on {on}."
    if verdict is Verdict.PROMOTED:
        return promoted(report, version)
    why = f"{report.gate.why}{_where(report, verdict, base)}"
    if report.gate.outcome is Outcome.PASS:
        why = f"Ready: version {version} passed every check and waits for you."
    return f"{why} {REBASE}" if verdict is Verdict.HELD else why


def _where(report: AnyReport, verdict: Verdict, base: int | None) -> str:
    """Names the rows, where they are few, and the batch of several by which an update may have been stopped; and says
    that what was rejected for few rows waits all the same."""
    parts, words = report.batch.parts, WORDS[report.kind]
    said = words.far_rows(report, verdict)
    if before := report.batch.stopped_alone:
        which, was = ("it", "was") if len(before) == 1 else ("them", "were")
        named = listed(before[:NAMED]) + (f" and {len(before) - NAMED:,} more" if len(before) > NAMED else "")
        said += f" Of its batches {named} {was} stopped alone before."
        said += f" Learn any others without {which}, or take {which} back."
    if not parts or (before and not parts[0].stands_out):
        return said
    first, more = parts[0], sum(part.stands_out for part in parts) - 1
    if not first.stands_out:
        return f"{said} Its batches were judged together: learned one by one, a good one does not wait for a bad one."
    how = words.part(report, base)
    too = f" So do {more} others." if more > 1 else " So does another." if more else ""
    it = "them" if more else "it"
    return (
        f"{said} Of its batches {first.batch} stands out: {how}.{too} Learn the others without {it}, or take {it} back."
    )


def promoted(report: AnyReport, version: int) -> str:
    """Says why a version is live, by the gate or by a caller's order: of what the gate found against it neither says
    that the one before stays live nor how this one would become so."""
    if nothing_left(report):
        return f"Live: version {version}. Nothing that was learned is left, so it answers nothing until rows come."
    if report.gate.outcome is not Outcome.PASS:
        return f"Live: version {version}, by order. The gate would have said: {report.gate.found}"
    if report.gate.unproven:
        return f"Live, but unproven: {lowered(report.gate.why)}"
    return f"Live: version {version}. {WORDS[report.kind].gained(report)}"
