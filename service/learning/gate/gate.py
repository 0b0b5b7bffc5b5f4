"""The gate: from what rules find to a verdict with reasons; one folder a kind of target has the rules.

The first rule that fires at the highest severity (rejected before held) decides; all are listed. A rule without
evidence passes with a flag (`passed` is None). Trusted rows and the update's own are never pooled: with wrong labels,
the update's rows vote for the bad version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from service.contract.enums import Outcome, Severity
from service.contract.reports.facts import BESIDE_SETTINGS, GateReport, Rule
from service.learning.wording import listed, stays

Evidence = TypeVar("Evidence")
Asked = ParamSpec("Asked")
Figure = int | float | str | list[str]

COLUMNS = (13, "wrong_columns")
"""The rule that is told where it fires, whichever decides: wrong inputs explain what others measured, and not the other
way round."""
RESETTLED = (5, 8, 10)
"""Rules that compare with what the candidate's settings make without the batch, where those are others."""


@dataclass(frozen=True)
class Finding:
    """What one rule finds. `what`: the event and its evidence; `remedy`: what a person can do about it.

    `fires` is None: it passes; without `evidence` it passes with a flag; `unproven`: rows were too few to judge by.
    `beside_live`: it compares with the live version whatever its settings. `figures`: what `what` counts and names.
    """

    what: str
    value: float | None = None
    limit: float | None = None
    fires: Severity | None = None
    remedy: str = ""
    evidence: bool = True
    unproven: bool = False
    beside_live: bool = False
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class Back:
    """An earlier version that answered better. `lost`: what the live version had lost since then, in the measure of
    what the new one has, `said` so · `lacks`: classes that the live version knows and that one does not."""

    version: int
    lost: float = 0.0
    said: str = ""
    lacks: Sequence[str] = ()


def adds_up(of: str, value: float, limit: float, back: Back) -> Finding:
    """What was lost since that version, little by little. To go back helps where the live one had lost most of it."""
    figures: dict[str, Figure] = {"since": back.version}
    do = "look at its rows, take the batch back"
    if 2 * back.lost >= value:
        lacks = f", which does not know {listed(back.lacks, quote=True)}" if back.lacks else ""
        do = f"go back to version {back.version}{lacks}"
        figures = {"version": back.version, "lost": min(back.lost, value)}
        if back.lacks:
            figures["lacks"] = [*back.lacks]
    before = "All" if back.lost >= value else back.said if back.lost > 0 else "None"
    then = "then it is what later ones are compared with."
    remedy = f"{before} of that came before this update: {do}, or promote this one: {then}"
    return Finding(f"Small losses add up: {of}.", value, limit, Severity.HELD, remedy, figures=figures)


def silent_without(
    evidence: Callable[Asked, Evidence | str],
) -> Callable[[Callable[Concatenate[Evidence, Asked], Finding]], Callable[Asked, Finding]]:
    """Makes a rule silent where it has no evidence. evidence: gives it, or the sentence that says why there is none."""

    def silent(rule: Callable[Concatenate[Evidence, Asked], Finding]) -> Callable[Asked, Finding]:
        @wraps(rule)
        def finding(*args: Asked.args, **kwargs: Asked.kwargs) -> Finding:
            given = evidence(*args, **kwargs)
            return Finding(given, evidence=False) if isinstance(given, str) else rule(given, *args, **kwargs)

        return finding

    return silent


def sound(weights: bool | None) -> Finding:
    """Rule 11: weights are finite and load again. Whoever publishes fails the update before it comes to this."""
    if weights is None:
        return Finding("Weights are checked when the version is stored.", evidence=False)
    if weights:
        return Finding("All of its numbers are finite, and it loads again.")
    return Finding("The weights are not finite or do not load.", fires=Severity.REJECTED, remedy="Learn it again.")


def decided(findings: Mapping[tuple[int, str], Finding], live: int | None, resettled: bool) -> GateReport:
    """The verdict of what every rule found, by its number and name, in the order in which they decide.

    live: number of the version that answers now · resettled: rules compared with what the candidate's settings make
    without the batch.
    """
    if resettled:
        findings = {key: beside_settings(f) if key[0] in RESETTLED else f for key, f in findings.items()}
    if any(f.fires is Severity.REJECTED for f in findings.values()):  # nobody is told to promote what is rejected
        findings = {
            key: replace(f, remedy="") if f.fires is Severity.HELD and key != COLUMNS else f
            for key, f in findings.items()
        }
    columns = findings.get(COLUMNS)
    if columns is not None and columns.fires:
        findings = {key: f if f is columns else replace(f, remedy="") for key, f in findings.items()}
    firing = [f for severity in (Severity.REJECTED, Severity.HELD) for f in findings.values() if f.fires is severity]
    deciding = firing[0] if firing else None
    said = columns if columns is not None and columns.fires else deciding
    unproven = [f.what for f in findings.values() if f.unproven]
    report = GateReport(
        outcome=_outcome(deciding),
        rules=[_listed(number, name, finding) for (number, name), finding in sorted(findings.items())],
        unproven=bool(unproven),
        why=" ".join(unproven) or "Every check passed.",
        decided_by=next((name for (_, name), finding in findings.items() if finding is said), None),
    )
    if said is None:
        return report
    return report.model_copy(update={"why": f"{report.found} {stays(live)} {said.remedy}".rstrip()})


def beside_settings(finding: Finding) -> Finding:
    """The finding, which says what it compared with."""
    if finding.value is None or finding.beside_live:
        return finding
    return replace(finding, what=f"{finding.what} {BESIDE_SETTINGS}")


def _outcome(deciding: Finding | None) -> Outcome:
    if deciding is None:
        return Outcome.PASS
    return Outcome.FAIL if deciding.fires is Severity.REJECTED else Outcome.UNDECIDED


def _listed(number: int, name: str, finding: Finding) -> Rule:
    return Rule(
        name=name,
        number=number,
        limit=finding.limit,
        value=finding.value,
        passed=finding.fires is None if finding.evidence else None,
        severity=finding.fires,
        why=f"{finding.what} {finding.remedy}".rstrip(),
        remedy=finding.remedy,
        unproven=finding.unproven,
        figures=dict(finding.figures),
    )
