"""The gate: judges measured numbers by a policy, with reasons.

The first rule that fires at the highest severity (rejected before held) decides; all are listed. A rule without
evidence passes with a flag (`passed` is None). Trusted rows and the update's own are never pooled: with wrong labels,
the update's rows vote for the bad version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from service.contract.enums import Outcome, Severity
from service.contract.policy import GatePolicy
from service.contract.report import GateReport, Rule
from service.learning.gate import contradiction_rules, rules
from service.learning.gate.measurements import Finding, Measured
from service.learning.wording import lowered, stays

RULES: tuple[tuple[int, str, Callable[[Measured, GatePolicy], Finding]], ...] = (
    (0, "first_version", rules.first_version),
    (1, "unlearnable", contradiction_rules.unlearnable),
    (2, "contradicts_everything", contradiction_rules.contradicts_everything),
    (3, "contradicts_class", contradiction_rules.contradicts_class),
    (4, "disagrees_broadly", contradiction_rules.disagrees_broadly),
    (12, "renames", rules.renames),
    (5, "forgets", rules.forgets),
    (6, "intrudes", rules.intrudes),
    (7, "new_class_not_learned", rules.new_class_not_learned),
    (8, "worst_class", rules.worst_class),
    (9, "slow_loss", rules.slow_loss),
    (10, "learned_nothing", rules.learned_nothing),
    (11, "sound", rules.sound),
)
"""Number, name, rule, in the order in which they decide. Each is named after its part of the policy."""
RELABELS = (2, 3, 4)
"""Rules that labels which contradict what is known do not break where they change on purpose. Rule 1 stays: labels that
follow no rule of their own are nobody's purpose."""


def judge(measured: Measured, policy: GatePolicy) -> GateReport:
    """Applies every rule; the first that fires at the highest severity gives the verdict."""
    findings = {(number, name): rule(measured, policy) for number, name, rule in RULES}
    if measured.relabels:
        findings |= {key: _expected(finding) for key, finding in findings.items() if key[0] in RELABELS}
    return decided(findings, measured.live)


def _expected(finding: Finding) -> Finding:
    """The finding, which stops nothing."""
    if finding.fires is None:
        return finding
    return replace(finding, what=f"{finding.what} That was expected: labels change on purpose.", fires=None, remedy="")


def decided(findings: Mapping[tuple[int, str], Finding], live: int | None) -> GateReport:
    """The verdict of what every rule found, by its number and name, in the order in which they decide. live: number of
    the version that answers now."""
    firing = [f for severity in (Severity.REJECTED, Severity.HELD) for f in findings.values() if f.fires is severity]
    deciding = firing[0] if firing else None
    unproven = [f.what for f in findings.values() if f.unproven]
    return GateReport(
        outcome=_outcome(deciding),
        rules=[_listed(number, name, finding) for (number, name), finding in sorted(findings.items())],
        unproven=bool(unproven),
        why=_sentence(deciding, live) if deciding else " ".join(unproven) or "Every check passed.",
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
