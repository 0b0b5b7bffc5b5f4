"""What pages ask of a kind of target, instead of which kind it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from service.contract.report import Confusion, Rule
from service.contract.resources import Batch, BatchRow
from service.web.estimates import Estimate, Pair, Side
from service.web.words import Words

Cell = str | float | None

T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S")
A = TypeVar("A")
D = TypeVar("D")


class Fact(NamedTuple):
    """A figure below what it is; `note`: what it rests on."""

    label: str
    value: str
    note: str = ""


class Bars(NamedTuple):
    """What versions are compared by, one a bar. `of`: how keys of its sentences end; `drawn`: whether all have one
    unit, so that there is a chart of them and a mean."""

    of: str
    drawn: bool = True


class Kind(ABC, Generic[T, R, S, A, D]):
    """What is shown of models whose targets T are of this kind, of their reports R with scores S, of answers A, of
    doubtful rows D.

    name: as a target says it; keys of sentences which each kind has end with it. show, tick: a value as text, and on an
    axis · ends: of that axis · less_is_better: values are errors · has_intervals: values have a 95 % interval.
    series: lines of the chart of versions · columns: of their table, keys of `model.column`.
    rules: kinds whose sentences of rules it takes, its own first.
    doubts: columns of doubtful rows, keys of `batch`, "n" beside those of numbers · right: key of the column of what is
    right, where it can be corrected · takes_new: rows may bring answers that the model does not know · top: so many
    answers are listed of a row · example: what is right, in a JSON file.
    """

    name: str
    show: Callable[[float], str]
    tick: Callable[[float], str]
    ends: tuple[float, float]
    less_is_better = False
    has_intervals = True
    series: tuple[str, ...]
    columns: tuple[str, ...]
    rules: tuple[str, ...]
    doubts: Sequence[tuple[str, str]]
    right = "rows.right"
    takes_new = False
    top: int | None = None
    example: str

    # How good a version is

    def sentences(self, report: R | None, target: T, words: Words) -> list[str]:
        """How good a version is, and what anybody could say of the same rows, where that is known."""
        beside = self.beside(report, target, words) if report is not None else ""
        return [self.how_good(report, words), *([beside] if beside else [])]

    def how_good(self, report: R | None, words: Words) -> str:
        """A sentence on how good a version is."""
        said = self.good(report, words) if report is not None else ""
        return said or words("good.unknown")

    @abstractmethod
    def good(self, report: R, words: Words) -> str:
        """The same; "" where nothing is measured."""

    def beside(self, report: R, target: T, words: Words) -> str:
        """A sentence on what anybody could say of the same rows; "" where that is not known."""
        return ""

    @abstractmethod
    def facts(self, report: R, words: Words, of_live: bool = False) -> list[Fact]:
        """Its figures; of a version that is live, the most telling ones."""

    @abstractmethod
    def measured(self, report: R, words: Words) -> list[str]:
        """Which rows and versions these figures are of."""

    @abstractmethod
    def cells(self, report: R, words: Words) -> Sequence[str]:
        """What stands in `columns`."""

    @abstractmethod
    def steps(self, report: R) -> Sequence[Estimate | None]:
        """Its points on the lines of `series`."""

    @abstractmethod
    def lost(self, share: float, words: Words) -> str:
        """How much was forgotten."""

    def forgotten(self, forgetting: float | None, words: Words) -> list[Fact]:
        """What was forgotten; less than nothing is a gain."""
        if forgetting is None:
            return []
        lost = self.lost(abs(round(forgetting, 3)), words)
        return [Fact(_gained(forgetting, words), lost, words("model.fact.forgotten_note"))]

    def since(self, forgetting: float | None, words: Words) -> list[str]:
        """Beside which versions that is."""
        if forgetting is None:
            return []
        return [words(f"measured.since_{self.name}", label=_gained(forgetting, words))]

    # What it changed

    @abstractmethod
    def bars(self, report: R | None) -> Bars: ...

    @abstractmethod
    def pairs(self, report: R) -> list[Pair]:
        """By what it changed, those that come first on its page first."""

    @abstractmethod
    def side(self, score: S | None) -> Side:
        """How good it was on trusted rows."""

    @abstractmethod
    def own_side(self, report: R) -> Side:
        """The same, and what was judged on rows of its own batch, which it had not learned."""

    @abstractmethod
    def own_rows(self, version: int, side: Side, words: Words) -> str:
        """Which of its figures are of rows of its own."""

    @abstractmethod
    def difference(self, first: Estimate, second: Estimate, words: Words, **versions: int) -> str:
        """By how much the `winner` is better than the `loser`, and whether that may be chance."""

    def confused(self, report: R) -> tuple[Any, Sequence[Confusion]]:
        """What is taken for what: as a matrix, None where it cannot be read, and as a list."""
        return None, ()

    @abstractmethod
    def yardsticks(self, report: R, words: Words) -> tuple[list[str], list[str]]:
        """What it is measured by: sentences on the version, and one on each yardstick."""

    def suspected(self, report: R) -> Sequence[str]:
        """Batches whose doubtful rows its notes are of."""
        return ()

    # Sentences of rules

    def is_known(self, rule: Rule, report: R) -> bool:
        """Whether there is something that the sentence of a rule that fired can name."""
        return rule.value is not None

    @abstractmethod
    def figures(self, report: R, words: Words) -> dict[str, Any]:
        """What sentences of rules may name, beside what all rules have."""

    def subject(self, rule: Rule, report: R, words: Words) -> str:
        """What the sentence of a rule is of, before it."""
        return ""

    @abstractmethod
    def gained(self, report: R, words: Words) -> str:
        """What a version knows now, and what became of what the one before knew."""

    def notes(self, report: R, words: Words) -> list[str]:
        """What its figures say, beside its notes."""
        return []

    # Rows and answers

    @abstractmethod
    def holds(self, batch: Batch, words: Words) -> str:
        """What a batch says is right, in short."""

    @abstractmethod
    def doubt(self, row: D) -> Sequence[str]:
        """What stands in `doubts`."""

    def suggested(self, row: D) -> str | None:
        """What a doubtful row most likely is."""
        return None

    @abstractmethod
    def typed(self, row: BatchRow) -> str | None:
        """What is right of a row, as one types it."""

    @abstractmethod
    def read(self, typed: str) -> Any:
        """The same as the API takes it."""

    @abstractmethod
    def shown(self, row: BatchRow) -> str:
        """The same as one reads it."""

    @abstractmethod
    def said(self, answer: A, target: T, words: Words) -> str:
        """A sentence on the answer to one row."""

    def others(self, answer: A) -> Sequence[Any]:
        """What else that row could be."""
        return ()

    @abstractmethod
    def fields(self, target: T) -> Sequence[str]:
        """Columns of a file of answers."""

    @abstractmethod
    def heads(self, target: T, words: Words) -> Sequence[tuple[str, str]]:
        """The same as the page calls them, "n" beside those of numbers."""

    @abstractmethod
    def answers(self, answer: A) -> list[list[Cell]]:
        """The answers in these columns, row by row."""

    def note(self, answer: A, words: Words) -> str:
        """What is to be said of all answers."""
        return ""


def _gained(forgetting: float, words: Words) -> str:
    return words("model.fact.gained" if round(forgetting, 3) < 0 else "model.fact.forgotten")


def direction(worse: tuple[float, float] | None) -> str:
    """Which way a loss lies, by its interval."""
    if worse is None or worse[0] <= 0 <= worse[1]:
        return "same"
    return "worse" if worse[0] > 0 else "better"


AnyKind = Kind[Any, Any, Any, Any, Any]
