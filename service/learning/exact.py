"""Learning by closed form: add the update's rounded features to the ledger, and solve.

Three kinds of heads come out of one set of sums: the one that is *served* knows every row, the one that is *judged*
knows folds 2-9, and five others answer the update's own rows, each without its group of folds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor

from service.contract.inputs import Strict
from service.learning.batch import Rows
from service.learning.calibration import ENOUGH_ROWS, temperature_of
from service.learning.checkpoint import BlockLayout, Checkpoint, ExactHead
from service.learning.features import rounded
from service.learning.ground import Ground
from service.learning.ledger import Ledger
from service.learning.lift_choice import Fitted, Solver
from service.learning.lifts import LiftKind
from service.learning.method import Data, Learned, Run
from service.learning.solve import Head, out_of_fold
from service.learning.sums import Floats, Sums


class ExactParams(Strict):
    """What every closed form takes. Everything has a default that looks at the data."""

    lift: Literal["auto"] | LiftKind | Annotated[list[LiftKind], Field(min_length=1, max_length=4)] = Field(
        default="auto",
        description="Map in front of the head: none, relu or fourier (random features), conv (random convolutions, for "
        "images), or a list of those side by side. auto: by rows kept back for choosing, and again when rows have "
        "doubled. A named lift makes the head a function of the rows alone, whatever their order.",
    )
    width: int | None = Field(
        default=None,
        ge=1,
        le=8192,
        description="Features of a named lift; by default 1,000, for conv 64 filters (small images 32). auto takes "
        "2,000 once there are more than 14,000 rows.",
    )
    prior: Literal["uniform", "counted"] | Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.25,
        description="How much a class's rows count for its prior: their number to this power; uniform 0, counted 1.",
    )

    @field_validator("lift")
    @classmethod
    def _each_once(cls, lift: str | list[LiftKind]) -> str | list[LiftKind]:
        if isinstance(lift, list) and len(set(lift)) < len(lift):
            raise ValueError("a lift is named once")
        return lift

    @property
    def kinds(self) -> list[LiftKind] | None:
        """Lifts asked for by name; null: auto."""
        if self.lift == "auto":
            return None
        return self.lift if isinstance(self.lift, list) else [self.lift]

    @property
    def tau(self) -> float:
        """The prior as a power of the counts."""
        return {"uniform": 0.0, "counted": 1.0}[self.prior] if isinstance(self.prior, str) else self.prior


@dataclass(frozen=True, eq=False)
class Form:
    """A solver and what the layout tells of it."""

    method: Literal["ridge", "lda"]
    prior: float
    solver: Solver


def learn_exactly(base: Checkpoint | None, data: Data, ground: Ground, form: Form, run: Run) -> Learned:
    """The version that a closed form makes on `ground`.

    An empty batch solves the ledger anew: what is left after a retraction. Classes that have no rows any more leave.
    """
    entry = data.entry(ground.space)
    run.check()
    ledger = data.grown(ground.space)
    solved = _solve(base, data, ledger, entry, ground, form, run)
    classes, width = solved.served.classes, ground.space.width
    layout = ground.layout.model_copy(
        update={
            "neck": [],
            "head": [BlockLayout(rows=(0, len(classes)), columns=(0, width), part="head.0")] if classes else [],
            "classes": list(classes),
            "temperature": solved.temperature,
            "exact": ExactHead(
                method=form.method,
                alpha=solved.fitted.alpha,
                prior=form.prior,
                lift_rows=ground.lift_rows,
                lift_named=ground.lift_named,
            ),
        }
    )
    learned = _learned(base, data)
    return Learned(
        Checkpoint(
            layout,
            {**ground.parts, "head.0": _tensors(solved.served), "judge": _tensors(solved.judged)},
            {**ground.learned, "head.0": learned, "judge": learned},
        ),
        out_of_fold=solved.out_of_fold,
        details={**ground.details, **_details(ground, solved)},
        notes=(*ground.notes, solved.doubt) if solved.doubt else ground.notes,
        multiply_adds=_multiply_adds(ground, entry, solved),
    )


@dataclass(frozen=True, eq=False)
class Solved:
    """All that comes out of the sums. `fitted`: the head of folds 3-9 and the strength that was chosen with it."""

    fitted: Fitted
    served: Head
    judged: Head
    out_of_fold: Floats
    temperature: float
    doubt: str | None


def _solve(
    base: Checkpoint | None, data: Data, ledger: Ledger, entry: Rows, ground: Ground, form: Form, run: Run
) -> Solved:
    classes, shift = _classes(base, ledger, entry), ledger.shift
    run.progress("solving", 0, 3)
    fitted = form.solver.fit(ledger.learn, ledger.select, shift, run.check)

    def solve(sums: Sums) -> Head:
        return form.solver.solve(sums, shift, fitted.alpha).aligned(classes)

    run.progress("solving", 1, 3)
    served, judged = solve(ledger.all), solve(ledger.unjudged)
    run.check()
    run.progress("solving", 2, 3)
    own = out_of_fold(ledger.all, entry, shift, classes, solve, run.check)
    rows, answers, inherited = entry, own, _inherited(base, form)
    if not len(entry):
        # what is left after a retraction inherits nothing: the rows that left may have decided it
        inherited = None
        if len(ledger.selected) < ENOUGH_ROWS:
            kept = data.kept()
            rows = kept.with_inputs(rounded(ground.space, kept.inputs, run.check))
            answers = out_of_fold(ledger.all, rows, shift, classes, solve, run.check)
    temperature, doubt = temperature_of(ledger, fitted.head, rows, answers, classes, inherited)
    run.progress("solving", 3, 3)
    return Solved(fitted, served, judged, own, temperature, doubt)


def _inherited(base: Checkpoint | None, form: Form) -> float | None:
    """The base's temperature, where its scores are of the same kind."""
    exact = base.layout.exact if base is not None else None
    return base.layout.temperature if base is not None and exact is not None and exact.method == form.method else None


def _classes(base: Checkpoint | None, ledger: Ledger, entry: Rows) -> tuple[str, ...]:
    """Columns: the base's in their order, then new classes as they first appear in the update."""
    there = frozenset(ledger.all.classes)
    named = (*(base.classes if base else ()), *entry.present(), *ledger.all.classes)
    return tuple(name for name in dict.fromkeys(named) if name in there)


def _learned(base: Checkpoint | None, data: Data) -> frozenset[str]:
    """Batches behind the sums. Without new rows the base may know batches that were taken out: ask what is kept."""
    if not len(data.batch):
        return frozenset(data.kept().batches)
    known = frozenset[str]().union(*base.learned.values()) if base is not None else frozenset[str]()
    return known | frozenset(data.batch.batches)


def _tensors(head: Head) -> dict[str, Tensor]:
    return {
        "weight": torch.from_numpy(np.ascontiguousarray(head.weight, np.float32)),
        "bias": torch.from_numpy(head.bias.astype(np.float32)),
    }


def _details(ground: Ground, solved: Solved) -> dict[str, object]:
    return {
        "lift": [lift.kind for lift in ground.layout.lifts] or ["none"],
        "features": ground.space.width,
        "grid": ground.space.step,
        "alpha": solved.fitted.alpha,
        "alphas_tried": {f"{alpha:g}": score for alpha, score in solved.fitted.tried.items()},
        "temperature": solved.temperature,
    }


def _multiply_adds(ground: Ground, entry: Rows, solved: Solved) -> int:
    """Features of the new rows, their sums (once by fold and once a group), and a Cholesky of M^3 / 6 a head."""
    width, groups = ground.space.width, len(np.unique(entry.folds // 2))
    heads = max(len(solved.fitted.tried), 1) + 2 + groups
    sums = 2 * len(entry) * (width + 1) ** 2
    solving = heads * (width**3 // 6 + width**2 * len(solved.served.classes))
    return len(entry) * ground.space.multiply_adds + sums + solving
