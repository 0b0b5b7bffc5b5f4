"""One version: what became of it and why, what it changed class by class, what the gate found, what it cost."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from service.contract.enums import Outcome, Verdict
from service.contract.reports import AnyReport
from service.contract.resources import Batch, Model, Update
from service.contract.version_resources import Lineage, Version
from service.web.charts.changes import APART, changes
from service.web.client import address
from service.web.kinds import kind_of
from service.web.kinds.kind import AnyKind
from service.web.pages.data.batches import others, stopped, taken_back
from service.web.pages.data.disputes import refuted, unsettled
from service.web.pages.docs import RULES
from service.web.pages.versions.next_steps import Stopped, next_steps
from service.web.pages.versions.promote import learned_by
from service.web.pages.versions.promote import taken_back as all_taken_back
from service.web.reports.estimates import Pair
from service.web.reports.reasons import (
    found_sentence,
    method_sentence,
    note_sentences,
    rule_sentence,
    verdict_sentence,
)
from service.web.reports.verdicts import COLOURS, bound, measured, rule_name, short
from service.web.view import Answer, Route, Shown, View
from service.web.words import MANY, Words

FIRST = 5
"""Of more classes than a sentence lists it names so many."""
WAITING = (Verdict.HELD, Verdict.SUPERSEDED)


def show(view: View) -> Answer:
    """The report of a version."""
    which = view.params["version"]
    model = view.model()
    version = view.api.get(view.path("versions", which), Version)
    update = view.api.find(address("updates", version.update), Update) if version.update is not None else None
    verdict = update.verdict if update is not None else None
    report, words = version.report, view.words
    kind = kind_of(model.target)
    retracted = all_taken_back(view) if not version.live and version.erased_at is None else set()
    barred = not retracted.isdisjoint(version.batches)
    ordered = version.live and verdict not in (Verdict.PROMOTED, None)
    past = ordered or (verdict in (Verdict.HELD, Verdict.REJECTED) and version.parent != model.live_version)
    said = short(verdict, report, words)
    facts = {
        "model": model,
        "version": version,
        "update": update,
        "report": report,
        "short": words("verdict.by_order", verdict=said) if ordered else said,
        "colour": COLOURS[verdict] if verdict is not None else "",
        "then": words("version.then") if past or (verdict is Verdict.PROMOTED and not version.live) else "",
        "by_hand": ordered and report is not None and report.gate.outcome is Outcome.PASS,
        "why": (found_sentence if past else verdict_sentence)(verdict, version.number, version.parent, report, words),
        "method": method_sentence(update, report, words) if update is not None else "",
        "stopped": not version.live and verdict not in (Verdict.PROMOTED, None),
        "barred": barred,
        **_next(view, model, version, update, retracted),
        "kind": kind,
        "good": kind.how_good(report, words, model.target if version.parent is None else None),
        **(
            _reported(report, version, kind, words, ordered or verdict is Verdict.PROMOTED)
            if report is not None
            else {}
        ),
    }
    return Shown("version.html", facts, json=view.path("versions", version.number))


def _next(view: View, model: Model, version: Version, update: Update | None, gone: set[str]) -> dict[str, Any]:
    """What can be done about it, where it was stopped, and the batches of its update if they are several. gone: batches
    that were taken back."""
    facts: dict[str, Any] = {"steps": [], "batches": [], "settled": ""}
    verdict = update.verdict if update is not None else None
    if update is None or verdict in (Verdict.PROMOTED, None) or version.live or version.erased_at is not None:
        return facts
    lineage = view.api.find(view.path("lineage"), Lineage, after=version.number - 1, before=version.number + 1)
    if lineage is not None and any(node.in_live for node in lineage.versions):
        return facts | {"settled": view.words("next.settled", live=model.live_version)}
    if taken_back(view, update):
        return facts | {"settled": view.words("next.taken_back")}
    batches = stopped(view, update)
    outdated = verdict in WAITING and gone.isdisjoint(update.batches) and _outdated(view, model, version)
    batch = view.api.find(view.path("batches", batches[0][0]), Batch) if len(batches) == 1 else None
    rows = batch.rows - batch.unlabelled if batch is not None else 0
    barred, settled = not gone.isdisjoint(version.batches), refuted(view, update.id)
    open_ = unsettled(view, update.id)
    of = Stopped(model, version, verdict, batches, others(view, update), outdated, rows, barred, settled, open_)
    return {**facts, "steps": next_steps(of, view.words), "batches": batches if len(batches) > 1 else []}


def _outdated(view: View, model: Model, version: Version) -> bool:
    """Whether another version went live since this one was made, and has not learned all that it has."""
    if version.erased_at is not None or model.live_version in (None, version.number, version.parent):
        return False
    return not learned_by(view, model.live_version).issuperset(version.batches)


def _reported(report: AnyReport, version: Version, kind: AnyKind, words: Words, went_live: bool) -> dict[str, Any]:
    """What a report says; of a version that `went_live` no rule says how it would."""
    bars, changed = kind.bars(report), kind.changed(report, words)
    noted = [(of, _note(of, report.before is None, words)) for of in changed.pairs]
    return {
        "figures": kind.figures(report, words),
        "bars": bars,
        "changed": changed,
        "unjudged_said": _unjudged(version.classes, {of.name for of in changed.pairs}, words),
        "chart": changes(noted, kind.tick, kind.ends, words(f"version.chart_{bars.of}")) if bars.drawn else None,
        "rules": [
            (
                rule,
                rule_name(rule, report, words),
                measured(rule.value, rule, report, words),
                bound(rule, report, words),
                rule_sentence(rule, version.parent, report, words, remedy=not went_live),
            )
            for rule in report.gate.rules
        ],
        "explained": RULES,
        "notes": note_sentences(report, words),
    }


def _unjudged(classes: Sequence[str], judged: Collection[str], words: Words) -> str:
    """Which classes no row judges, the first ones of many; "" where all are judged."""
    names = [name for name in classes if name not in judged]
    if len(names) <= MANY:
        return words("version.unjudged", n=len(names), names=names) if names else ""
    first, more = words("list.comma").join(names[:FIRST]), len(names) - FIRST
    return words("version.unjudged_many", n=len(names), all=len(classes), names=first, more=more)


def _note(of: Pair, is_first: bool, words: Words) -> str:
    """ "+7.0 pt · 40 rows" """
    rows = words("model.rows", n=of.second.rows if of.second else 0)
    if is_first and not of.is_new:
        return rows
    return f"{of.said(words, 'version.new' if of.is_new else 'version.no_before')}{APART}{rows}"


READS = ("GET /v1/models/{model}/versions/{version}",)
ROUTE = Route("/models/{model}/versions/{version}", show, reads=READS)
