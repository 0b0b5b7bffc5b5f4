"""What the service said, in other languages than its own: of rules and verdicts from the figures of a report, of
methods and notes by their patterns (`catalogue/said.py`).

Its own sentences are English; pages in English show those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.contract.enums import Outcome, Severity, UpdateKind, Verdict
from service.contract.reports import AnyReport, nothing_left
from service.contract.reports.facts import BESIDE_SETTINGS, BY_CHANCE, MOVE, Rule
from service.contract.resources import Update
from service.web.kinds import kind_of
from service.web.verdicts import deciding
from service.web.words import OWN, Words, moment, percent

AUTO, LOST = "auto: ", "auto: a challenger that did not win. "
"""How reasons of a method begin that nobody named; the page says the second one itself."""
COLUMNS = "wrong_columns"
"""The rule that is told where it fires, whichever decides: what others measured is no news then."""


def verdict_sentence(
    verdict: Verdict | None, version: int | None, base: int | None, report: AnyReport | None, words: Words
) -> str:
    """What became of a version and why; "" where nothing was judged. base: the version that it was made from."""
    if report is None:
        return ""
    if words.language == OWN:
        return report.gate.why
    rule = deciding(report)
    why = rule_sentence(rule, base, report, words) if rule is not None else ""
    if verdict is None:
        return why
    if verdict is Verdict.SUPERSEDED and (spoken := words.said(report.gate.why)):
        return spoken
    key, gained = str(verdict), ""
    if verdict is Verdict.HELD and report.gate.outcome is Outcome.PASS:
        key = "ready"
    elif verdict is Verdict.PROMOTED and nothing_left(report):
        key = "nothing_left"
    elif verdict is Verdict.PROMOTED and rule is not None:
        key = "by_order"
    elif verdict is Verdict.PROMOTED:
        key, gained = ("unproven", "") if report.gate.unproven else ("promoted", kind_of(report).gained(report, words))
        few = (rule.figures["rows"] for rule in report.gate.rules if rule.passed is None and "rows" in rule.figures)
        why = words("reason.too_few", n=n) if (n := next(few, None)) else words("reason.few")
    stays = words("reason.verdict.stays", live=base) if base is not None else words("models.not_live")
    said = words(f"reason.verdict.{key}", version=version, base=base, why=why, gained=gained, stays=stays)
    if key == "rejected" and report.few_far_out:
        said += words("reason.batches.waits")
    return f"{said}{_by_batch(report, base, words)}" if key in ("held", "rejected") else said


def rule_sentence(rule: Rule, base: int | None, report: AnyReport, words: Words) -> str:
    """What a rule found; that of the gate where a newer service has a rule that we do not know."""
    if words.language == OWN:
        return rule.why
    if rule.passed is None:
        return words("reason.too_few", n=rows) if (rows := rule.figures.get("rows")) else words("reason.no_evidence")
    if rule.passed and rule.value is None and rule.name != "sound":
        return words("reason.does_not_apply")
    kind = kind_of(report)
    finding = kind.finding(rule, report, words)
    variants = _variants(rule, finding.is_known)
    figures = {**_figures(rule, base, report, words), **finding.figures, **_told(rule, words)}
    keys = (f"reason.{name}.{rule.name}.{variant}" for name in kind.rules for variant in variants)
    key = next((key for key in keys if key in words and figures.keys() >= words.takes(key)), None)
    if key is None:
        return rule.why
    passes = words("reason.passes_by_chance") if rule.why.endswith(BY_CHANCE) else ""
    moved = words("reason.expect_move") if MOVE in rule.why else ""
    beside = words.said(BESIDE_SETTINGS) if BESIDE_SETTINGS in rule.why else ""
    said = words(key, **figures)
    return f"{finding.subject}{said}{_remedy(key, figures, rule, report, words)}{passes}{moved}{beside}"


def method_sentence(update: Update, report: AnyReport | None, words: Words) -> str:
    """Why an update used its method, or how it took a batch back; "" for what there are no words of this language."""
    if update.why is None:
        return ""
    if words.language == OWN:
        return update.why.removeprefix(LOST).replace(AUTO, "Chosen automatically: ", 1)
    if spoken := words.said(update.why):
        return spoken
    if update.kind is UpdateKind.RETRACT:
        return words(f"reason.retraction.{'exact' if report is None or report.exact else 'replayed'}")
    method = (update.method or {}).get("name", "")
    key = f"reason.auto.{method}"
    if (update.requested_method or {}).get("name") != "auto" or key not in words:
        return ""
    older = words("reason.auto.older") if "older batches count less" in update.why else ""
    return words("reason.auto.chosen", method=method, why=words(key) + older)


def note_sentences(report: AnyReport, words: Words) -> list[str]:
    """What a report notes, without notes for which there are no words; in other languages than its own, what its
    figures say, too."""
    notes = [spoken for note in (*report.notes, *report.batch.notes) if (spoken := words.said(note))]
    return notes if words.language == OWN else notes + kind_of(report).notes(report, words)


def taken_back(report: AnyReport | None, words: Words) -> str:
    """That its rows were taken back before they came again; "" where they were not."""
    at = None if report is None else report.batch.taken_back_at
    return "" if at is None else words("update.rows_taken_back", at=moment(at))


def _remedy(key: str, figures: Mapping[str, Any], rule: Rule, report: AnyReport, words: Words) -> str:
    """What a person can do about what a rule found; "" where the sentence of `key` says it, where another rule rejects,
    and where wrong columns decide."""
    group, _, variant = key.rpartition(".")
    columns = rule.name != COLUMNS and any(of.name == COLUMNS and of.severity for of in report.gate.rules)
    if columns or (rule.severity, report.gate.outcome) == (Severity.HELD, Outcome.FAIL):
        return ""
    if variant.startswith("held"):
        names = ["held_lacks", "held_told", "held"]
    elif variant.startswith("fires"):
        names = ["live", ""] if rule.figures.get("version", -1) == figures["live"] else [""]
    else:
        return ""
    keys = (f"{group}.remedy_{name}".rstrip("_") for name in names)
    remedy = next((key for key in keys if key in words and figures.keys() >= words.takes(key)), None)
    return words(remedy, **figures) if remedy else ""


def _by_batch(report: AnyReport, base: int | None, words: Words) -> str:
    """Which of several batches that were stopped together stands out; "" of one."""
    if not report.batch.parts:
        return ""
    kind, of = kind_of(report), report.batch.parts[0]
    if not of.stands_out:
        return words("reason.batches.together")
    error, others = kind.show(of.error), kind.show(of.others)
    more = sum(part.stands_out for part in report.batch.parts) - 1
    said = words(f"reason.batches.{kind.name}", batch=of.batch, n=of.rows, base=base, error=error, others=others)
    return said + (words("reason.batches.more", n=more) if more else "")


def _variants(rule: Rule, is_known: bool) -> tuple[str, ...]:
    """Names of the sentences of a rule, that which says most first: of each that with all of its own figures, that with
    most, and that without, which older reports have."""
    if rule.severity is None:
        ends = ("gains", "passes") if (rule.value or 0.0) < 0 else ("passes",)
    elif not is_known:
        ends = ("unmeasured", "fires")
    else:
        ends = ("held", "fires") if rule.severity is Severity.HELD else ("fires",)
    return tuple(f"{end}{told}" for end in ends for told in ("_told", "_counted", ""))


def _told(rule: Rule, words: Words) -> dict[str, Any]:
    """The rule's own figures: shares as percentages, whole ones without the sign, and points; names as listed."""
    figures = dict[str, Any](rule.figures)
    for name, value in rule.figures.items():
        if isinstance(value, float):
            figures |= {
                name: percent(value),
                f"{name}_whole": f"{100 * value:.0f}",
                f"{name}_points": f"{100 * value:.1f}",
            }
        elif isinstance(value, list):
            figures[name] = words.listed([f"「{each}」" for each in value])
    return figures


def _figures(rule: Rule, base: int | None, report: AnyReport, words: Words) -> dict[str, Any]:
    """What the sentences of rules may name."""
    figures: dict[str, Any] = {"live": base, "trusted": report.after.rows if report.after else 0}
    for name, value in (("value", rule.value), ("limit", rule.limit)):
        figures[name] = words.figure(value, rule.limit) if value is not None else "–"
        figures[f"{name}_percent"] = percent(value) if value is not None else "–"
        figures[f"{name}_points"] = f"{100 * value:.1f}".replace("-", "−") if value is not None else "–"
    gain = -(rule.value or 0.0)
    figures |= {"gain_points": f"{100 * gain:.1f}", "gain_percent": percent(gain)}
    return figures
