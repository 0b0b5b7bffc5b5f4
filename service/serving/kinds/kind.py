"""What serving needs of a kind of target: from what a head gives to answers, and from answers to JSON and tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

from torch import Tensor

from service.learning.data.matrices import Array, Floats
from service.learning.network.checkpoint import Checkpoint
from service.serving.kinds.output_tensors import OutputShape, OutputTensor
from service.serving.unusual import Marks


class PredictOptions(NamedTuple):
    """How rows are to be answered; None: not said.

    top: best classes to list a row. source: where the rows come from. level: share of rows to come whose value an
    interval is meant to hold. unlearned: whether values of the rows that were never learned are lacking.
    """

    top: int | None = None
    source: str | None = None
    level: float | None = None
    unlearned: bool = False


USUAL = PredictOptions()


class RowAnswers(Protocol):
    """What a version answers to n rows. `marks`: what is unusual of them, if anything is."""

    @property
    def values(self) -> Floats:
        """The numbers of the answers [n, columns]."""

    @property
    def marks(self) -> Marks | None: ...

    @property
    def finite(self) -> bool:
        """Whether the head gave nothing but numbers."""

    def part(self, start: int, stop: int, options: PredictOptions) -> Self:
        """The answers to the rows from `start` to `stop`, as these options ask."""

    def marked(self, marks: Marks) -> Self:
        """The same, with these marks."""

    def kept(self, options: PredictOptions) -> Self:
        """A copy that holds no more than these options ask, with the marks of one row in place of those of all."""

    def room(self, rows: int) -> Self:
        """Arrays like these for so many rows."""

    def put(self, part: Self, start: int, stop: int) -> Self:
        """Copies the answers to the rows from `start` to `stop` into these arrays."""

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self: ...


class Listing(NamedTuple):
    """The words of a refusal of too long an answer: what it lists, the field to change, and what to do."""

    noun: str
    pointer: str
    remedy: str


A = TypeVar("A", bound=RowAnswers)


class Kind(ABC, Generic[A]):
    """How a version whose targets are of this kind answers.

    names: of the columns of an answer, in their order; none where it knows nothing. order: the columns of the head in
    that order. last: what follows the matrix of the head. added_back: place of a column that is added to what the head
    gives, so that no row may lack it. outputs: tensors of the Open Inference Protocol that it
    gives. unlearned_lacks: whether a row whose value was never learned has no interval where a missing one has none.
    ignorance: what a version without columns says of itself.
    """

    names: Sequence[str]
    order: Sequence[int]
    last: Callable[[Tensor], Tensor] | None = None
    added_back: int | None = None
    outputs: Sequence[str]
    unlearned_lacks = False
    ignorance: str

    @classmethod
    @abstractmethod
    def of(cls, version: Checkpoint) -> Self:
        """How a version answers. Raises ValueError where its parts do not fit together."""

    @staticmethod
    @abstractmethod
    def shapes(target: Any, known: int, parts: Collection[str] | None) -> list[OutputShape]:
        """The outputs of a model, or of a version that is not loaded; see `outputs_of`."""

    @abstractmethod
    def answers(self, given: Tensor, inputs: Array, options: PredictOptions) -> A:
        """The answers to raw rows [n, ...], from what the last step gave [n, columns], as these options ask."""

    @abstractmethod
    def settled(self, options: PredictOptions, model: str, level: Callable[[], float]) -> PredictOptions:
        """The options with what they leave open. `level`: the model's own. Raises InvalidContent for an option of
        another kind."""

    @abstractmethod
    def scores(self, options: PredictOptions) -> int:
        """How many scores an answer lists of a row."""

    @abstractmethod
    def limited(self, scores: int) -> bool:
        """Whether an answer of so many scores a row may be refused because its rows are many."""

    @abstractmethod
    def listing(self) -> Listing:
        """How too long an answer is refused."""

    @abstractmethod
    def members(self, options: PredictOptions) -> str:
        """Members of the JSON before the predictions, each with a comma behind it."""

    @abstractmethod
    def rows(self, answers: A, options: PredictOptions) -> str:
        """The predictions as JSON, with commas between them."""

    # Of the Open Inference Protocol

    @abstractmethod
    def width(self, output: str) -> int:
        """Elements a row of an output that count as scores; 0 for an output that is always given."""

    @abstractmethod
    def for_outputs(self, columns: int, options: PredictOptions) -> PredictOptions:
        """The options of a request whose outputs come to so many scores a row."""

    @abstractmethod
    def listing_of_outputs(self, binary: bool) -> Listing:
        """How outputs that are too long are refused, as JSON or as bytes."""

    @abstractmethod
    def tensor(self, output: str, answers: A) -> OutputTensor: ...


AnyKind = Kind[Any]
