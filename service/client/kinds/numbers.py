"""Models of numbers, outside the pages: answers are off by so much, and versions are shown by their errors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isfinite
from typing import Any

from service.client.kinds.kind import Kind, Line, Suspected, amount, percent, rows_of
from service.contract.enums import Outcome
from service.contract.figures import shortest
from service.contract.predictions import NumberPredictions, ValuePrediction, ValuesPrediction
from service.contract.reports.number_report import NumberReport, OutlierRow
from service.contract.resources import Batch, Model

MOST_NUMBERS = 10
"""Of more numbers a row these are listed."""
SHOWN = 3
"""Of more numbers a row the errors of these are listed in one cell."""


ENDS = ("", " from", " to")
"""What stands behind the name of a number in its columns: itself, and both ends of its interval."""
UNKNOWN = None, None
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""As a file has it: Python reads other digits and 1_0, too."""


class NumberKind(Kind[NumberReport, NumberPredictions, ValuePrediction | ValuesPrediction, OutlierRow]):
    score = "Mean error"
    falls = True
    digits = staticmethod(shortest)

    def predicts(self, model: Model) -> str:
        return "a number" if model.target.columns == 1 else f"{model.target.columns} numbers"

    def holds(self, batch: Batch) -> str:
        """The mean and the range of each number."""
        of = batch.target_summary
        each = of if isinstance(of, list) else [] if of is None else [of]
        said = [f"{amount(one.mean)} on average, {amount(one.min)} to {amount(one.max)}" for one in each[:SHOWN]]
        return "; ".join(said) + " …" * (len(each) > SHOWN)

    def answered(self, answer: NumberPredictions) -> list[Any]:
        return [*answer.values]

    def columns(self, answer: NumberPredictions, called: Sequence[str]) -> list[str]:
        first = next(iter(answer.predictions), None)
        size = len(first.values) if isinstance(first, ValuesPrediction) else 1
        names = called or ["value" if k == 0 else f"value_{k + 1}" for k in range(size)]
        return [f"{name}{end}" for name in names for end in ENDS]

    def cells(self, prediction: ValuePrediction | ValuesPrediction) -> list[Any]:
        if isinstance(prediction, ValuePrediction):
            return [prediction.value, *(prediction.interval or UNKNOWN)]
        intervals: Sequence[Sequence[float | None]] = prediction.intervals or [UNKNOWN] * len(prediction.values)
        return [cell for value, ends in zip(prediction.values, intervals, strict=True) for cell in (value, *ends)]

    def scored(self, answered: Any, label: Any) -> float:
        """The error of a number, the mean of those of a row."""
        values, targets = (x if isinstance(x, list | tuple) else [x] for x in (answered, label))
        return float(sum(abs(value - target) for value, target in zip(values, targets, strict=True)) / len(values))

    def written(self, score: float) -> str:
        return amount(score)

    def change(self, first: float, second: float) -> str:
        return f"{second - first:+.3g}".replace("-", "−")

    def lines(self, report: NumberReport) -> list[Line]:
        """Errors on rows as they came and on trusted ones, of each number where there are several."""
        before, after = report.before, report.after
        tested = report.tested if report.gate.outcome is Outcome.PASS else None  # of a batch that was stopped, its own
        lines = []
        if tested is not None:
            last = "the last batch" if tested.batches == 1 else f"the last {tested.batches:,} batches"
            each = "each " if tested.batches > 1 else ""
            note = f"on {rows_of(tested.rows)} of {last}, {each}answered before it was learned"
            lines += [
                Line(f"new rows, {number.name}", amount(number.mae), "–", note)
                for number in tested.numbers[:MOST_NUMBERS]
            ] or [Line("mean error, new rows", amount(tested.mae), "–", note)]
            if tested.coverage is not None:
                aim = f"; {tested.level:.0%} is the aim".replace("%", " %") if tested.level is not None else ""
                lines.append(Line("within their interval", percent(tested.coverage), "–", f"of these new rows{aim}"))
        if tested is not None and report.skill is not None:
            plain = "" if report.yardstick_mae is None else f", which is off by {amount(report.yardstick_mae)}"
            note = f"less error than the model's yardstick{plain}"
            lines.append(Line("skill", percent(report.skill), "–", note))
        if after is not None:
            whose = "trusted rows" if before is not None else "rows of its own that it had not seen"
            on_rows = f"on {after.rows:,} {whose}"
            was = {number.name: number.mae for number in before.numbers} if before is not None else {}
            lines += [
                Line(f"mean error, {number.name}", amount(was.get(number.name)), amount(number.mae), on_rows)
                for number in after.numbers[:MOST_NUMBERS]
            ] or [
                Line("mean error", amount(before.mae if before else None), amount(after.mae), on_rows),
                Line("root mean square error", amount(before.rmse if before else None), amount(after.rmse), on_rows),
            ]
        return lines

    def figure(self, report: NumberReport) -> str:
        if report.after is None:
            return "–"
        errors = [number.mae for number in report.after.numbers[:SHOWN]] or [report.after.mae]
        more = " …" if len(report.after.numbers) > SHOWN else ""
        return f"± {', '.join(map(amount, errors))}{more}{'' if report.before else ' (own rows)'}"

    def suspected(self, report: NumberReport) -> Suspected:
        return self.listed(report.batch.outliers)

    def listed(self, rows: Sequence[OutlierRow]) -> Suspected:
        cells = [[row.batch, str(row.row), amount(row.target), amount(row.value), row.name or ""] for row in rows]
        heading = "Rows whose target is far from what was expected, the farthest first (rows are counted from 0):"
        return Suspected(heading, ["batch", "row", "target", "expected", ""], "row target expected", cells)

    def suggested(self, row: OutlierRow) -> None:
        """What was expected is no measurement."""

    def read(self, typed: str) -> Any:
        """A number, or several, parted by semicolons; what is none stays text, for the service says what is wrong. So
        do nan, which would take the row out, and inf."""
        parts = [part.strip() for part in typed.split(";")]
        if not all(NUMBER.fullmatch(part) and isfinite(float(part)) for part in parts):
            return typed
        numbers = [float(part) for part in parts]
        return numbers if len(numbers) > 1 else numbers[0]
