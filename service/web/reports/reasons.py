"""What the service said, in other languages than its own: of rules and verdicts from the figures of a report, of
methods and notes by their patterns (`catalogue/said.py`).

Its own sentences are English; pages in English show those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.contract.enums import Expect, Outcome, Severity, UpdateKind, Verdict
from service.contract.figures import amount
from service.contract.reports import AnyReport, nothing_left
from service.contract.reports.facts import BESIDE_SETTINGS, BY_CHANCE, Rule
from service.contract.resources import Update
from service.remedies import Door, worded
from service.web.kinds import kind_of
from service.web.reports.verdicts import deciding
from service.web.words import OWN, Words, moment, percent

AUTO, LOST = "auto: ", "auto: a challenger that did not win. "
"""How reasons of a method begin that nobody named; the page says the second one itself."""
COLUMNS = "wrong_columns"
"""The rule that is told where it fires, whichever decides: what others measured is no news then."""
NAMED = 3
"""Columns, or batches, that a sentence names."""


def verdict_sentence(
    verdict: Verdict | None, version: int | None, base: int | None, report: AnyReport | None, words: Words
) -> str:
    """What became of a version and why; "" where nothing was judged. base: the version that it was made from."""
    if report is None:
        return ""
    if words.language == OWN:
        return words.said(report.gate.why)
    rule = deciding(report)
    stopped = verdict is not Verdict.PROMOTED
    why = rule_sentence(rule, base, report, words, remedy=stopped) if rule is not None else ""
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
        open_ = [of for of in report.gate.rules if of.unproven]
        why = "".join(rule_sentence(of, base, report, words) for of in open_) or words("reason.few")
    stays = words("reason.verdict.stays", live=base) if base is not None else words("models.not_live")
    said = words(f"reason.verdict.{key}", version=version, base=base, why=why, gained=gained, stays=stays)
    if key == "rejected" and report.few_far_out:
        said += words("reason.batches.waits")
    return f"{said}{_by_batch(report, base, words)}" if key in ("held", "rejected") else said


def found_sentence(
    verdict: Verdict | None, version: int, base: int | None, report: AnyReport | None, words: Words
) -> str:
    """What the gate found against a version that may go live all the same: neither what stayed live then, nor what to
    do; where it found nothing, `verdict_sentence`."""
    rule = deciding(report)
    if report is None or rule is None or verdict not in (Verdict.HELD, Verdict.REJECTED):
        return verdict_sentence(verdict, version, base, report, words)
    if words.language == OWN:
        return words.said(report.gate.found)
    why = rule_sentence(rule, base, report, words, remedy=False)
    return words(f"reason.verdict.{verdict}", why=why, stays="")


def rule_sentence(rule: Rule, base: int | None, report: AnyReport, words: Words, remedy: bool = True) -> str:
    """What a rule found, and with `remedy` what to do; that of the gate where a newer service has a rule that we do not
    know."""
    rule = rule if remedy else rule.finding
    if words.language == OWN:
        return words.said(rule.why)
    kind = kind_of(report)
    finding = kind.finding(rule, report, words)
    if finding.why and (spoken := words.said(finding.why)):
        return f"{finding.subject}{spoken}"
    if rule.passed and rule.value is None and rule.name != "sound":
        return words("reason.does_not_apply")
    variants = _variants(rule, finding.is_known)
    figures = {**_figures(rule, base, report, words), **finding.figures, **_told(rule, words), **_columns(rule, words)}
    keys = (f"reason.{name}.{rule.name}.{variant}" for name in kind.rules for variant in variants)
    key = next((key for key in keys if key in words and figures.keys() >= words.takes(key)), None)
    if rule.passed is None and key is None:
        few = words("reason.too_few", n=rows) if (rows := rule.figures.get("rows")) else words("reason.no_evidence")
        return words.said(rule.why) or few
    if key is None:
        return rule.why
    passes = words("reason.passes_by_chance") if rule.why.endswith(BY_CHANCE) else ""
    moved = words("reason.expect_move") if rule.remedy and rule.expect is Expect.MOVE else ""
    beside = words.said(BESIDE_SETTINGS) if BESIDE_SETTINGS in rule.why else ""
    do = _remedy(key, figures, rule, report, words) if remedy else ""
    others = f"{key.rpartition('.')[0]}.others"
    said = words(key, **figures) + (words(others, **figures) if others in words and "others" in rule.figures else "")
    return f"{finding.subject}{said}{do}{passes}{moved}{beside}"


def method_sentence(update: Update, report: AnyReport | None, words: Words) -> str:
    """Why an update used its method, or how it took a batch back; "" for what there are no words of this language."""
    if update.why is None:
        return ""
    if words.language == OWN:
        return worded(update.why, Door.PAGE).removeprefix(LOST).replace(AUTO, "Chosen automatically: ", 1)
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
    columns = any(of.name == COLUMNS and of.severity for of in report.gate.rules)
    hides = columns or (rule.severity, report.gate.outcome) == (Severity.HELD, Outcome.FAIL)
    if rule.severity is None or (hides and rule.name != COLUMNS):
        return ""
    start, names = variant.partition("_")[0], list[str]()
    if start == "held":
        names = ["held_lacks", "held_told", "held"]
    elif start == "unmeasured":
        names = ["unmeasured"]
    elif rule.figures.get("version", -1) == figures["live"]:
        names = ["live"]
    names += ["told", "counted", *(["exact"] if report.exact else []), ""]
    keys = (f"{group}.remedy_{name}".rstrip("_") for name in names)
    remedy = next((key for key in keys if key in words and figures.keys() >= words.takes(key)), None)
    return words(remedy, **figures) if remedy else ""


def _by_batch(report: AnyReport, base: int | None, words: Words) -> str:
    """Which of several batches that were stopped together stands out; "" of one."""
    before = report.batch.stopped_alone
    alone = words("reason.batches.alone", batches=words.listed(before[:NAMED]), n=len(before)) if before else ""
    if not report.batch.parts:
        return alone
    kind, of = kind_of(report), report.batch.parts[0]
    if not of.stands_out:
        return alone or words("reason.batches.together")
    error, others = kind.show(of.error), kind.show(of.others)
    more = sum(part.stands_out for part in report.batch.parts) - 1
    said = words(f"reason.batches.{kind.name}", batch=of.batch, n=of.rows, base=base, error=error, others=others)
    return alone + said + (words("reason.batches.more", n=more) if more else "")


def _variants(rule: Rule, is_known: bool) -> tuple[str, ...]:
    """Names of the sentences of a rule, that which says most first: of each that with all of its own figures, that with
    most, and that without, which older reports have."""
    if rule.passed is None:
        ends: tuple[str, ...] = ("few",)
    elif rule.severity is None:
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


def _columns(rule: Rule, words: Words) -> dict[str, str]:
    """What columns hold that is not theirs, as `gate/wrong_columns.py` says it; nothing of another rule."""
    if rule.name != COLUMNS or not rule.figures:
        return {}
    lists = {name: [str(each) for each in of] for name, of in rule.figures.items() if isinstance(of, list)}
    mixed, held, said = lists.get("mixed", []), lists.get("held", []), list[str]()
    if len(mixed) == 2:
        said.append(words("reason.columns.swapped", names=_named(mixed, words)))
    elif mixed:
        said.append(words("reason.columns.mixed", n=len(mixed), column=mixed[0], held=held[0]))
    for of, beside in (("scaled", "times"), ("converted", "units"), ("filled", "values")):
        pairs = [*zip(lists.get(of, []), lists.get(beside, []), strict=True)]
        for value in dict.fromkeys(value for _, value in pairs):
            names = _named([name for name, its in pairs if its == value], words)
            if of == "scaled":
                key, shown = ("larger", float(value)) if float(value) > 1 else ("smaller", 1 / float(value))
                said.append(words(f"reason.columns.{key}", names=names, times=amount(shown)))
            elif of == "converted":
                sent, _, meant = value.partition(" to ")
                said.append(words("reason.columns.unit", names=names, sent=sent, meant=meant))
            else:
                said.append(words(f"reason.columns.{'same' if value else 'missing'}", names=names, value=value))
    return {"columns": "".join(said)}


def _named(columns: list[str], words: Words) -> str:
    """The first of them in quotes; the others are counted."""
    names = words("list.comma").join(words("list.quoted", name=name) for name in columns[:NAMED])
    more = len(columns) - NAMED
    return words("reason.columns.more", names=names, n=more) if more > 0 else names


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
