"""Models that predict classes: shares of rows that are right, with their intervals, of classes that were known and of
those that a version brought; class by class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.contract.predictions import ClassShare, Predictions
from service.contract.report import Confusion, Report, Rule, Score, SuspectRow
from service.contract.resources import Batch, BatchRow
from service.contract.targets.class_target import ClassTarget
from service.web.estimates import Estimate, Pair, Side, interval, share
from service.web.kinds.kind import Bars, Cell, Fact, Kind, direction
from service.web.words import Words, percent, round_percent

MOST_CLASSES, MOST_COUNTED = 20, 6
"""Classes of a matrix that can be read; of a batch that are named with their rows, those with most."""
MOST_CONFUSIONS = 100
"""A report that lists so many may lack others."""
VISIBLE = 1e-9
"""Two measurements of one thing differ by less."""


@dataclass(frozen=True)
class Share:
    """Rows of a class with one answer. `level`: 0 to 5, the share of the class's rows; `right`: whether that is it."""

    rows: int
    level: int
    right: bool


@dataclass(frozen=True)
class Matrix:
    """Answers on trusted rows, in columns, by class."""

    answers: list[str]
    classes: list[tuple[str, list[Share]]]


class ClassKind(Kind[ClassTarget, Report, Score, Predictions, SuspectRow]):
    name = "class"
    show, tick = staticmethod(percent), staticmethod(round_percent)
    ends = (0.9, 1.0)
    series = columns = ("old", "new")
    rules = ("class",)
    doubts = (("label", ""), ("suggested", ""), ("score", "n"), ("alike", "n"))
    right = "batch.label"
    takes_new = True
    top = 10
    example = '"labels": ["a", …], "new_classes": "refuse"'

    def good(self, report: Report, words: Words) -> str:
        old, new = self.steps(report)
        if (right := old or new) is None:
            return ""
        key = "good.trusted" if old else "good.first"
        return words(key, accuracy=percent(right.value), interval=interval(right, words), n=right.rows)

    def facts(self, report: Report, words: Words, of_live: bool = False) -> list[Fact]:
        labels = "model.fact.accuracy", "model.fact.new" if of_live else "model.column.new"
        facts = [
            Fact(words(label), percent(of.value), _note(of, words))
            for label, of in zip(labels, self.steps(report), strict=True)
            if of is not None
        ]
        if of_live:
            del facts[1:]
        if (tested := report.tested) is not None:
            rows = words("model.rows", n=tested.rows)
            facts.append(Fact(words("model.fact.tested_share"), percent(tested.accuracy), rows))
        return facts + self.forgotten(report.forgetting, words)

    def measured(self, report: Report, words: Words) -> list[str]:
        tested = [words("measured.tested_class")] if report.tested is not None else []
        return tested + self.since(report.forgetting, words)

    def cells(self, report: Report, words: Words) -> Sequence[str]:
        return [percent(of.value) if of is not None else "–" for of in self.steps(report)]

    def steps(self, report: Report) -> Sequence[Estimate | None]:
        """Accuracy on trusted rows after the update, and out-of-fold recall of the classes that it brought."""
        after, brought = report.after, report.new_classes
        low, high = brought.interval or (None, None)
        return (
            share(after.accuracy, after.rows) if after is not None and after.rows else None,
            Estimate(brought.after, low, high, brought.rows) if brought.after is not None and brought.names else None,
        )

    def lost(self, share: float, words: Words) -> str:
        return words("model.points", points=f"{100 * share:.1f}")

    def bars(self, report: Report | None) -> Bars:
        return Bars("class")

    def pairs(self, report: Report) -> list[Pair]:
        before = _by_class(report.before)
        old = [Pair(name, before.get(name), after) for name, after in _by_class(report.after).items()]
        new = sorted(_brought(report).items(), key=lambda of: of[1].value)
        return [
            *(Pair(name, None, after, is_new=True) for name, after in new),
            *sorted(old, key=lambda of: (-abs(of.change or 0.0), of.name)),
        ]

    def side(self, score: Score | None) -> Side:
        if score is None or not score.rows:
            return Side(None, {})
        return Side(share(score.accuracy, score.rows), _by_class(score))

    def own_side(self, report: Report) -> Side:
        side = self.side(report.after)
        new = {name: estimate for name, estimate in _brought(report).items() if name not in side.groups}
        return Side(side.trusted, {**new, **side.groups}, new)

    def own_rows(self, version: int, side: Side, words: Words) -> str:
        names = [words("list.quoted", name=name) for name in sorted(side.own)]
        return words("compare.own_rows", version=version, names=names)

    def difference(self, first: Estimate, second: Estimate, words: Words, **versions: int) -> str:
        """The difference may be chance where the intervals meet."""
        points = f"{100 * abs(second.value - first.value):.1f}"
        ends = (first.low, first.high, second.low, second.high)
        meets = None not in ends and max(first.low or 0, second.low or 0) <= min(first.high or 0, second.high or 0)
        chance = words("compare.chance") if meets else words("compare.no_chance")
        return words("compare.more_right", points=points, **versions) + f" {chance}"

    def confused(self, report: Report) -> tuple[Matrix | None, Sequence[Confusion]]:
        return matrix(report.after), report.after.confusions if report.after is not None else ()

    def yardsticks(self, report: Report, words: Words) -> tuple[list[str], list[str]]:
        of = report.yardstick
        if of is None or of.accuracy is None:
            return [], []
        said = words("version.yardstick_is", method=of.method, accuracy=percent(of.accuracy))
        if of.regret is not None:
            said += " " + words("version.regret", points=f"{100 * of.regret:+.1f}")
        return [said], []

    def suspected(self, report: Report) -> Sequence[str]:
        return list(dict.fromkeys(row.batch for row in report.batch.suspect_rows))

    def is_known(self, rule: Rule, report: Report) -> bool:
        worst = report.worst_class
        known = {
            "contradicts_class": bool(report.batch.disputes),
            "disagrees_broadly": report.batch.conflicts is not None,
            # the class that lost most is the one that the rule speaks of
            "worst_class": worst is not None and abs(worst.drop - (rule.value or 0.0)) < VISIBLE,
        }
        return known.get(rule.name, rule.value is not None)

    def figures(self, report: Report, words: Words) -> dict[str, Any]:
        batch = report.batch
        rows, dispute = batch.familiar or 0, next(iter(batch.disputes), None)
        return {
            "rows": rows,
            "conflicts": batch.conflicts or 0,
            "usual": round((batch.expected or 0.0) * rows),
            "names": words.listed([f"「{name}」" for name in report.new_classes.names]),
            "name": dispute.class_ if dispute is not None else "",
            "suggested": dispute.suggested if dispute is not None else "",
            "worst": report.worst_class.name if report.worst_class is not None else "",
        }

    def gained(self, report: Report, words: Words) -> str:
        new, old = report.new_classes.names, report.old_classes
        knows = words("reason.kept.knows", names=[f"「{name}」" for name in sorted(new)]) if new else ""
        if report.before is None or old.before is None or old.after is None or old.interval is None:
            return knows + self.how_good(report, words)
        change = {"before": f"{100 * old.before:.1f}", "after": percent(old.after), "n": report.before.rows}
        low, high = old.interval
        return knows + words(f"reason.kept.accuracy_{direction((-high, -low))}", **change)

    def holds(self, batch: Batch, words: Words) -> str:
        """Its labels with their rows, those with most first."""
        return counted(sorted(batch.label_counts.items(), key=lambda of: (-of[1], of[0])), words)

    def doubt(self, row: SuspectRow) -> Sequence[str]:
        return row.label, row.suggested, percent(row.score), str(row.alike or "–")

    def suggested(self, row: SuspectRow) -> str:
        return row.suggested

    def typed(self, row: BatchRow) -> str | None:
        return row.label

    def read(self, typed: str) -> str:
        return typed

    def shown(self, row: BatchRow) -> str:
        return row.label or ""

    def said(self, answer: Predictions, target: ClassTarget, words: Words) -> str:
        [row] = answer.predictions
        return words("predict.class", name=row.class_, score=percent(row.score))

    def others(self, answer: Predictions) -> Sequence[ClassShare]:
        return answer.predictions[0].top

    def fields(self, target: ClassTarget) -> Sequence[str]:
        return "class", "score"

    def heads(self, target: ClassTarget, words: Words) -> Sequence[tuple[str, str]]:
        return (words("version.class"), ""), (words("predict.score"), "n")

    def answers(self, answer: Predictions) -> list[list[Cell]]:
        return [[row.class_, round(row.score, 4)] for row in answer.predictions]


def _note(of: Estimate, words: Words) -> str:
    """ "95.6 to 97.7 · 400 rows" """
    if of.low is None or of.high is None:
        return words("model.rows", n=of.rows)
    return words("model.interval", low=f"{100 * of.low:.1f}", high=f"{100 * of.high:.1f}", n=of.rows)


def _by_class(score: Score | None) -> dict[str, Estimate]:
    """Accuracy on trusted rows of each class."""
    return {} if score is None else {name: share(of.accuracy, of.rows) for name, of in score.classes.items()}


def _brought(report: Report) -> dict[str, Estimate]:
    """Out-of-fold recall of each class that the update brought."""
    return {name: share(of.accuracy, of.rows) for name, of in report.new_classes.classes.items() if of.rows}


def matrix(score: Score | None) -> Matrix | None:
    """What was taken for what; None where there are too many classes to be read, or nothing was taken for anything."""
    if score is None or not 0 < len(score.confusions) < MOST_CONFUSIONS or len(score.classes) > MOST_CLASSES:
        return None
    answers = sorted({*score.classes, *(c.answer for c in score.confusions)})
    counts = {(c.class_, c.answer): c.rows for c in score.confusions}
    counts |= {(name, name): round(of.accuracy * of.rows) for name, of in score.classes.items()}

    def cell(name: str, answer: str) -> Share:
        rows = counts.get((name, answer), 0)
        return Share(rows, math.ceil(5 * rows / score.classes[name].rows), name == answer)

    return Matrix(answers, [(name, [cell(name, answer) for answer in answers]) for name in score.classes])


def counted(labels: Sequence[tuple[str, int]], words: Words) -> str:
    """[("8", 60), ("9", 40)] -> "8: 60, 9: 40"; labels beyond the first few are counted."""
    named = [words("batches.count", label=label, rows=rows) for label, rows in labels[:MOST_COUNTED]]
    if len(labels) > MOST_COUNTED:
        named.append(words("batches.more_classes", n=len(labels) - MOST_COUNTED))
    return words("list.comma").join(named)
