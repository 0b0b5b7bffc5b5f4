"""How good a version is, read from its report: a number with its interval and the rows it stands on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from service.contract.figures import amount
from service.contract.number_report import AnyReport, Errors, NumberError, NumberReport, Region, TestedErrors
from service.contract.report import Report, Score
from service.contract.targets.kind import TargetKind
from service.contract.targets.number_target import NumberTarget
from service.web.words import MANY, Words, percent

Z95 = 1.96
SAME = 0.0005
"""Differences below this are none to people who read percent with one digit."""


@dataclass(frozen=True)
class Estimate:
    """A share, or an error in the unit of the targets. `low`, `high`: its 95 % interval, None where there is none.
    `start`: where its range of values begins, if it is of one."""

    value: float
    low: float | None
    high: float | None
    rows: int
    start: float = 0.0


@dataclass(frozen=True)
class Pair:
    """A class, or a range of values, of two versions; None where one was not judged by it. `is_new`: the second brought
    the class."""

    name: str
    first: Estimate | None
    second: Estimate | None
    of_errors: bool = False
    is_new: bool = False

    @property
    def change(self) -> float | None:
        """second - first"""
        return None if self.first is None or self.second is None else self.second.value - self.first.value

    @property
    def start(self) -> float:
        """Where its range of values begins."""
        return next((of.start for of in (self.first, self.second) if of is not None), 0.0)

    @property
    def better(self) -> bool | None:
        """Whether the second is better; None where they are the same, or one is not known."""
        change = self.change
        if change is None or change == 0 or (not self.of_errors and abs(change) < SAME):
            return None
        return (change > 0) != self.of_errors

    def said(self, words: Words, alone: str) -> str:
        """ "+7.0 points"; the sentence `alone` where one is not known."""
        change = self.change
        if change is None:
            return words(alone)
        if self.better is None:
            return words("version.unchanged")
        if self.of_errors:
            return f"{'+' if change > 0 else ''}{amount(change)}"
        return words("version.points", points=f"{100 * change:+.1f}".replace("-", "−"))


def old_classes(report: AnyReport | None) -> Estimate | None:
    """Accuracy on trusted rows, after the update."""
    if not isinstance(report, Report) or report.after is None or not report.after.rows:
        return None
    return share(report.after.accuracy, report.after.rows)


def new_classes(report: AnyReport | None) -> Estimate | None:
    """Out-of-fold recall of the classes that the update brought."""
    if not isinstance(report, Report) or report.new_classes.after is None or not report.new_classes.names:
        return None
    low, high = report.new_classes.interval or (None, None)
    return Estimate(report.new_classes.after, low, high, report.new_classes.rows)


def error(report: AnyReport | None) -> Estimate | None:
    """Mean error of numbers on trusted rows, after the update; of a first version, see `of_own`. The interval is that
    of its rise over the version before, on the same rows."""
    if not isinstance(report, NumberReport) or report.after is None or not report.after.rows:
        return None
    low = high = None
    if report.before is not None and report.rise_interval is not None:
        low, high = (report.before.mae * (1 + rise) for rise in report.rise_interval)
    return Estimate(report.after.mae, low, high, report.after.rows)


def of_own(report: AnyReport | None) -> bool:
    """Whether the mean error is of rows of the update's own, since there were no trusted rows yet: that of other
    versions is of other rows."""
    return isinstance(report, NumberReport) and report.before is None


def tested(report: AnyReport | None) -> Estimate | None:
    """Mean error of numbers on the rows of the last batches, before they were learned."""
    if not isinstance(report, NumberReport) or report.tested is None:
        return None
    return Estimate(report.tested.mae, None, None, report.tested.rows)


def by_yardstick(report: AnyReport | None) -> Estimate | None:
    """Mean error of the model's yardstick on the same rows; of several numbers a row None, whose skill is a mean."""
    if not isinstance(report, NumberReport) or report.tested is None or (error := report.yardstick_mae) is None:
        return None
    return Estimate(error, None, None, report.tested.rows)


def share(value: float, rows: int) -> Estimate:
    """A share of rows, with Wilson's interval (1927)."""
    room = Z95**2 / rows
    centre = (value + room / 2) / (1 + room)
    half = Z95 * math.sqrt(value * (1 - value) / rows + room / (4 * rows)) / (1 + room)
    return Estimate(value, max(0.0, centre - half), min(1.0, centre + half), rows)


def by_class(score: Score | None) -> dict[str, Estimate]:
    """Accuracy on trusted rows of each class."""
    return {} if score is None else {name: share(of.accuracy, of.rows) for name, of in score.classes.items()}


def brought(report: Report) -> dict[str, Estimate]:
    """Out-of-fold recall of each class that the update brought."""
    return {name: share(of.accuracy, of.rows) for name, of in report.new_classes.classes.items() if of.rows}


def of_region(region: Region) -> Estimate:
    """Mean error of a range of values."""
    return Estimate(region.mae, None, None, region.rows, region.from_)


def of_number(number: NumberError, rows: int) -> Estimate:
    """Mean error of one of several numbers."""
    return Estimate(number.mae, None, None, rows)


def off(errors: Errors | TestedErrors, words: Words) -> str:
    """ "15.4"; of several numbers each with its name, the first of many: their mean has no unit."""
    if not errors.numbers:
        return amount(errors.mae)
    said = [words("good.of_number", name=of.name, error=amount(of.mae)) for of in errors.numbers[:MANY]]
    return words("list.comma").join(said) + ("…" if len(errors.numbers) > MANY else "")


def name_of(region: Region) -> str:
    """ "10 … 20" """
    return f"{amount(region.from_)} … {amount(region.to)}"


def how_good(report: AnyReport | None, words: Words) -> str:
    """A sentence on how good a version is."""
    if isinstance(report, NumberReport) and report.tested is not None:
        tested = report.tested
        return words("good.tested", error=off(tested, words), rows=tested.rows, n=tested.batches)
    if isinstance(report, NumberReport) and (after := report.after) is not None and after.rows:
        return words("good.first_error" if of_own(report) else "good.error", error=off(after, words), n=after.rows)
    if (right := old_classes(report)) is not None:
        key = "good.trusted"
    elif (right := new_classes(report)) is not None:
        key = "good.first"
    else:
        return words("good.unknown")
    return words(key, accuracy=percent(right.value), interval=interval(right, words), n=right.rows)


def beside(report: AnyReport | None, target: TargetKind, words: Words) -> str:
    """A sentence on what anybody could say of the same numbers; empty where that is not known."""
    if (of := by_yardstick(report)) is None or not isinstance(target, NumberTarget):
        return ""
    name = target.usual if isinstance(target.usual, str) else "column"
    return words(f"good.beside.{name}", error=amount(of.value))


def interval(estimate: Estimate, words: Words) -> str:
    """ "95.6 to 97.7" of a share, in percent; empty where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return words("good.interval", low=f"{100 * estimate.low:.1f}", high=f"{100 * estimate.high:.1f}")
