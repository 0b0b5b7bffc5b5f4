"""The report of an update of a model whose targets are numbers. Errors are in the targets' own unit."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from pydantic import ConfigDict, Field

from service.contract.enums import Expect
from service.contract.reports.facts import (
    PARTS,
    STOPPED_ALONE,
    TAKEN_BACK,
    BatchPart,
    Certificate,
    Cost,
    Fact,
    GateReport,
    NewValues,
)

OF_ALL_ROWS = (1, 2, 13)
"""Rules that say what is wrong with a batch as a whole: no few rows are why it was stopped."""

FEW_ROWS = 10
"""So many rows far out may be why an update was stopped."""

MOST_OUTLIERS = 100
"""Targets far out that a report lists."""


class SourceError(Fact):
    mae: float
    rows: int


class Region(Fact):
    """A fifth of the rows, by the value that the live version gave them."""

    from_: float = Field(serialization_alias="from", validation_alias="from")
    to: float
    mae: float
    rows: int

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)


class NumberError(Fact):
    """The mean absolute error of one of several numbers, in its own unit."""

    name: str
    mae: float


class Errors(Fact):
    """Errors on rows that were not learned; with several numbers a row, means over them. null: not known."""

    brief: ClassVar = ("mae", "rmse", "r2", "bias", "coverage", "rows")

    mae: float = Field(description="Mean absolute error.")
    rmse: float
    r2: float | None = Field(description="Share of the targets' variance that is explained; null where there is none.")
    median_error: float
    bias: float = Field(description="Mean of value - target.")
    coverage: float | None = Field(default=None, description="Share of targets within their interval.")
    width: float | None = Field(default=None, description="Mean width of the intervals.")
    rows: int
    sources: dict[str, SourceError] = Field(default={})
    numbers: list[NumberError] = Field(default=[], description="Of each of several numbers a row; else empty.")
    regions: list[Region] = Field(default=[])


class TestedErrors(Fact):
    """Errors really made on the last batches, each by the version that was live before it learned them."""

    brief: ClassVar = ("mae", "rmse", "rows")

    __test__ = False

    mae: float
    rmse: float
    r2: float | None
    coverage: float | None
    level: float | None = Field(default=None, description="The share of targets that intervals are made to hold.")
    rows: int
    batches: int
    numbers: list[NumberError] = Field(default=[], description="Of each of several numbers a row; else empty.")


class YardstickError(Fact):
    mae: float
    rmse: float


class OutlierRow(Fact):
    """A row whose target is far beyond any usual error. `value`: what was expected by a version, or by a head, that had
    not learned the row."""

    batch: str
    row: int
    name: str | None = Field(default=None, description="Which number it is, where a row has several.")
    target: float
    value: float
    error: float


class BatchErrors(Fact):
    """What the batch looks like beside the last promoted ones; ratios to the usual, 1 for as usual."""

    mean: float | None = Field(description="Mean error over the usual one.")
    median: float | None = Field(description="Median error over the usual one.")
    order: float | None = Field(description="Rank correlation of value and target.")
    own_order: float | None = Field(description="The same of a head of this batch alone, out of fold.")
    bias: float | None = Field(description="Mean of target - value, in usual errors.")


class NumberBatch(Fact):
    """What the batch itself says."""

    errors: BatchErrors | None = Field(default=None, description="Null for a first version.")
    parts: list[BatchPart] = Field(default=[], description=PARTS)
    stopped_alone: list[str] = Field(default=[], description=STOPPED_ALONE)
    outliers: list[OutlierRow] = Field(
        default=[],
        description="At most 100 targets, the farthest first; of several numbers a row may have more than one.",
    )
    factor: str | None = Field(default=None, description="The repair that would make all targets fit.")
    unlabelled: int = Field(default=0, description="Rows that came without a target.")
    taken_back_at: datetime | None = Field(default=None, description=TAKEN_BACK)
    near_trusted: int = Field(default=0, description="Rows that are nearly the same as a trusted row.")
    follows: int = Field(
        default=0, description="Stopped batches in a row that it is like: it passes since the stream has moved."
    )
    figures: list[dict[str, float]] = Field(
        default=[], description="Of each number of a row: what later batches are compared with."
    )
    new_values: NewValues = Field(
        default={}, description="By column of a table, at most 100 of each. Empty for a first version."
    )
    notes: list[str] = Field(default=[])

    @property
    def far_rows(self) -> list[OutlierRow]:
        """The rows of `outliers`, each once: of its numbers the farthest."""
        rows = dict[tuple[str, int], OutlierRow]()
        for row in self.outliers:
            rows.setdefault((row.batch, row.row), row)
        return [*rows.values()]


class NumberReport(Fact):
    """What an update of a number model measured. Trusted rows are at most 2,000 a source; members of reports on classes
    are null."""

    brief: ClassVar = ("gate", "tested", "before", "after", "skill", "notes")
    kind: ClassVar = "number"

    tested: TestedErrors | None = Field(description="The honest number: rows of batches to come, as they came.")
    skill: float | None = Field(description="1 - mean error / that of the model's yardstick, on tested rows.")
    before: Errors | None
    after: Errors | None
    yardsticks: dict[str, YardstickError] = Field(
        default={},
        description="By name: mean, last, column and ridge, on tested rows; of a first version the mean of "
        "its targets, on rows of its own.",
    )
    rise: float | None = Field(description="Of the mean error on trusted rows, relative.")
    rise_interval: tuple[float, float] | None = Field(default=None, description="Bootstrap by row, 95 %.")
    worst_region: Region | None = None
    forgetting: float | None = Field(
        default=None, description="Mean over regions and sources of error now / the least in the lineage, minus 1."
    )
    batch: NumberBatch
    cost: Cost
    gate: GateReport
    exact: bool
    certificate: Certificate | None = None
    method: dict[str, Any] = Field(default={})
    notes: list[str] = Field(default=[])
    old_classes: None = None
    new_classes: None = None
    interference: None = None
    worst_class: None = None
    negative_flips: None = None
    positive_flips: None = None
    yardstick: None = None
    older: None = None
    learning_curve: None = None

    @property
    def may_be_meant(self) -> bool:
        """Whether what decided is so, too, where targets move on purpose."""
        return self.gate.deciding is not None and self.gate.deciding.expect is Expect.MOVE

    @property
    def figures(self) -> dict[str, float]:
        """What versions are compared by, by name: the mean error, or that of each of several numbers."""
        return _errors(self.after) if self.after else {}

    @property
    def on_same_rows(self) -> tuple[dict[str, float], dict[str, float]] | None:
        """`figures` of the version that it was made from and of this one, on the same trusted rows; None where nothing
        was judged before."""
        return (_errors(self.before), _errors(self.after)) if self.before and self.after else None

    @property
    def judged_rows(self) -> str:
        """How many rows of which kind `figures` are of."""
        return "–" if self.after is None else f"{self.after.rows:,} {'trusted' if self.before else 'of its own'}"

    @property
    def few_far_out(self) -> bool:
        """Whether few rows are far out and may be why an update was stopped: no rule says that all of a batch is
        wrong."""
        stopped = any(rule.severity and rule.number in OF_ALL_ROWS for rule in self.gate.rules)
        return 0 < len(self.batch.far_rows) <= FEW_ROWS and not stopped

    @property
    def batches_far_out(self) -> set[str]:
        """Batches with targets far out."""
        return {row.batch for row in self.batch.outliers}

    @property
    def yardstick_mae(self) -> float | None:
        """Mean error of the model's yardstick on tested rows; None where it is not known, and of several numbers a row,
        whose skill is a mean."""
        if self.tested is None or self.tested.numbers or self.skill is None or self.skill >= 1:
            return None
        return self.tested.mae / (1 - self.skill)

    @property
    def beside(self) -> tuple[str, float] | None:
        """What its error stands beside, by name, and the mean error of that: the model's yardstick on tested rows; of a
        first version the mean of its targets. None where neither is known, and of several numbers a row."""
        if self.tested is None:
            mean = self.yardsticks.get("mean")
            known = mean is not None and self.before is None and self.after is not None and not self.after.numbers
            return ("mean", mean.mae) if known and mean is not None else None
        if (error := self.yardstick_mae) is None:
            return None
        names = [name for name in self.yardsticks if name in ("mean", "last", "column")]
        name = min(names, key=lambda each: abs(self.yardsticks[each].mae - error), default=None)
        return None if name is None else (name, error)


def _errors(of: Errors) -> dict[str, float]:
    return {f"mean error, {number.name}": number.mae for number in of.numbers} or {"mean error": of.mae}
