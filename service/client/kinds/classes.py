"""Models of classes, outside the pages: answers are right or not, and versions are shown class by class."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from service.client.kinds.kind import Kind, Line, Part, Suspected, percent, points, rows_of
from service.contract.predictions import Prediction, Predictions
from service.contract.reports import FEW_TRUSTED, forgotten
from service.contract.reports.class_report import Report, SuspectRow
from service.contract.resources import Batch, Model
from service.guessing.class_counts import counted_classes

SHOWN = 5
"""Labels of a batch that a list of batches names."""


def class_name(label: Any) -> str:
    """A label as the name of a class: whole numbers and booleans as JSON writes them."""
    if isinstance(label, bool):
        return "true" if label else "false"
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


class ClassKind(Kind[Report, Predictions, Prediction, SuspectRow]):
    score = "Right"
    barred = True
    digits = staticmethod(partial(round, ndigits=4))

    def predicts(self, model: Model) -> str:
        live = model.live_classes if model.live_classes is not None else len(model.classes)
        known = f"{live:,} of " if live != len(model.classes) else ""
        return f"{known}{len(model.classes):,} classes"

    def holds(self, batch: Batch) -> str:
        """The labels with the most rows first."""
        return counted_classes(dict(sorted(batch.label_counts.items(), key=lambda label: (-label[1], label[0]))), SHOWN)

    def answered(self, answer: Predictions) -> list[Any]:
        return [*answer.classes]

    def columns(self, answer: Predictions, called: Sequence[str]) -> list[str]:
        return ["class", "score"]

    def cells(self, prediction: Prediction) -> list[Any]:
        return [prediction.class_, prediction.score]

    def scored(self, answered: Any, label: Any) -> float:
        return float(answered == class_name(label))

    def written(self, score: float) -> str:
        return percent(score)

    def change(self, first: float, second: float) -> str:
        change = second - first
        return f"{'−' if change < 0 else '+'}{abs(100 * change):.1f} points"

    def lines(self, report: Report) -> list[Line]:
        """Old and new classes, and rows as they came."""
        old, new = report.old_classes, report.new_classes
        lines = []
        if old.before is not None:
            _, rows = forgotten(report)
            few = f"– on {rows_of(rows)}: so few show only chance"
            change = few if 0 < rows < FEW_TRUSTED else _change(old.before, old.after, old.interval)
            lines.append(Line("old classes", percent(old.before), percent(old.after), change))
        if (since := report.lost_since) is not None:
            change = f"−{100 * since.lost:.1f} on {rows_of(since.rows)}"
            aside = f", of which {100 * since.forgotten:.1f} forgotten" if since.newer else ""
            lines.append(Line(f"since version {since.version}", "–", "–", f"{change}{aside}"))
        if new.names:
            within = f"{points(new.interval[0])} to {points(new.interval[1])}" if new.interval else ""
            lines.append(Line("new classes", "–", percent(new.after), within))
        if report.tested is not None:
            note = f"on {rows_of(report.tested.rows)} of the batch, answered before it was learned"
            lines.append(Line("new rows", percent(report.tested.accuracy), "–", note))
        return lines

    def figure(self, report: Report) -> str:
        return percent(report.new_classes.after if report.after is None else report.after.accuracy)

    def brings(self, report: Report) -> bool:
        return bool(report.new_classes.names)

    def parts(self, report: Report) -> list[Part]:
        before = report.before.classes if report.before else {}
        return [
            Part(name, before[name].accuracy if name in before else None, score.accuracy, score.rows)
            for name, score in sorted(report.classes.items(), key=lambda item: item[1].accuracy)
        ]

    def suspected(self, report: Report) -> Suspected:
        return self.listed(report.batch.suspect_rows)

    def listed(self, rows: Sequence[SuspectRow]) -> Suspected:
        cells = [[row.batch, str(row.row), row.label, row.suggested, percent(row.score)] for row in rows]
        heading = "Rows whose label looks wrong, the likeliest first (rows are counted from 0):"
        return Suspected(heading, ["batch", "row", "label", "rather", "sure"], "row sure", cells)

    def suggested(self, row: SuspectRow) -> str:
        return row.suggested

    def read(self, typed: str) -> str:
        return typed


def _change(before: float, after: float | None, interval: tuple[float, float] | None) -> str:
    """ "−0.2, within chance"."""
    if after is None or interval is None:
        return ""
    low, high = interval
    chance = ", within chance" if low <= 0 <= high else ""
    change = 100 * (after - before)
    sign = "+" if round(change, 1) > 0 else "−" if round(change, 1) < 0 else ""
    return f"{sign}{abs(change):.1f}{chance}"
