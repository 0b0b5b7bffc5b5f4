"""A checkpoint: everything that a version is, as named parts of tensors and a layout. It never changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from service.contract.inputs import Backbone, IdentityBackbone, InputSpec
from service.contract.strict import Listed, Strict, Unlimited
from service.learning.data.learned_values import LearnedValues
from service.learning.data.target_grid import NumberGrid
from service.learning.network.part_kinds import FROZEN, SERVED, kind_of

Tensors = Mapping[str, Tensor]

VALUES = "values"
"""The part of a version of tables that says which values of categories it has learned."""


def of_kinds(parts: Mapping[str, Tensors], kinds: Collection[str]) -> dict[str, Tensors]:
    return {part: tensors for part, tensors in parts.items() if kind_of(part) in kinds}


def source_head(place: int) -> str:
    """The part that holds the head of a source, by its place in the layout."""
    return f"head.source.{place}"


class BlockLayout(Strict):
    """The place of a block in a grown layer, and the part that holds its tensors (`key` + "weight", `key` + "bias")."""

    rows: tuple[int, int]
    columns: tuple[int, int]
    part: str
    key: str = ""


class InsertedLayout(Strict):
    """A layer inserted behind hidden layer `layer` of the backbone or the neck; see blocks.Inserted."""

    of: Literal["backbone", "neck"]
    layer: int
    rows: tuple[int, int]
    columns: tuple[int, int]
    part: str
    key: str = ""


class LowRankLayout(Strict):
    """A branch beside the layer of the backbone that is named `at`; see low_rank.LowRank."""

    at: str
    scale: float
    part: str
    key: str = ""


class LiftLayout(Strict):
    """A fixed, random map in front of the exact head; weights in part `lift.<n>`."""

    kind: Literal["none", "relu", "sparse", "fourier", "conv"]
    width: int = Field(description="Features it gives.")


class ExactHead(Strict):
    """How a closed-form head was solved; None in a layout whose head was trained."""

    method: Literal["ridge", "lda", "both"] = Field(description="both: ridge and the discriminants beside it.")
    left_out: Any = Field(default=None, exclude=True, description="What stored layouts may have; nothing reads it.")
    alpha: float | None
    prior: float
    log_share: float = Field(
        default=0.0, description="What a class's score gains by the logarithm of its share of the rows."
    )
    lift_rows: int = Field(description="Rows there were when the lift was chosen; it is chosen anew when they doubled.")
    lift_named: bool = False
    lift_ahead: bool = Field(
        default=False,
        description="All other lifts were far behind when it was chosen: it stays when rows have doubled once.",
    )
    kept_columns: int = Field(default=0, description="First columns that an earlier version solved, kept as they were.")
    decay: float = Field(default=1.0, description="What a batch counts less with every later one; 1: all alike.")
    source_weights: dict[str, float] = Field(default={}, description="What a source counts, by name.")
    reach: Listed[tuple[float, float]] = Field(
        default=[], description="Least and largest answer of each number, in units of its grid; none: no end."
    )


class Layout(Strict):
    """scale -> backbone -> lifts -> neck -> head; the shapes, not the weights."""

    input: InputSpec
    backbone: Backbone = IdentityBackbone()
    layers: Listed[Listed[BlockLayout]] = Field(
        default=[], description="Layers of an mlp backbone, or of a cnn that has grown, by blocks."
    )
    inserted: Listed[InsertedLayout] = Field(default=[], description="Layers put in behind others, in order.")
    low_rank: Listed[LowRankLayout] = Field(default=[], description="Branches beside layers of the backbone, in order.")
    lifts: Listed[LiftLayout] = Field(default=[], description="Side by side; none: the backbone's own features.")
    shift: int | None = Field(default=None, description="Grid of the features: rounded to 2^-shift; null: no ledger.")
    neck: Listed[Listed[BlockLayout]] = Field(default=[], description="Hidden layers of a trained head.")
    head: Listed[BlockLayout] = Field(default=[], description="One block an update that grew it, or one of all.")
    classes: Listed[str]
    sources: Listed[str] = Field(
        default=[], description="Those with a head of their own: part head.source.<place here>."
    )
    stamps: Any = Field(default=None, exclude=True, description="What stored layouts may have; nothing reads it.")
    numbers: NumberGrid | None = Field(default=None, description="Of a model whose targets are numbers: their grid.")
    temperature: float = 1.0
    exact: ExactHead | None = None
    trained: bool = Field(default=False, description="The backbone was trained here (not identity, not random).")
    imported: Listed[str] = Field(
        default=[], description="Classes that came with weights from elsewhere, without rows."
    )

    @property
    def kind(self) -> str:
        """The name of the kind of target that it predicts, as `contract.targets` has it."""
        return "class" if self.numbers is None else "number"

    @property
    def outputs(self) -> tuple[str, ...]:
        """What the columns of the head stand for, in order: classes, or the numbers of a row once any were learned."""
        if self.numbers is None:
            return tuple(self.classes)
        return tuple(self.numbers.names) if self.head else ()

    @property
    def limbs(self) -> int:
        """Columns of a ledger entry, behind the features, that hold what is learned of targets: none of classes."""
        return 2 * self.numbers.size if self.numbers is not None else 0

    def within_reach(self, answers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Answers of its head, in units: none goes beyond its reach. [n, k]"""
        if self.exact is None or not self.exact.reach:
            return answers
        return np.asarray(np.clip(answers, *np.array(self.exact.reach).T))


LAYOUT: Unlimited[Layout] = Unlimited(Layout)
"""Reads a stored layout."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A version as data. `parts`: tensors by part · `learned`: by part, the batches that had a hand in it.

    Parts: `scale` · `values`, codes of the learned values of categories · `backbone.<n>` · `lift.<n>` · `neck.<n>` ·
    `head.<n>` · `head.source.<n>` · `interval` · `judge`, the exact head that never saw the judging folds (weight
    [C, M], bias [C]), `judge.source.<n>` · `state.<method>`.
    """

    layout: Layout
    parts: Mapping[str, Tensors]
    learned: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Columns, in order: the only place that says which output is which class."""
        return tuple(self.layout.classes)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Columns, in order, whatever they stand for; none where nothing is known."""
        return self.layout.outputs

    @property
    def parameters(self) -> int:
        """Numbers stored in what answers; bytes (a tokenizer) and intervals do not count."""
        answering = of_kinds(self.parts, SERVED - {"interval", "values"})
        return sum(t.numel() for ts in answering.values() for t in ts.values() if t.dtype != torch.uint8)

    def served(self) -> dict[str, Tensors]:
        return of_kinds(self.parts, SERVED)

    def frozen(self) -> dict[str, Tensors]:
        return of_kinds(self.parts, FROZEN)

    def source_heads(self) -> list[Tensors]:
        """The heads that sources have of their own, in the layout's order."""
        return [self.parts[source_head(k)] for k in range(len(self.layout.sources))]

    def learned_values(self) -> LearnedValues:
        """The values of categories that it has learned; none where its inputs are no tables."""
        return LearnedValues.load({place: codes.numpy() for place, codes in self.parts.get(VALUES, {}).items()})

    def with_values(self, values: LearnedValues, batches: Collection[str]) -> Checkpoint:
        part = {place: torch.from_numpy(codes) for place, codes in values.arrays().items()}
        learned = {**self.learned, VALUES: frozenset(batches)}
        return replace(self, parts={**self.parts, VALUES: part}, learned=learned)
