"""What the service said, in other languages than its own: of rules and verdicts from the figures of a report, of
methods and notes by their patterns (`catalogue/said.py`).

Its own sentences are English; pages in English show those.
"""

from __future__ import annotations

from typing import Any

from service.contract.enums import Outcome, Severity, UpdateKind, Verdict
from service.contract.number_report import AnyReport, NumberBatch, NumberReport, nothing_left
from service.contract.report import BESIDE_SETTINGS, BY_CHANCE, MOVE, Report, Rule
from service.contract.resources import Update
from service.web.estimates import how_good, off
from service.web.verdicts import deciding
from service.web.words import OWN, Words, moment, percent

VISIBLE = 1e-9
"""Two measurements of one thing differ by less."""
REPAIRS = {"/": "divided", "*": "multiplied", "°C": "fahrenheit", "°F": "celsius"}
"""With what the factor of a report begins -> what mends targets in a wrong unit."""
AUTO, LOST = "auto: ", "auto: a challenger that did not win. "
"""How reasons of a method begin that nobody named; the page says the second one itself."""


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
    key, gained = str(verdict), ""
    if verdict is Verdict.HELD and report.gate.outcome is Outcome.PASS:
        key = "ready"
    elif verdict is Verdict.PROMOTED and nothing_left(report):
        key = "nothing_left"
    elif verdict is Verdict.PROMOTED and rule is not None:
        key = "by_order"
    elif verdict is Verdict.PROMOTED:
        key, gained = ("unproven", "") if report.gate.unproven else ("promoted", _gained(report, words))
    stays = words("reason.verdict.stays", live=base) if base is not None else words("models.not_live")
    return words(f"reason.verdict.{key}", version=version, base=base, why=why, gained=gained, stays=stays)


def rule_sentence(rule: Rule, base: int | None, report: AnyReport, words: Words) -> str:
    """What a rule found; that of the gate where a newer service has a rule that we do not know."""
    if words.language == OWN:
        return rule.why
    if rule.passed is None:
        return words("reason.no_evidence")
    if rule.passed and rule.value is None and rule.name != "sound":
        return words("reason.does_not_apply")
    kinds = ("number", "class") if isinstance(report, NumberReport) else ("class",)
    keys = (f"reason.{kind}.{rule.name}.{variant}" for kind in kinds for variant in _variants(rule, report))
    key = next((key for key in keys if key in words), None)
    if key is None:
        return rule.why
    passes = words("reason.passes_by_chance") if rule.why.endswith(BY_CHANCE) else ""
    moved = words("reason.expect_move") if MOVE in rule.why else ""
    beside = words.said(BESIDE_SETTINGS) if BESIDE_SETTINGS in rule.why else ""
    return (
        f"{_of_number(rule, report, words)}{words(key, **_figures(rule, base, report, words))}{passes}{moved}{beside}"
    )


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
    figures of numbers say, too."""
    notes = [spoken for note in (*report.notes, *report.batch.notes) if (spoken := words.said(note))]
    batch = report.batch
    if words.language == OWN or not isinstance(batch, NumberBatch):
        return notes
    counted = (("outliers", len(batch.outliers)), ("follows", batch.follows))
    return notes + [words(f"reason.note.{name}", n=n) for name, n in counted if n]


def taken_back(report: AnyReport | None, words: Words) -> str:
    """That its rows were taken back before they came again; "" where they were not."""
    at = None if report is None else report.batch.taken_back_at
    return "" if at is None else words("update.rows_taken_back", at=moment(at))


def _of_number(rule: Rule, report: AnyReport, words: Words) -> str:
    """Which of several numbers a row the gate names, as `OneNumber.of` and `for_it` do; "" where it names none."""
    errors = (report.after or report.tested) if isinstance(report, NumberReport) else None
    names = [number.name for number in errors.numbers] if errors is not None else []
    named = (name for name in names if f' of "{name}"' in rule.why or f' for "{name}"' in rule.why)
    return next((words("reason.of_number", name=name) for name in named), "")


def _repair(factor: str | None, words: Words) -> str:
    """What mends targets in a wrong unit, by the factor of a report: "/ 1,000", "* -1", "°C to °F", "20 - target"."""
    first, _, by = (factor or "").partition(" ")
    if by == "- target":
        return words("reason.repair.subtracted", by=first)
    key = "turned" if by == "-1" else REPAIRS.get(first, "other")
    return words(f"reason.repair.{key}", by=by)


def _variants(rule: Rule, report: AnyReport) -> tuple[str, ...]:
    """Names of the sentences of a rule, that which says most first."""
    if rule.severity is None:
        return ("gains", "passes") if (rule.value or 0.0) < 0 else ("passes",)
    known = rule.value is not None
    if isinstance(report, Report):
        of_report = {
            "contradicts_class": bool(report.batch.disputes),
            "disagrees_broadly": report.batch.conflicts is not None,
            "worst_class": _is_worst(rule, report),
        }
        known = of_report.get(rule.name, known)
    if not known:
        return ("unmeasured", "fires")
    return ("held", "fires") if rule.severity is Severity.HELD else ("fires",)


def _is_worst(rule: Rule, report: Report) -> bool:
    """Whether the class that lost most is the one that the rule speaks of."""
    return report.worst_class is not None and abs(report.worst_class.drop - (rule.value or 0.0)) < VISIBLE


def _figures(rule: Rule, base: int | None, report: AnyReport, words: Words) -> dict[str, Any]:
    """What the sentences of rules may name."""
    figures: dict[str, Any] = {"live": base, "trusted": report.after.rows if report.after else 0}
    for name, value in (("value", rule.value), ("limit", rule.limit)):
        figures[name] = words.figure(value, rule.limit) if value is not None else "–"
        figures[f"{name}_percent"] = percent(value) if value is not None else "–"
        figures[f"{name}_points"] = f"{100 * value:.1f}".replace("-", "−") if value is not None else "–"
    gain = -(rule.value or 0.0)
    figures |= {"gain_points": f"{100 * gain:.1f}", "gain_percent": percent(gain)}
    if isinstance(report, NumberReport):
        return figures | {"outliers": len(report.batch.outliers), "repair": _repair(report.batch.factor, words)}
    batch = report.batch
    rows, dispute = batch.familiar or 0, next(iter(batch.disputes), None)
    return figures | {
        "rows": rows,
        "conflicts": batch.conflicts or 0,
        "usual": round((batch.expected or 0.0) * rows),
        "names": words.listed([f"「{name}」" for name in report.new_classes.names]),
        "name": dispute.class_ if dispute is not None else "",
        "suggested": dispute.suggested if dispute is not None else "",
        "worst": report.worst_class.name if report.worst_class is not None else "",
    }


def _gained(report: AnyReport, words: Words) -> str:
    """What it knows now, and what became of what it knew."""
    if isinstance(report, NumberReport):
        if report.before is None or report.after is None:
            return how_good(report, words)
        change = {"before": off(report.before, words), "after": off(report.after, words), "n": report.before.rows}
        limit = next((rule.limit for rule in report.gate.rules if rule.name == "forgets"), None)
        beyond = limit is None or (report.rise or 0.0) > limit
        direction = _direction(report.rise_interval)
        kept = words(f"reason.kept.error_{'beyond' if direction == 'worse' and beyond else direction}", **change)
        return f"{how_good(report, words)}{kept}"
    new, old = report.new_classes.names, report.old_classes
    knows = words("reason.kept.knows", names=[f"「{name}」" for name in sorted(new)]) if new else ""
    if report.before is None or old.before is None or old.after is None or old.interval is None:
        return knows + how_good(report, words)
    change = {"before": f"{100 * old.before:.1f}", "after": percent(old.after), "n": report.before.rows}
    low, high = old.interval
    return knows + words(f"reason.kept.accuracy_{_direction((-high, -low))}", **change)


def _direction(worse: tuple[float, float] | None) -> str:
    """Which way a loss lies, by its interval."""
    if worse is None or worse[0] <= 0 <= worse[1]:
        return "same"
    return "worse" if worse[0] > 0 else "better"
