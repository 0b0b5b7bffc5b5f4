"""One version: what became of it and why, what it changed class by class, what the gate found, what it cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from service.contract.enums import Verdict
from service.contract.figures import amount
from service.contract.number_report import NumberReport
from service.contract.report import Report, Score
from service.contract.resources import Model, Update, Version
from service.web import estimates
from service.web.charts.changes import APART, changes
from service.web.client import address
from service.web.estimates import Pair, brought, by_class, name_of, of_number, of_region
from service.web.pages.data.batches import stopped
from service.web.pages.rollback import learned_by
from service.web.reasons import method_sentence, note_sentences, rule_sentence, verdict_sentence
from service.web.verdicts import COLOURS, rule_name, short
from service.web.view import Answer, Route, Shown, View
from service.web.words import Words, round_percent

MOST_CLASSES = 20
"""Classes of a matrix that can be read."""
MOST_CONFUSIONS = 100
"""A report that lists so many may lack others."""
WAITING = (Verdict.HELD, Verdict.SUPERSEDED)


@dataclass(frozen=True)
class Cell:
    """Rows of a class with one answer. `level`: 0 to 5, the share of the class's rows; `right`: whether that is it."""

    rows: int
    level: int
    right: bool


@dataclass(frozen=True)
class Matrix:
    """Answers on trusted rows, in columns, by class."""

    answers: list[str]
    classes: list[tuple[str, list[Cell]]]


def show(view: View) -> Answer:
    """The report of a version."""
    which = view.params["version"]
    model = view.model()
    version = view.api.get(view.path("versions", which), Version)
    update = view.api.find(address("updates", version.update), Update) if version.update is not None else None
    verdict = update.verdict if update is not None else None
    report, words = version.report, view.words
    groups = _groups(report)
    facts = {
        "model": model,
        "version": version,
        "update": update,
        "report": report,
        "short": short(verdict, report, words),
        "colour": COLOURS[verdict] if verdict is not None else "",
        "then": words("version.then") if verdict is Verdict.PROMOTED and not version.live else "",
        "why": verdict_sentence(verdict, version.number, version.parent, report, words),
        "notes": note_sentences(report, words) if report is not None else [],
        "method": method_sentence(update, report, words) if update is not None else "",
        "waits": verdict is Verdict.HELD,
        "stopped": not version.live and verdict not in (Verdict.PROMOTED, None),
        "batches": stopped(view, update) if update is not None else [],
        "outdated": verdict in WAITING and _outdated(view, model, version),
        "good": estimates.how_good(report, words),
        "old": estimates.old_classes(report),
        "new": estimates.new_classes(report),
        "error": estimates.error(report),
        "of_own": estimates.of_own(report),
        "numbers": isinstance(report, NumberReport),
        "several": isinstance(report, NumberReport) and report.after is not None and bool(report.after.numbers),
        "groups": groups,
        "chart": _chart(groups, report, words),
        "matrix": matrix(report.after) if isinstance(report, Report) else None,
        "confusions": report.after.confusions if isinstance(report, Report) and report.after is not None else [],
        "rules": [
            (rule, rule_name(rule, report, words), rule_sentence(rule, version.parent, report, words))
            for rule in report.gate.rules
        ]
        if report is not None
        else [],
    }
    return Shown("version.html", facts, json=view.path("versions", version.number))


def _outdated(view: View, model: Model, version: Version) -> bool:
    """Whether another version went live since this one was made, and has not learned all that it has."""
    if version.erased_at is not None or model.live_version in (None, version.number, version.parent):
        return False
    return not learned_by(view, model.live_version).issuperset(version.batches)


def _groups(report: Report | NumberReport | None) -> list[Pair]:
    """Before and after, those that changed most first."""
    if isinstance(report, Report):
        before = by_class(report.before)
        old = [Pair(name, before.get(name), after) for name, after in by_class(report.after).items()]
        new = sorted(brought(report).items(), key=lambda of: of[1].value)
        return [
            *(Pair(name, None, after, is_new=True) for name, after in new),
            *sorted(old, key=lambda of: (-abs(of.change or 0.0), of.name)),
        ]
    if report is None or report.after is None:
        return []
    if of_each := report.after.numbers:
        rows = report.after.rows
        was = {of.name: of_number(of, rows) for of in report.before.numbers} if report.before else {}
        return [Pair(of.name, was.get(of.name), of_number(of, rows), True) for of in of_each]
    errors = {(of.from_, of.to): of_region(of) for of in report.before.regions} if report.before else {}
    return [Pair(name_of(of), errors.get((of.from_, of.to)), of_region(of), True) for of in report.after.regions]


def _chart(groups: list[Pair], report: Report | NumberReport | None, words: Words) -> Markup | None:
    """None of several numbers, too: each has a unit of its own."""
    if isinstance(report, NumberReport) and report.after is not None and report.after.numbers:
        return None
    drawn = [(of, _note(of, words)) for of in groups]
    if isinstance(report, NumberReport):
        return changes(drawn, amount, (0.0, 0.0), words("version.chart_errors"))
    return changes(drawn, round_percent, (0.9, 1.0), words("version.chart_classes"))


def _note(of: Pair, words: Words) -> str:
    """ "+7.0 pt · 40 rows" """
    what = of.said(words, "version.new" if of.is_new else "version.no_before")
    return f"{what}{APART}{words('model.rows', n=of.second.rows if of.second else 0)}"


def matrix(score: Score | None) -> Matrix | None:
    """What was taken for what; None where there are too many classes to be read, or nothing was taken for anything."""
    if score is None or not 0 < len(score.confusions) < MOST_CONFUSIONS or len(score.classes) > MOST_CLASSES:
        return None
    answers = sorted({*score.classes, *(c.answer for c in score.confusions)})
    counts = {(c.class_, c.answer): c.rows for c in score.confusions}
    counts |= {(name, name): round(of.accuracy * of.rows) for name, of in score.classes.items()}

    def cell(name: str, answer: str) -> Cell:
        rows = counts.get((name, answer), 0)
        return Cell(rows, math.ceil(5 * rows / score.classes[name].rows), name == answer)

    return Matrix(answers, [(name, [cell(name, answer) for answer in answers]) for name in score.classes])


ROUTE = Route("/models/{model}/versions/{version}", show)
