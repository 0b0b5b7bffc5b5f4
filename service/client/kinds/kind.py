"""What the client and the terminal ask of a kind of target, instead of which kind it is: how answers are read and
scored, and how reports are shown outside the pages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from service.contract import figures
from service.contract.resources import Batch, Model

R = TypeVar("R")
A = TypeVar("A")
P = TypeVar("P")
S = TypeVar("S")


class Line(NamedTuple):
    """A line of a report card. Shares are in per cent, errors in the targets' own unit; "–" where nothing is known."""

    name: str
    before: str
    after: str
    note: str = ""


class Part(NamedTuple):
    """How good a version is at a part of what it knows, and the one before it: shares of `rows` that are right."""

    name: str
    before: float | None
    after: float
    rows: int


class Suspected(NamedTuple):
    """Rows that look wrong: a heading, columns, of which the first are the batch and the row, which of them are
    numbers, and the cells."""

    heading: str
    columns: Sequence[str]
    numbers: str
    cells: list[list[str]]


class Kind(ABC, Generic[R, A, P, S]):
    """score: what the mean of `scored` over rows is called. falls: whether it falls as versions get better. barred:
    whether the second cell of an answer is a share, which a terminal draws as a bar. digits: rounds numbers of an
    answer to those that a file has."""

    score: str
    falls = False
    barred = False
    digits: Callable[[float], float]

    @abstractmethod
    def predicts(self, model: Model) -> str:
        """What a model says of a row, for a list of models."""

    @abstractmethod
    def holds(self, batch: Batch) -> str:
        """The labels or targets of a batch, in short; "" where it has none of this kind."""

    @abstractmethod
    def answered(self, answer: A) -> list[Any]:
        """By row: what was answered."""

    @abstractmethod
    def columns(self, answer: A, called: Sequence[str]) -> list[str]:
        """The names of the columns of an answer in a table. called: the numbers that are predicted, where they have
        names."""

    @abstractmethod
    def cells(self, prediction: P) -> list[Any]:
        """What stands in these columns, of one row; None where it has no interval."""

    @abstractmethod
    def scored(self, answered: Any, label: Any) -> float:
        """How good the answer to a row is, beside what is right."""

    @abstractmethod
    def written(self, score: float) -> str:
        """A mean of such scores."""

    @abstractmethod
    def change(self, first: float, second: float) -> str:
        """The change from the first of two means, or figures of a report, to the second."""

    @abstractmethod
    def lines(self, report: R) -> list[Line]:
        """The lines of a report card: before and after. Both are of the same trusted rows; a note says so of a line
        that is of others."""

    @abstractmethod
    def figure(self, report: R) -> str:
        """How good a version was when it was judged, in a figure, of a first version on rows of its own."""

    def brings(self, report: R) -> bool:
        """Whether the version brought something that is judged on rows of its own."""
        return False

    def parts(self, report: R) -> list[Part]:
        """The parts that it is shown by, the worst first; none where it has no parts."""
        return []

    @abstractmethod
    def suspected(self, report: R) -> Suspected:
        """The rows of the batch that look wrong, the likeliest first."""

    @abstractmethod
    def listed(self, rows: Sequence[S]) -> Suspected:
        """Such rows as a table."""

    @abstractmethod
    def suggested(self, row: S) -> str | None:
        """What a row that looks wrong may be given without a second look; None where that is nothing."""

    @abstractmethod
    def read(self, typed: str) -> Any:
        """What was typed as right of a row, as the service takes it."""


def percent(share: float | None) -> str:
    """0.974 -> "97.4 %"; a dash where it is not known."""
    return "–" if share is None else figures.percent(share)


def points(share: float) -> str:
    """0.974 -> "97.4"."""
    return f"{100 * share:.1f}".replace("-", "−")


def amount(value: float | None) -> str:
    """1190.4 -> "1,190", 15.43 -> "15.4"; a dash where it is not known."""
    return "–" if value is None else figures.amount(value)


def rows_of(count: int) -> str:
    return f"{count:,} row{'s'[: count != 1]}"
