"""Models that predict classes: shares of rows that are right, with their intervals, of classes that were known and of
those that a version brought; class by class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from pydantic import TypeAdapter

from service.contract.predictions import Predictions
from service.contract.reports.class_report import LostSince, Report, Score, SuspectRow, WorstClassDrop, rare
from service.contract.reports.facts import Rule
from service.contract.resources import Batch, BatchRow
from service.contract.targets.class_target import ClassTarget
from service.web.charts.axis import cut
from service.web.kinds.kind import Answered, Bars, Changed, Fact, Figures, Finding, Kind, direction
from service.web.reports.estimates import SAME, Estimate, Pair, Side, interval, share
from service.web.words import Words, percent, round_percent

MOST_CLASSES, MOST_COUNTED = 20, 6
"""Classes of a matrix that can be read; of a batch that are named with their rows, those with most."""
RAREST = 3
"""So many of the classes with the fewest rows are named, where nearly all are of one class."""
LONGEST = 40
"""Letters of a label in a sentence."""
LINKED = 10
"""Batches that a report refutes and that its page leads to."""
MOST_CONFUSIONS = 100
"""A report that lists so many may lack others."""
VISIBLE = 1e-9
"""Two measurements of one thing differ by less."""


UNITS = {
    **dict.fromkeys(("first_version", "learned_nothing"), "chance"),
    **dict.fromkeys(("unlearnable", "contradicts_everything", "disagrees_broadly"), "points"),
    **dict.fromkeys(("forgets", "intrudes", "worst_class", "slow_loss"), "points"),
    **dict.fromkeys(("contradicts_class", "renames", "new_class_not_learned"), "share"),
    "wrong_columns": "columns",
}
"""Units of values and limits of rules."""


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
    units = UNITS
    doubts = (("label", ""), ("suggested", ""), ("score", "n"), ("alike", "n"))
    right = "batch.label"
    takes_new = takes_suggested = True
    top = 10
    example = '"labels": ["a", …], "new_classes": "refuse"'
    answer = TypeAdapter(Predictions)

    def good(self, report: Report, words: Words, target: ClassTarget | None = None) -> str:
        old, new = self.steps(report)
        if (right := old or new) is None:
            return ""
        key = "good.trusted" if old else "good.first"
        said = words(key, accuracy=percent(right.value), interval=interval(right, words), n=right.rows)
        brought, after = report.new_classes, report.after
        few = brought.rare if not old or after is None else rare(after.classes, after.commonest)
        most = brought.commonest if not old or after is None else after.commonest
        if most is None or (old and not few):
            return said
        key = "commonest" if most.rows in (None, right.rows) else "commonest_of_all"  # as older reports have it
        beside = words(f"good.beside.{key}", name=most.class_, accuracy=percent(most.accuracy), n=most.rows or 0)
        each = [words("good.few_of", name=name, right=of.right, n=of.rows) for name, of in islice(few.items(), RAREST)]
        return " ".join((said, beside, *([words("good.rare", classes=each)] if each else ())))

    def figures(self, report: Report, words: Words, of_live: bool = False) -> Figures:
        labels = "model.fact.accuracy", "model.fact.new" if of_live or report.before is None else "model.column.new"
        shown = zip(labels, self.steps(report), strict=True)
        facts = [Fact(words(label), percent(of.value), _rests_on(of, words)) for label, of in shown if of is not None]
        if of_live:
            del facts[1:]
        forgotten, said = self.forgotten(report, words)
        if report.before is None and 0 < report.new_classes.rows < report.cost.rows:
            copies = report.batch.near_duplicates
            of_its = words("measured.of_its", n=report.new_classes.rows, rows=report.cost.rows)
            copied = words("measured.copies", n=copies) if copies else ""
            said = [f"{of_its} {copied}".rstrip(), *said]
        if (after := report.after) is not None and after.rows:
            alike = sum(of.accuracy * of.rows for of in after.classes.values()) / after.rows
            if percent(alike) != percent(after.accuracy):
                said = [words("measured.alike", accuracy=percent(after.accuracy), alike=percent(alike)), *said]
        if (tested := report.tested) is None:
            return facts + forgotten, said
        rows = words("model.rows", n=tested.rows)
        facts.append(Fact(words("model.fact.tested_share"), percent(tested.accuracy), rows))
        return facts + forgotten, [words("measured.tested_class"), *said]

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

    def bars(self, report: Report | None) -> Bars:
        return Bars("class")

    def changed(self, report: Report, words: Words) -> Changed:
        before, after, of = _by_class(report.before), report.after, report.yardstick
        old = [Pair(name, before.get(name), now) for name, now in _by_class(after).items()]
        old.sort(key=lambda of: (-abs(of.change or 0.0), of.name))
        new = sorted(_brought(report).items(), key=lambda of: of[1].value)
        said = []
        if of is not None and of.accuracy is not None:
            said = [words("version.yardstick_is", method=of.method, accuracy=percent(of.accuracy))]
            if of.regret is not None:
                points = f"{100 * of.regret:+.1f}".replace("-", "−")
                same = abs(of.regret) < SAME
                said += [words("version.regret_none") if same else words("version.regret", points=points)]
        refuted = [batch for end in report.batch.settled if end.verdict == "refuted" for batch in end.batches]
        return Changed(
            [*(Pair(name, None, now, is_new=True) for name, now in new), *old],
            ([" ".join(said)] if said else [], []),
            matrix(after),
            after.confusions if after is not None else (),
            list(dict.fromkeys([*refuted[:LINKED], *(row.batch for row in report.batch.suspect_rows)])),
        )

    def side(self, score: Score | None) -> Side:
        if score is None or not score.rows:
            return Side(None, {})
        return Side(share(score.accuracy, score.rows), _by_class(score))

    def own_side(self, report: Report) -> Side:
        side = self.side(report.after)
        new = {name: estimate for name, estimate in _brought(report).items() if name not in side.groups}
        return Side(side.trusted, {**new, **side.groups}, new)

    def worse(self, report: Report) -> tuple[float, float] | None:
        gain = report.old_classes.interval
        return None if gain is None else (-gain[1], -gain[0])

    def finding(self, rule: Rule, report: Report, words: Words) -> Finding:
        batch, worst = report.batch, report.worst_class
        rows, dispute = batch.familiar or 0, next(iter(batch.disputes), None)
        known = {
            "contradicts_class": bool(batch.disputes) or "class" in rule.figures,
            "disagrees_broadly": batch.conflicts is not None,
            # the class that lost most is the one that the rule speaks of
            "worst_class": worst is not None and abs(worst.drop - (rule.value or 0.0)) < VISIBLE,
        }
        figures = {
            "rows": rows,
            "conflicts": batch.conflicts or 0,
            "usual": round((batch.expected or 0.0) * rows),
            "names": words.listed([f"「{name}」" for name in report.new_classes.names]),
            "name": dispute.class_ if dispute is not None else "",
            "suggested": dispute.suggested if dispute is not None else "",
            "worst": _worst(worst, words) if worst is not None else "",
        }
        toward = rule.figures.get("labels", rule.figures.get("label"))
        if toward is not None:
            figures["toward"] = _toward(toward, words)
        return Finding(known.get(rule.name, rule.value is not None), figures)

    def gained(self, report: Report, words: Words) -> str:
        old, weak = report.old_classes, report.new_classes.barely
        known = {*report.new_classes.names} - {*weak}
        names = [f"「{name}」" for name in sorted(known)]
        gone = words("reason.kept.gone", names=[f"「{name}」" for name in old.gone]) if old.gone else ""
        few = [words("reason.kept.few_of", name=name, right=of.right, n=of.rows) for name, of in sorted(weak.items())]
        missed = words("reason.kept.barely", classes=few) if few else ""
        if report.before is None or old.before is None or old.after is None or self.worse(report) is None:
            knows = words("reason.kept.knows", names=names) if known else ""
            return gone + knows + missed + self.how_good(report, words)
        change = {"before": f"{100 * old.before:.1f}", "after": percent(old.after), "n": report.before.rows}
        knows, way = words("reason.kept.knows_and", names=names) if known else "", direction(self.worse(report))
        slightly = way == "same" and old.after < old.before
        kept = words(f"reason.kept.accuracy_{'slightly' if slightly else way}", **change)
        return gone + knows + kept + missed + _since(report.lost_since, words)

    def doubtful(self, report: Report, batch: str) -> int:
        return len({row.row for row in report.batch.suspect_rows if row.batch == batch})

    def holds(self, batch: Batch, words: Words) -> str:
        """Its labels with their rows, those with most first."""
        return counted(sorted(batch.label_counts.items(), key=lambda of: (-of[1], of[0])), words)

    def doubt(self, row: SuspectRow) -> Sequence[str]:
        return row.label, row.suggested, percent(row.score), str(row.alike or "–")

    def suggested(self, row: SuspectRow) -> str:
        return row.suggested

    def right_of(self, row: BatchRow) -> tuple[str, str]:
        return row.label or "", row.label or ""

    def read(self, typed: str) -> str:
        return typed

    def answered(self, answer: Predictions, target: ClassTarget, words: Words) -> Answered:
        first = answer.predictions[0]
        return Answered(
            words("predict.class", name=first.class_, score=percent(first.score)),
            [("class", words("version.class"), ""), ("score", words("predict.score"), "n")],
            [(row.class_, round(row.score, 4)) for row in answer.predictions],
            first.top,
        )


def _toward(labels: int | float | str | list[str], words: Words) -> str:
    """The labels that rows of a class carry instead; many are counted."""
    if isinstance(labels, int | float):
        return words("reason.other_labels", n=int(labels))
    names = [labels] if isinstance(labels, str) else labels
    return words.either([words("list.quoted", name=name) for name in names])


def _worst(worst: WorstClassDrop, words: Words) -> str:
    """What lost most: a class, a source, or rare classes, of which many are counted."""
    if worst.rare and not worst.names:
        return words("reason.rare_classes", n=worst.rare)
    return words("list.comma").join(words("list.quoted", name=name) for name in worst.names or [worst.name])


def _since(lost: LostSince | None, words: Words) -> str:
    if lost is None:
        return ""
    figures = {"version": lost.version, "n": lost.rows, "points": f"{100 * lost.lost:.1f}", "p": f"{lost.p:.2g}"}
    said = words("reason.kept.since", **figures)
    if not lost.newer:
        return said
    return said + words("reason.kept.forgotten", points=f"{100 * max(lost.forgotten, 0.0):.1f}", n=lost.newer)


def _rests_on(of: Estimate, words: Words) -> str:
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
    """[("8", 60), ("9", 40)] -> "8: 60, 9: 40"; labels beyond the first few are counted, and long ones cut."""
    named = [words("batches.count", label=cut(label, LONGEST), rows=rows) for label, rows in labels[:MOST_COUNTED]]
    if len(labels) > MOST_COUNTED:
        named.append(words("batches.more_classes", n=len(labels) - MOST_COUNTED))
    return words("list.comma").join(named)
