"""The gate where targets are numbers: measurements in, verdict out, by rules of its own and the order of the gate's.

Where a row has several numbers, each rule is asked of each, and the worst finding stands for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from service.contract.enums import Outcome, Severity
from service.contract.number_policy import NumberPolicy
from service.contract.reports.facts import GateReport
from service.contract.reports.number_report import NumberReport
from service.learning.gate.gate import Finding, beside_settings, decided, sound
from service.learning.gate.numbers import batch_rules
from service.learning.gate.numbers import number_rules as rules
from service.learning.gate.numbers.batch_rules import NumberRule
from service.learning.gate.numbers.number_measurements import NumberMeasured, OneNumber
from service.learning.gate.wrong_columns import wrong_columns

NUMBER_RULES: tuple[tuple[int, str, NumberRule], ...] = (
    (0, "first_version", rules.first_version),
    (13, "wrong_columns", lambda measured, number, policy: wrong_columns(measured.columns, measured.live)),
    (2, "wrong_unit", batch_rules.wrong_unit),
    (2, "one_value", batch_rules.one_value),
    (1, "unlearnable", batch_rules.unlearnable),
    (2, "contradicts_everything", batch_rules.contradicts_everything),
    (3, "outliers", batch_rules.outliers),
    (4, "disagrees_broadly", batch_rules.disagrees_broadly),
    (5, "forgets", rules.forgets),
    (8, "worst_region", rules.worst_region),
    (9, "slow_loss", rules.slow_loss),
    (10, "learned_nothing", rules.learned_nothing),
    (11, "sound", lambda measured, number, policy: sound(measured.sound)),
)
"""Number, name, rule, in the order in which they decide: what says most of a wrong batch first. A number is that of the
rule on classes which has the same purpose. Each is named after its part of the policy."""

BLAMED = ("wrong_columns", "wrong_unit", "one_value")
"""Rules that name what is wrong with a batch, whatever came before it."""
OF_TARGETS = ("unlearnable", "wrong_unit")
"""Rules that say of targets what inputs which are cut off would look like, too."""
EXCUSABLE = ("contradicts_everything", "outliers", "disagrees_broadly")
"""Rules that let a batch pass which something excuses for being unlike the promoted ones."""
OF_BATCH = (1, 2, 3, 4)
"""Rules that compare the batch with what the base makes of it."""
SEVERITY = {None: 0, Severity.HELD: 1, Severity.REJECTED: 2}


def judge_numbers(measured: NumberMeasured, policy: NumberPolicy) -> GateReport:
    """Applies every rule to each number of a row; the first that fires at the highest severity gives the verdict."""
    findings = {}
    for number, name, rule in NUMBER_RULES:
        found = [_unless_excused(name, rule(measured, one, policy), one, measured) for one in measured.numbers]
        finding = _of_inputs(name, _worst(found), measured)
        findings[number, name] = beside_settings(finding) if measured.nearer and number in OF_BATCH else finding
    return decided(findings, measured.live, measured.resettled)


def follows(measured: NumberMeasured, policy: NumberPolicy, gate: GateReport) -> int:
    """How many stopped batches in a row the update is like, where it passes for that alone; else 0."""
    stopped = [one.batch.stopped.batches for one in measured.numbers if one.batch is not None and one.batch.stopped]
    if gate.outcome is not Outcome.PASS or not stopped:
        return 0
    alone = [replace(one, batch=one.batch and replace(one.batch, stopped=None)) for one in measured.numbers]
    return 0 if judge_numbers(replace(measured, numbers=alone), policy).outcome is Outcome.PASS else min(stopped)


def shows_a_move(report: NumberReport) -> bool:
    """Whether a stopped batch may show that the stream has moved: no rule blames its unit, or that it is one value."""
    return not any(rule.severity and rule.name in BLAMED for rule in report.gate.rules)


def _unless_excused(name: str, finding: Finding, number: OneNumber, measured: NumberMeasured) -> Finding:
    """The finding, which passes where something excuses the batch."""
    if finding.fires is None or number.batch is None or name not in EXCUSABLE:
        return finding
    excuse = batch_rules.excuse(number.batch, measured.live)
    if not excuse:
        return finding
    return Finding(f"{finding.what} {excuse}", finding.value, finding.limit, figures=finding.figures)


def _of_inputs(name: str, finding: Finding, measured: NumberMeasured) -> Finding:
    """The finding, which leads to the inputs, and not to the targets, where columns of those are far off."""
    if not measured.beyond or finding.fires is None:
        return finding
    if name in OF_TARGETS:  # which no head could follow, where it sees rows that differ as the same
        right = "it sees them cut off, which may be all that is wrong: make a new model that declares a wider `scale`"
        return replace(finding, remedy=f"{finding.remedy} But first: {_inputs(measured, right)}")
    if "expect" not in finding.figures:
        return finding
    if finding.fires is Severity.REJECTED:  # the inputs alone do not clear targets that are so far off
        return replace(finding, remedy=f"{finding.remedy} {measured.beyond}: are they a mistake, too?")
    figures = {name: value for name, value in finding.figures.items() if name != "expect"}
    return replace(finding, remedy=_inputs(measured, "promote this version"), figures=figures)


def _inputs(measured: NumberMeasured, right: str) -> str:
    ways = f"{measured.beyond}. If they are a mistake, send the rows again; if they are right, {right}."
    return f"{ways} {measured.numbering}".rstrip()


def _worst(findings: Sequence[Finding]) -> Finding:
    """The finding that fires; else one that leaves something unproven; else the one with evidence."""
    worst = max(findings, key=lambda f: (SEVERITY[f.fires], f.unproven, f.evidence))
    return replace(worst, unproven=any(f.unproven for f in findings))
