"""Words the verdict of an update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from service.contract.enums import Outcome, Verdict
from service.contract.number_report import AnyReport, NumberReport
from service.contract.report import Report
from service.learning.gate.classes.class_verdicts import classes_gained
from service.learning.gate.numbers.number_verdicts import numbers_gained
from service.learning.wording import lowered

REBASE = (
    "If another version goes live first, have this one learned again on that one (rebase), so that nothing is left out."
)

GAINED: Mapping[type[AnyReport], Callable[[Any], str]] = {Report: classes_gained, NumberReport: numbers_gained}
"""Say what a version gained, and what became of what it knew; by the report of each kind of target."""


def verdict_sentence(report: AnyReport, verdict: Verdict | None, version: int | None, base: int | None) -> str:
    """Says why an update ended as it did. `version`: the one it made, `base`: the one it started from."""
    if verdict is None or version is None:
        return "Nothing to do: every batch of this update was already learned."
    if verdict is Verdict.SUPERSEDED:
        return (
            f"Set aside: version {base} stopped being live while this was learning. Learn it again on what is live now."
        )
    if verdict is Verdict.PROMOTED:
        return promoted(report, version)
    why = report.gate.why
    if report.gate.outcome is Outcome.PASS:
        why = f"Ready: version {version} passed every check and waits for you."
    return f"{why} {REBASE}" if verdict is Verdict.HELD else why


def promoted(report: AnyReport, version: int) -> str:
    """Says why a version is live, by the gate or by a caller's order."""
    if report.gate.outcome is not Outcome.PASS:
        return f"Live: version {version}, by order. The gate would have said: {report.gate.why}"
    if report.gate.unproven:
        return f"Live, but unproven: {lowered(report.gate.why)}"
    return f"Live: version {version}. {GAINED[type(report)](report)}"
