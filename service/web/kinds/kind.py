"""What pages ask of a kind of target, instead of which kind it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import TypeAdapter

from service.contract.reports import forgotten
from service.contract.reports.class_report import Confusion, Report
from service.contract.reports.facts import Rule
from service.contract.reports.number_report import NumberReport
from service.contract.resources import Batch, BatchRow
from service.web.reports.estimates import Estimate, Pair, Side
from service.web.words import Words, percent

T = TypeVar("T")
R = TypeVar("R", bound=Report | NumberReport)
S = TypeVar("S")
A = TypeVar("A")
D = TypeVar("D")


class Fact(NamedTuple):
    """A figure below what it is; `note`: what it rests on."""

    label: str
    value: str
    note: str = ""


Figures = tuple[list[Fact], list[str]]
"""Figures of a version, and sentences on which rows and versions they are of."""


class Bars(NamedTuple):
    """What versions are compared by, one a bar. `of`: how keys of its sentences end; `drawn`: whether all have one
    unit, so that there is a chart of them and a mean."""

    of: str
    drawn: bool = True


class Changed(NamedTuple):
    """What a version changed. `pairs`: bar by bar, in the order of its page; `yardsticks`: sentences on it beside
    these, and one on each; `matrix`, `confusions`: what it takes for what; `suspected`: batches with doubtful rows, and
    those whose dispute it refutes."""

    pairs: list[Pair]
    yardsticks: tuple[list[str], list[str]]
    matrix: Any = None
    confusions: Sequence[Confusion] = ()
    suspected: Sequence[str] = ()


class Finding(NamedTuple):
    """What the sentence of a rule may name. `is_known`: whether there is anything; `subject`: what it is of, before
    it; `why`: what the gate said without the subject, where each of its sentences has words of other languages."""

    is_known: bool
    figures: Mapping[str, Any]
    subject: str = ""
    why: str = ""


class Answered(NamedTuple):
    """The answers to rows. `sentence`: on the first; `others`: what else that could be; `heads`: of columns, in a file,
    on the page, and "n" of numbers; `rows`: in these columns; `note`: on all."""

    sentence: str
    heads: Sequence[tuple[str, str, str]]
    rows: Sequence[Sequence[str | float | None]]
    others: Sequence[Any] = ()
    note: str = ""


class Kind(ABC, Generic[T, R, S, A, D]):
    """What is shown of models whose targets T are of this kind, of their reports R with scores S, of answers A, of
    doubtful rows D.

    name: as a target says it; keys of sentences that each kind has end with it. show, tick: a value as text, and on an
    axis · ends: of that axis · less_is_better: values are errors · has_intervals: values have a 95 % interval.
    series: lines of the chart of versions · columns: of their table, keys of `model.column`.
    rules: kinds whose sentences of rules it takes, its own first · units: of the value and the limit of rules, keys of
    `version.unit`, "percent", or "share" of what is never more than all, by the name of the rule.
    doubts: columns of doubtful rows, keys of `batch`, "n" beside those of numbers · right: key of the column of what is
    right, where it can be corrected · takes_new: rows may bring answers that the model does not know · takes_suggested:
    doubtful rows may be given what is suggested of them · top: so many answers are listed of a row · example: what is
    right, in a JSON file · answer: reads what the API answers.
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
    units: Mapping[str, str]
    doubts: Sequence[tuple[str, str]]
    right = "rows.right"
    takes_new = False
    takes_suggested = False
    top: int | None = None
    example: str
    answer: TypeAdapter[A]

    def how_good(self, report: R | None, words: Words, target: T | None = None) -> str:
        """A sentence on how good a version is; with a target, also on what anybody could say of the same rows."""
        said = self.good(report, words, target) if report is not None else ""
        return said or words("good.unknown")

    @abstractmethod
    def good(self, report: R, words: Words, target: T | None = None) -> str:
        """The same; "" where nothing is measured."""

    @abstractmethod
    def figures(self, report: R, words: Words, of_live: bool = False) -> Figures:
        """How good it is; of the version that is live, the most telling ones."""

    @abstractmethod
    def cells(self, report: R, words: Words) -> Sequence[str]:
        """What stands in `columns`."""

    @abstractmethod
    def steps(self, report: R) -> Sequence[Estimate | None]:
        """Its points on the lines of `series`."""

    def lost(self, share: float, words: Words) -> str:
        return words(f"model.lost_{self.name}", points=f"{100 * share:.1f}", percent=percent(share))

    def forgotten(self, report: R, words: Words) -> Figures:
        """What was forgotten; less than nothing is a gain. A dash where it rests on too few rows."""
        forgetting, rows = forgotten(report)
        if report.forgetting is None:
            return [], []
        if forgetting is None:
            return [Fact(words("model.fact.forgotten"), "–", words("model.fact.forgotten_few", n=rows))], []
        share = round(forgetting, 3)
        label = words("model.fact.gained" if share < 0 else "model.fact.forgotten")
        fact = Fact(label, self.lost(abs(share), words), words("model.fact.forgotten_note"))
        return [fact], [words(f"measured.since_{self.name}", label=label)]

    @abstractmethod
    def bars(self, report: R | None) -> Bars: ...

    @abstractmethod
    def changed(self, report: R, words: Words) -> Changed: ...

    @abstractmethod
    def side(self, score: S | None) -> Side:
        """How good it was on trusted rows."""

    @abstractmethod
    def own_side(self, report: R) -> Side:
        """The same, and what was judged on rows of its own batch, which it had not learned."""

    @abstractmethod
    def worse(self, report: R) -> tuple[float, float] | None:
        """By how much it answers the trusted rows worse than the version that it was made from, row by row: the 95 %
        interval; less than nothing is a gain."""

    @abstractmethod
    def finding(self, rule: Rule, report: R, words: Words) -> Finding: ...

    @abstractmethod
    def gained(self, report: R, words: Words) -> str:
        """What a version knows now, and what became of what the one before knew."""

    @abstractmethod
    def doubtful(self, report: R, batch: str) -> int:
        """How many rows of the batch most likely carry a wrong label or target, as the page of the batch lists them."""

    def notes(self, report: R, words: Words) -> list[str]:
        """What its figures say, beside its notes."""
        return []

    @abstractmethod
    def holds(self, batch: Batch, words: Words) -> str:
        """What a batch says is right, in short."""

    @abstractmethod
    def doubt(self, row: D) -> Sequence[str]:
        """What stands in `doubts`."""

    @abstractmethod
    def suggested(self, row: D) -> str:
        """What a doubtful row most likely is, as one reads it, and as one types it where that may be taken."""

    @abstractmethod
    def right_of(self, row: BatchRow) -> tuple[str, str]:
        """What is right of a row, as one types it, and as one reads it; "" where it has neither."""

    @abstractmethod
    def read(self, typed: str) -> Any:
        """What was typed as right, as the API takes it."""

    @abstractmethod
    def answered(self, answer: A, target: T, words: Words) -> Answered: ...


def direction(worse: tuple[float, float] | None) -> str:
    """Which way a loss lies, by its interval."""
    if worse is None or worse[0] <= 0 <= worse[1]:
        return "same"
    return "worse" if worse[0] > 0 else "better"


AnyKind = Kind[Any, Any, Any, Any, Any]
