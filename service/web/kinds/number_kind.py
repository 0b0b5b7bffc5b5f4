"""Models that predict numbers: errors in the targets' own unit, of new rows before they were learned and of trusted
ones; by ranges of values, or by each of several numbers a row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import repeat
from typing import Any

from pydantic import TypeAdapter

from service.contract.enums import Outcome
from service.contract.figures import amount
from service.contract.predictions import NumberPredictions, ValuePrediction, ValuesPrediction
from service.contract.reports.facts import Rule
from service.contract.reports.number_report import (
    Errors,
    NumberReport,
    OutlierRow,
    Region,
    TestedErrors,
    YardstickError,
)
from service.contract.resources import Batch, BatchRow
from service.contract.targets.number_target import NumberTarget
from service.web.kinds.kind import Answered, Bars, Changed, Fact, Figures, Finding, Kind, direction
from service.web.reports.estimates import Estimate, Pair, Side
from service.web.words import MANY, Words, percent, round_amount, round_percent

SHOWN = 3
"""Of more numbers a row the errors of these stand in the table of versions; so many rows far out are named."""
REPAIRS = {"/": "divided", "*": "multiplied", "°C": "fahrenheit", "°F": "celsius"}
"""With what the factor of a report begins -> what mends targets in a wrong unit."""
UNITS = {
    **dict.fromkeys(("first_version", "outliers"), "chance"),
    **dict.fromkeys(("wrong_unit", "contradicts_everything", "disagrees_broadly"), "times"),
    **dict.fromkeys(("one_value", "forgets", "worst_region", "slow_loss", "learned_nothing"), "percent"),
    "unlearnable": "correlation",
    "wrong_columns": "columns",
}
"""Units of values and limits of rules."""
Ends = tuple[float | None, float | None]
UNKNOWN: Ends = None, None
RANGES, NUMBERS = Bars("range"), Bars("number", drawn=False)


class NumberKind(Kind[NumberTarget, NumberReport, Errors, NumberPredictions, OutlierRow]):
    name = "number"
    show, tick = staticmethod(amount), staticmethod(round_amount)
    ends = (0.0, 0.0)
    less_is_better = True
    has_intervals = False
    series, columns = ("error", "own", "yardstick"), ("tested", "error")
    rules = ("number", "class")
    units = UNITS
    doubts = (("target", "n"), ("expected", "n"), ("off", "n"))
    example = '"targets": [505.1, …]'
    answer = TypeAdapter(NumberPredictions)

    def good(self, report: NumberReport, words: Words, target: NumberTarget | None = None) -> str:
        if (tested := _tested(report)) is not None:
            said = words("good.tested", error=_off(tested, words), rows=tested.rows, n=tested.batches)
        elif (after := _judged(report)) is not None:
            said = words("good.error" if report.before else "good.first_error", error=_off(after, words), n=after.rows)
        else:
            return ""
        if target is None or report.beside is None:
            return said
        name, error = report.beside
        return f"{said} {words(f'good.beside.{name}', error=amount(error))}"

    def figures(self, report: NumberReport, words: Words, of_live: bool = False) -> Figures:
        facts, tested = [], _tested(report)
        if (after := _judged(report)) is not None and not after.numbers:
            own = "model.fact.error" if report.before else "model.fact.first_error"
            shown = (("model.fact.tested", tested), (own, after))
            facts = [
                Fact(words(label), amount(errors.mae), words("model.rows", n=errors.rows))
                for label, errors in shown
                if errors is not None
            ]
        said = [words("measured.tested_number", n=tested.batches)] if tested is not None and not tested.numbers else []
        if tested is None and report.tested is not None:
            said = [words("measured.batch_apart")]
        forgotten, since = self.forgotten(report, words)
        return facts + forgotten, said + since

    def cells(self, report: NumberReport, words: Words) -> Sequence[str]:
        tested = _of_each(report.tested) if report.tested is not None else "–"
        if (after := _judged(report)) is None:
            return tested, "–"
        off = _of_each(after)
        return tested, off if report.before else words("model.column.of_own", error=off)

    def steps(self, report: NumberReport) -> Sequence[Estimate | None]:
        tested, own, yardstick = report.tested, None if report.before else _judged(report), report.yardstick_mae
        return (
            _mean(tested.mae, tested.rows) if tested is not None else None,
            _mean(own.mae, own.rows) if own is not None else None,
            _mean(yardstick, tested.rows) if tested is not None and yardstick is not None else None,
        )

    def bars(self, report: NumberReport | None) -> Bars:
        return NUMBERS if report is not None and report.after is not None and report.after.numbers else RANGES

    def changed(self, report: NumberReport, words: Words) -> Changed:
        before, after, said = report.before, report.after, _beside_yardstick(report, words)
        if after is not None and after.numbers:
            was = {of.name: _mean(of.mae, before.rows) for of in before.numbers} if before else {}
            pairs = [Pair(of.name, was.get(of.name), _mean(of.mae, after.rows), True) for of in after.numbers]
            return Changed(pairs, (said, []))
        errors = {(of.from_, of.to): _of_range(of) for of in before.regions} if before else {}
        regions = after.regions if after is not None else []
        return Changed(
            [Pair(_name_of(of), errors.get((of.from_, of.to)), _of_range(of), True) for of in regions],
            (said, [words(f"good.beside.{name}", error=amount(of.mae)) for name, of in _yardsticks(report).items()]),
        )

    def side(self, score: Errors | None) -> Side:
        if score is None or not score.rows:
            return Side(None, {})
        errors = {_name_of(of): _of_range(of) for of in score.regions}
        errors |= {of.name: _mean(of.mae, score.rows) for of in score.numbers}
        return Side(_mean(score.mae, score.rows), errors)

    def own_side(self, report: NumberReport) -> Side:
        side = self.side(report.after)
        return side if report.before else Side(None, side.groups, side.groups)

    def worse(self, report: NumberReport) -> tuple[float, float] | None:
        return report.rise_interval

    def finding(self, rule: Rule, report: NumberReport, words: Words) -> Finding:
        """Its subject is that of several numbers a row which the gate names, as `OneNumber.of` and `for_it` do."""
        errors, batch = report.after or report.tested, report.batch
        names = [number.name for number in errors.numbers] if errors is not None else []
        named = [name for name in names if f' of "{name}"' in rule.why or f' for "{name}"' in rule.why][:1]
        subject, why = "", rule.why
        for name in named:
            subject = words("reason.of_number", name=name)
            why = why.replace(f' of "{name}"', "").replace(f' for "{name}"', "")
        figures = {"outliers": len(batch.far_rows), "repair": _repair(batch.factor, words)}
        return Finding(rule.value is not None, figures, subject, why)

    def gained(self, report: NumberReport, words: Words) -> str:
        if report.before is None or report.after is None:
            return self.how_good(report, words)
        change = {"before": _off(report.before, words), "after": _off(report.after, words), "n": report.before.rows}
        limit = next((rule.limit for rule in report.gate.rules if rule.name == "forgets"), None)
        beyond = limit is None or (report.rise or 0.0) > limit
        way = direction(self.worse(report))
        kept = words(f"reason.kept.error_{'beyond' if way == 'worse' and beyond else way}", **change)
        return f"{self.how_good(report, words)}{kept}"

    def doubtful(self, report: NumberReport, batch: str) -> int:
        return len({row.row for row in report.batch.far_rows if row.batch == batch})

    def notes(self, report: NumberReport, words: Words) -> list[str]:
        far = report.batch.far_rows
        named = [(of.row, amount(of.target), amount(of.value)) for of in far[:SHOWN]]
        said = [words("reason.note.outlier", row=row, target=target, value=value) for row, target, value in named]
        counted = (("outliers", len(far)), ("follows", report.batch.follows))
        return said + [words(f"reason.note.{name}", n=n) for name, n in counted if n]

    def holds(self, batch: Batch, words: Words) -> str:
        """The mean and the range of its targets."""
        of = batch.target_summary if isinstance(batch.target_summary, list) else [batch.target_summary]
        ends = [{"mean": amount(one.mean), "low": amount(one.min), "high": amount(one.max)} for one in of if one]
        return "; ".join(words("batches.range", **each) for each in ends)

    def doubt(self, row: OutlierRow) -> Sequence[str]:
        return f"{row.name}: " * bool(row.name) + amount(row.target), amount(row.value), amount(row.error)

    def suggested(self, row: OutlierRow) -> str:
        return f"{row.name}: " * bool(row.name) + amount(row.value)

    def right_of(self, row: BatchRow) -> tuple[str, str]:
        targets = row.targets or ()
        return "; ".join(map(repr, targets)), "; ".join(map(amount, targets))

    def read(self, typed: str) -> Any:
        """A target, or several, parted by semicolons; what is none, such as 1,5, stays text, for the API says of it
        what is wrong."""
        try:
            return typed if "," in typed else json.loads(f"[{typed.replace(';', ',')}]", parse_constant=str)
        except (ValueError, RecursionError):
            return typed

    def answered(self, answer: NumberPredictions, target: NumberTarget, words: Words) -> Answered:
        """The sentence is such as "MW: 512, and with 90 % from 480 to 540." """
        rows, level = [_spans(row) for row in answer.predictions], round_percent(answer.level)
        return Answered(
            " ".join(_said(name, *of, level, words) for name, of in zip(target.called, rows[0], strict=True)),
            [
                head
                for name in target.called
                for head in (
                    (name, name, "n"),
                    (f"{name} from", words("predict.from"), "n"),
                    (f"{name} to", words("predict.to"), "n"),
                )
            ],
            [[cell for value, ends in row for cell in (value, *ends)] for row in rows],
            note=words("predict.ends", level=level) if rows[0][0][1] != UNKNOWN else "",
        )


def _tested(report: NumberReport) -> TestedErrors | None:
    """Errors on the last batches as they came. Where the gate stopped a batch, they tell of that and of no version."""
    return report.tested if report.gate.outcome is Outcome.PASS else None


def _yardsticks(report: NumberReport) -> dict[str, YardstickError]:
    """What others would have answered to the rows of `_tested`; of a first version, to its own."""
    stopped = report.gate.outcome is not Outcome.PASS and report.tested is not None
    return {} if stopped else report.yardsticks


def _beside_yardstick(report: NumberReport, words: Words) -> list[str]:
    """How its error stands beside that of the model's yardstick, and what that is where it is known."""
    skill, beside = report.skill, report.beside
    if skill is None or not _yardsticks(report):
        return []
    said = words("version.skill" if skill >= 0 else "version.skill_worse", skill=percent(abs(skill)))
    return [said, words(f"version.by_{beside[0]}")] if beside is not None else [said]


def _judged(report: NumberReport) -> Errors | None:
    """Errors on trusted rows after the update; of a first version, on rows of its own."""
    return report.after if report.after is not None and report.after.rows else None


def _mean(error: float, rows: int) -> Estimate:
    """A mean error, which has no interval."""
    return Estimate(error, None, None, rows)


def _of_range(region: Region) -> Estimate:
    return Estimate(region.mae, None, None, region.rows, region.from_)


def _off(errors: Errors | TestedErrors, words: Words) -> str:
    """ "15.4"; of several numbers each with its name, the first of many: their mean has no unit."""
    if not errors.numbers:
        return amount(errors.mae)
    said = [words("good.of_number", name=of.name, error=amount(of.mae)) for of in errors.numbers[:MANY]]
    return words("list.comma").join(said) + "…" * (len(errors.numbers) > MANY)


def _of_each(errors: Errors | TestedErrors) -> str:
    """ "15.4"; of several numbers "15.4 · 0.2", those of the first."""
    each = [of.mae for of in errors.numbers[:SHOWN]] or [errors.mae]
    return " · ".join(map(amount, each)) + " …" * (len(errors.numbers) > SHOWN)


def _name_of(region: Region) -> str:
    """ "10 … 20" """
    return f"{amount(region.from_)} … {amount(region.to)}"


def _repair(factor: str | None, words: Words) -> str:
    """What mends targets in a wrong unit, by the factor of a report: "/ 1,000", "* -1", "°C to °F", "20 - target"."""
    first, _, by = (factor or "").partition(" ")
    if by == "- target":
        return words("reason.repair.subtracted", by=first)
    key = "turned" if by == "-1" else REPAIRS.get(first, "other")
    return words(f"reason.repair.{key}", by=by)


def _spans(row: ValuePrediction | ValuesPrediction) -> list[tuple[float, Ends]]:
    """Each number of a row with the ends of its interval."""
    values = [row.value] if isinstance(row, ValuePrediction) else row.values
    spans = [row.interval] if isinstance(row, ValuePrediction) else row.intervals or repeat(None, len(values))
    return [(value, span or UNKNOWN) for value, span in zip(values, spans, strict=True)]


def _said(name: str, value: float, ends: Ends, level: str, words: Words) -> str:
    low, high = ends
    if low is None or high is None:
        return words("predict.number", name=name, value=amount(value))
    span = {"level": level, "low": amount(low), "high": amount(high)}
    return words("predict.interval", name=name, value=amount(value), **span)
