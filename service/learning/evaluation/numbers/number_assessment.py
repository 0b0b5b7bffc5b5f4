"""What an update of a number model is judged by: answers of base and candidate, and what the lineage remembers.

Answers, goals and errors are in units of the grid (`NumberGrid`) unless something else is said; [n, k] stands for n
rows of k numbers.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from service.contract.number_policy import NumberPolicy
from service.learning.data.rows import Floats, lookup
from service.learning.data.target_grid import NumberGrid
from service.learning.evaluation.assessment import Assessment
from service.learning.evaluation.numbers.batch.figures import Figures


@dataclass(frozen=True, eq=False)
class ErrorSums:
    """What usual errors are solved from: sums over all rows of each tested batch, |error| in units.

    space: id of the feature space · rows [b] · features [b, M]: of rounded features · errors [b, k] · products
    [b, M, k]: of rounded feature times |error|.
    """

    space: str
    rows: Floats
    features: Floats
    errors: Floats
    products: Floats

    def take(self, batches: NDArray[np.bool_]) -> ErrorSums:
        columns = self.rows[batches], self.features[batches], self.errors[batches], self.products[batches]
        return ErrorSums(self.space, *columns)


@dataclass(frozen=True, eq=False)
class Tested:
    """What one promoted version remembers, to be looked back on.

    batches: those that its update brought · batch [n] indexes them, row [n]: at most 1,000 rows of each, by hash ·
    value [n, k]: what the version before answered, before it learned the row · error [n, k]: goal - value · ratio
    [n, k]: |error| over the usual error of such a row, NaN where that was not known · figures: for each of the k
    numbers, what later batches are compared with · trusted_batches, trusted_batch [m], trusted_row [m], trusted_error
    [m, k]: |error| of this version on its trusted rows, by the head that never saw them.

    target [n, k]: as sent · missed [n, k]: how many of the levels 0.01 to 0.99 had an interval that missed it, 255
    where there was none · mean [b, k]: mean target of each batch, whether it was tested or not · yardsticks [n, k]: by
    name, what they answer, as targets · sums: None where no batch was tested · novel [n]: rows with a value of a
    category that the version before had not learned; None: no row.
    """

    __test__ = False

    batches: tuple[str, ...]
    batch: NDArray[np.int32]
    row: NDArray[np.int32]
    value: Floats
    error: Floats
    ratio: Floats
    figures: tuple[Figures, ...]
    trusted_batches: tuple[str, ...]
    trusted_batch: NDArray[np.int32]
    trusted_row: NDArray[np.int32]
    trusted_error: Floats
    target: Floats = field(default_factory=lambda: np.zeros((0, 1)))
    missed: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 1), np.uint8))
    mean: Floats = field(default_factory=lambda: np.zeros((0, 1)))
    yardsticks: Mapping[str, Floats] = field(default_factory=dict)
    sums: ErrorSums | None = None
    novel: NDArray[np.bool_] | None = None

    @property
    def familiar(self) -> NDArray[np.bool_]:
        """Rows without such values: what was usual. [n]"""
        return np.ones(len(self.error), bool) if self.novel is None else ~self.novel

    def of(self, learned: Collection[str], own: Collection[str] | None = None) -> Tested:
        """Leaves out what came of batches that are not among `learned`: those that were taken back. own: the batches
        of the update that stay, by default all that are learned."""
        rows, batches, kept = _kept(self.batch, self.batches, learned if own is None else own)
        trusted, trusted_batches, _ = _kept(self.trusted_batch, self.trusted_batches, learned)
        if len(batches) == len(self.batches) and len(trusted_batches) == len(self.trusted_batches):
            return self
        of_rows = {name: getattr(self, name)[rows] for name in OF_ROWS}
        return replace(
            self,
            **of_rows,
            batches=batches,
            batch=_recoded(self.batch[rows], self.batches, batches),
            figures=self.figures if len(batches) == len(self.batches) else tuple(Figures() for _ in self.figures),
            trusted_batches=trusted_batches,
            trusted_batch=_recoded(self.trusted_batch[trusted], self.trusted_batches, trusted_batches),
            trusted_row=self.trusted_row[trusted],
            trusted_error=self.trusted_error[trusted],
            mean=self.mean[kept],
            yardsticks={name: values[rows] for name, values in self.yardsticks.items()},
            sums=self.sums and self.sums.take(kept),
            novel=None if self.novel is None else self.novel[rows],
        )

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Plain arrays, for a safetensors shard; names travel as the bytes of a JSON text."""
        names = [self.batches, self.trusted_batches, [figures.stored() for figures in self.figures], [*self.yardsticks]]
        named = json.dumps([*names, self.sums.space if self.sums else None], ensure_ascii=False).encode()
        arrays: dict[str, NDArray[np.generic]] = {name: getattr(self, name) for name in ARRAYS}
        arrays |= {f"yardstick.{k}": values for k, values in enumerate(self.yardsticks.values())}
        if self.sums is not None:
            arrays |= {f"sums.{name}": getattr(self.sums, name) for name in SUMS}
        if self.novel is not None:
            arrays["novel"] = self.novel
        return arrays | {"names": np.frombuffer(named, np.uint8).copy()}

    @staticmethod
    def load(arrays: Mapping[str, ArrayLike]) -> Tested:
        """Reverses `arrays`; takes torch tensors too."""
        batches, trusted_batches, figures, yardsticks, space = json.loads(np.asarray(arrays["names"]).tobytes())
        plain = {name: np.asarray(arrays[name]) for name in ARRAYS}
        return Tested(
            batches=tuple(batches),
            trusted_batches=tuple(trusted_batches),
            figures=tuple(map(Figures.load, figures)),
            yardsticks={name: np.asarray(arrays[f"yardstick.{k}"]) for k, name in enumerate(yardsticks)},
            sums=ErrorSums(space, *(np.asarray(arrays[f"sums.{name}"]) for name in SUMS)) if space else None,
            novel=np.asarray(arrays["novel"]) if "novel" in arrays else None,
            **plain,
        )


OF_ROWS = ("row", "value", "error", "ratio", "target", "missed")
ARRAYS = ("batch", *OF_ROWS, "mean", "trusted_batch", "trusted_row", "trusted_error")
SUMS = ("rows", "features", "errors", "products")


def _kept(
    codes: NDArray[np.int32], batches: tuple[str, ...], learned: Collection[str]
) -> tuple[NDArray[np.bool_], tuple[str, ...], NDArray[np.bool_]]:
    """Rows of batches that are still learned [n], these batches, and which of all they are [b]."""
    kept = np.array([batch in learned for batch in batches], bool)
    return kept[codes] if len(codes) else np.zeros(0, bool), tuple(b for b in batches if b in learned), kept


def _recoded(codes: NDArray[np.int32], before: tuple[str, ...], after: tuple[str, ...]) -> NDArray[np.int32]:
    return lookup(before, after).astype(np.int32)[codes]


Past = Sequence[tuple[int, Tested]]
"""What a lineage remembers, newest last: the number of each version and its memory."""


def still_learned(past: Past, learned: Collection[str]) -> Past:
    """Leaves out what came of batches that are not among `learned`. A batch that was learned again, as after a
    rollback, is remembered as it was last."""
    left, kept = set(learned), list[tuple[int, Tested]]()
    for number, tested in reversed(past):
        kept.append((number, tested.of(learned, left)))
        left -= set(tested.batches)
    return kept[::-1]


@dataclass(frozen=True, eq=False, kw_only=True)
class NumberAssessment(Assessment[NumberPolicy, Floats, Past]):
    """All that the gate and the report of a number model are made of. Trusted rows are at most 2,000 a source; each row
    of the batch stands once. Answers are [m, k] and [n, k]; NaN where no head is left that never saw the row.

    trusted_goals [m, k], batch_goals [n, k] · usual [n, k]: the error that the base usually makes on a row like that,
    None where too few rows were tested · alone [n, k]: out-of-fold answers of a head of this batch alone (`own_head`) ·
    novel [n]: rows of B with a value of a category that the base has not learned; None: no row · stopped: figures of
    the batches in a row that were stopped since the base came, oldest first, for each number · intervals: the base's,
    None where it has none · known: rows that the base has learned, fewer where older batches count less · fades: in
    base and candidate older batches count less · new_source: that of all rows of B, where the base has learned none of
    it.
    """

    past: Past = ()
    grid: NumberGrid
    trusted_goals: Floats
    batch_goals: Floats
    usual: Floats | None = None
    alone: Floats | None = None
    novel: NDArray[np.bool_] | None = None
    stopped: Sequence[Sequence[Figures]] = ()
    intervals: Mapping[str, Floats] | None = None
    known: int = 0
    fades: bool = False
    new_source: str = ""
