"""The gate: measured numbers and a policy in, a verdict with its reasons out.

The first rule that fires at the highest severity (rejected before held) decides; all are listed. A rule without
evidence passes with a flag (`passed` null). Trusted rows and the update's own are never pooled: with wrong labels, the
update's rows vote for the bad version.
"""

from __future__ import annotations

from collections.abc import Callable

from service.contract.enums import Outcome, Severity
from service.contract.policy import GatePolicy
from service.contract.report import GateReport, Rule
from service.learning import contradictions, rules
from service.learning.measured import Finding, Measured
from service.learning.sentences import lowered, stays

RULES: tuple[tuple[str, Callable[[Measured, GatePolicy], Finding]], ...] = (
    ("first_version", rules.first_version),
    ("unlearnable", contradictions.unlearnable),
    ("contradicts_everything", contradictions.contradicts_everything),
    ("contradicts_class", contradictions.contradicts_class),
    ("disagrees_broadly", contradictions.disagrees_broadly),
    ("forgets", rules.forgets),
    ("intrudes", rules.intrudes),
    ("new_class_not_learned", rules.new_class_not_learned),
    ("worst_class", rules.worst_class),
    ("slow_loss", rules.slow_loss),
    ("learned_nothing", rules.learned_nothing),
    ("sound", rules.sound),
)
"""In the order of their numbers, in which they decide too. Each is named after its part of the policy."""


def judge(measured: Measured, policy: GatePolicy) -> GateReport:
    """Every rule, and the verdict of the first that fires at the highest severity."""
    findings = [rule(measured, policy) for _, rule in RULES]
    deciding = next((f for worst in (Severity.REJECTED, Severity.HELD) for f in findings if f.fires is worst), None)
    unproven = [f.what for f in findings if f.unproven]
    return GateReport(
        outcome=_outcome(deciding),
        rules=[_listed(k, name, f) for k, ((name, _), f) in enumerate(zip(RULES, findings, strict=True))],
        unproven=bool(unproven),
        why=_sentence(deciding, measured.live) if deciding else " ".join(unproven) or "Every check passed.",
    )


def _outcome(deciding: Finding | None) -> Outcome:
    if deciding is None:
        return Outcome.PASS
    return Outcome.FAIL if deciding.fires is Severity.REJECTED else Outcome.UNDECIDED


def _sentence(deciding: Finding, live: int | None) -> str:
    verdict = "Rejected" if deciding.fires is Severity.REJECTED else "Held"
    return f"{verdict}: {lowered(deciding.what)} {stays(live)} {deciding.remedy}".rstrip()


def _listed(number: int, name: str, finding: Finding) -> Rule:
    return Rule(
        name=name,
        number=number,
        limit=finding.limit,
        value=finding.value,
        passed=finding.fires is None if finding.evidence else None,
        severity=finding.fires,
        why=f"{finding.what} {finding.remedy}".rstrip(),
    )
