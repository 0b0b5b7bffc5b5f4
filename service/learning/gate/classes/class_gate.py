"""The gate where targets are classes: measured numbers in, verdict out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from service.contract.enums import Expect, Severity
from service.contract.policy import GatePolicy
from service.contract.reports.facts import GateReport
from service.learning.gate.classes import class_rules as rules
from service.learning.gate.classes import contradiction_rules
from service.learning.gate.classes.class_measurements import Measured
from service.learning.gate.classes.renames import renames
from service.learning.gate.gate import Finding, decided, sound
from service.learning.gate.wrong_columns import wrong_columns

RULES: tuple[tuple[int, str, Callable[[Measured, GatePolicy], Finding]], ...] = (
    (0, "first_version", rules.first_version),
    (13, "wrong_columns", lambda measured, policy: wrong_columns(measured.columns, measured.live)),
    (1, "unlearnable", contradiction_rules.unlearnable),
    (2, "contradicts_everything", contradiction_rules.contradicts_everything),
    (3, "contradicts_class", contradiction_rules.contradicts_class),
    (4, "disagrees_broadly", contradiction_rules.disagrees_broadly),
    (12, "renames", renames),
    (5, "forgets", rules.forgets),
    (6, "intrudes", rules.intrudes),
    (7, "new_class_not_learned", rules.new_class_not_learned),
    (8, "worst_class", rules.worst_class),
    (9, "slow_loss", rules.slow_loss),
    (10, "learned_nothing", rules.learned_nothing),
    (11, "sound", lambda measured, policy: sound(measured.sound)),
)
"""Number, name, rule, in the order in which they decide. Each is named after its part of the policy."""
RELABELS = (2, 3, 4)
"""Rules that labels do not break where they change on purpose, if that explains it. Rule 1 stays: labels that follow
no rule of their own are nobody's purpose."""
RENAMES, BY_RENAMES = (12, "renames"), (5, 6, 8, 9)
"""Rules that measure what an old class under another name does: its rows count against the old class, which loses. The
name explains the loss, and not the other way round, so these hold then, and the name is told: a new one by rule 12, one
that is known by rule 3 or 4."""


def judge(measured: Measured, policy: GatePolicy) -> GateReport:
    """Applies every rule; the first that fires at the highest severity gives the verdict."""
    findings = {(number, name): rule(measured, policy) for number, name, rule in RULES}
    meant = contradiction_rules.on_purpose(measured.contradiction, policy)
    changed = None
    if measured.relabels:
        changed = _expected if meant else _unexplained
    elif meant:
        changed = _may_be_meant
    if changed is not None:
        findings |= {key: changed(finding) for key, finding in findings.items() if key[0] in RELABELS}
    if findings[RENAMES].fires or contradiction_rules.one_class(measured.contradiction, policy):
        findings |= {key: _explained(finding) for key, finding in findings.items() if key[0] in BY_RENAMES}
    return decided(findings, measured.live, measured.resettled)


def _may_be_meant(finding: Finding) -> Finding:
    """The finding, which says that it would stop nothing if labels changed on purpose."""
    return finding if finding.fires is None else replace(finding, figures={**finding.figures, "expect": Expect.RELABEL})


def _expected(finding: Finding) -> Finding:
    """The finding, which stops nothing."""
    if finding.fires is None:
        return finding
    return replace(finding, what=f"{finding.what} That was expected: labels change on purpose.", fires=None, remedy="")


def _unexplained(finding: Finding) -> Finding:
    """The finding, which holds and rejects nothing: a rule that was written anew may look like that, too."""
    if finding.fires is None:
        return finding
    what = f"{finding.what} No class is only called otherwise, so that labels change on purpose does not explain it."
    remedy = "Do its columns and labels belong together? If they do, promote this version."
    return replace(finding, what=what, fires=Severity.HELD, remedy=remedy)


def _explained(finding: Finding) -> Finding:
    """The finding, which does not decide: it holds where it would reject."""
    return replace(finding, fires=Severity.HELD) if finding.fires is Severity.REJECTED else finding
