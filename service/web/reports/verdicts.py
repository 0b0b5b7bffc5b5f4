"""What became of a version, in words and in a colour: `good`, `warn` or `bad`, as style.css has them."""

from __future__ import annotations

import sys

from service.contract.enums import Outcome, Verdict
from service.contract.reports import AnyReport
from service.contract.reports.facts import BY_CHANCE, Rule
from service.web.kinds import kind_of
from service.web.words import Words, percent

COLOURS = {Verdict.PROMOTED: "good", Verdict.HELD: "warn", Verdict.REJECTED: "bad", Verdict.SUPERSEDED: "warn"}

BELOW = (
    ("class", "new_class_not_learned"),
    ("class", "renames"),
    ("class", "learned_nothing"),
    ("number", "wrong_unit"),
    ("number", "unlearnable"),
    ("number", "outliers"),
)
"""Rules, by kind of target, that stop what is below their limit; others stop what is above it."""

UNITS_BELOW = ("chance", "correlation", "repaired")
"""Units of a finding that names its own, as rule 4 of numbers does, which stop what is below the limit."""

LOSSES = ("forgets", "worst_class", "worst_region", "slow_loss")
"""Rules whose value is what was lost, and whose limit is how much of that is allowed."""


def short(verdict: Verdict | None, report: AnyReport | None, words: Words) -> str:
    """The verdict in a few words, with what decided it: "held: labels contradict a class"."""
    if verdict is None:
        return words("verdict.none")
    if verdict is Verdict.HELD and report is not None and report.gate.outcome is Outcome.PASS:
        return words("verdict.ready")
    word = words(f"verdict.{verdict}")
    rule = deciding(report)
    if report is None or rule is None or verdict not in (Verdict.HELD, Verdict.REJECTED):
        return word
    return words("verdict.because", verdict=word, rule=rule_name(rule, report, words))


def rule_name(rule: Rule, report: AnyReport, words: Words) -> str:
    """What a rule is called; some are called otherwise of targets of a kind."""
    own = f"{rule.name}_{kind_of(report).name}"
    return words.named("rule", own if f"rule.{own}" in words else rule.name)


def measured(figure: float | None, rule: Rule, report: AnyReport, words: Words) -> str:
    """The value or the limit of a rule in its unit, which a finding may name: some rules look at several things."""
    unit = rule.figures.get("unit") or kind_of(report).units.get(rule.name)
    if figure is None or unit is None:
        return "–"
    if unit in ("percent", "share"):
        return percent(figure) if unit == "percent" or figure <= 1 else "–"  # no share is as large: it cannot fire
    if unit == "points":
        return words("version.points", points=f"{100 * figure:.1f}".replace("-", "−"))
    if unit == "chance":
        figure = max(figure, sys.float_info.min)  # no chance is 0: it is less than a float can say
    return words(f"version.unit.{unit}", value=words.figure(figure, rule.limit))


def bound(rule: Rule, report: AnyReport, words: Words) -> str:
    """The limit of a rule in its unit, and on which side of it a version is stopped."""
    shown = measured(rule.limit, rule, report, words)
    if shown == "–":
        return shown
    unit = rule.figures.get("unit")
    is_below = (kind_of(report).name, rule.name) in BELOW if unit is None else unit in UNITS_BELOW
    return words(f"version.{'stops_below' if is_below else 'stops_above'}", limit=shown)


def within_chance(rule: Rule) -> bool:
    """Whether more was lost than is allowed, or is beyond another limit, on too few rows to tell it from chance. What
    was lost where the stream moves passes for that."""
    if rule.passed and rule.why.endswith(BY_CHANCE):
        return True
    lost = rule.name in LOSSES and bool(rule.passed) and "the newer rows." not in rule.why
    return lost and rule.value is not None and rule.limit is not None and rule.value > rule.limit


def deciding(report: AnyReport | None) -> Rule | None:
    """The rule whose sentence is the gate's, if one fired."""
    return None if report is None else report.gate.deciding
