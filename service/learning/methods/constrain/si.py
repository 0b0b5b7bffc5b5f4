"""Synaptic intelligence: weights that brought the loss down on their way are held stiffly, at no extra pass.

The loss is CE + strength x sum of Omega (theta - theta*)^2 with Omega = max(0, w) / (Delta^2 + damping) (Zenke, Poole,
Ganguli, 2017, eq. 3-5). A weight is credited with w = -sum over steps of g d, where g is its gradient, d the
optimiser's step, and Delta how far it came in all.

What is different here: rows of two or more new classes are scored over the new columns alone, unless `masked` is
false. The pull is a proximal step after the optimiser's, so it never leaks into g or d. A weight that
made the loss worse is held by 0, never pushed away. Omega is brought to mean 1 and joined over updates by their rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor

from service.contract.enums import Family
from service.learning.method import Learned, Method
from service.learning.methods.constrain.anchored import Anchor, PulledParams, choose, objective
from service.learning.methods.constrain.importance import Importance, as_state, held_by, trained
from service.learning.methods.constrain.strength_trials import Prepared, Pulled
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.fit import Hooks
from service.learning.training.learner import Learner
from service.learning.update_data import Data

STATE = "state.si"


class Params(PulledParams):
    """What every gradient method takes, the strength in units of the mean importance, and the damping."""

    damping: float = Field(
        0.1, gt=0, le=1e6, description="Added to the squared distance of a weight: importances stay finite."
    )


class Path:
    """What each weight of a learner is credited with along a training."""

    def __init__(self, learner: Learner) -> None:
        self.weights = dict(trained(learner.body))
        self.start = {name: p.detach().clone() for name, p in self.weights.items()}
        self.credit: dict[str, Tensor] = {}
        self.begin()
        self._before: list[Tensor] = []
        self._gradients: list[Tensor] = []

    def begin(self) -> None:
        """Takes all credit back, before the first step and where a training begins anew."""
        self.credit = {name: torch.zeros_like(p, requires_grad=False) for name, p in self.weights.items()}

    @torch.no_grad()
    def before_step(self) -> None:
        """Copies gradients and weights once they are there, since a view would move with them."""
        self._before = [p.detach().clone() for p in self.weights.values()]
        self._gradients = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in self.weights.values()]

    @torch.no_grad()
    def after_step(self) -> None:
        """Credits weights, w -= g d, after the optimiser's step and before any pull."""
        moved = torch._foreach_sub(list(self.weights.values()), self._before)
        torch._foreach_addcmul_(list(self.credit.values()), self._gradients, list(moved), -1.0)

    def kept(self) -> list[Tensor]:
        return list(self.credit.values())

    @property
    def total(self) -> float:
        """How far the path brought the loss down, to first order."""
        return sum(float(w.cpu().double().sum()) for w in self.credit.values())

    @property
    def against(self) -> float:
        """Share of all credit that is negative."""
        size = sum(float(w.cpu().double().abs().sum()) for w in self.credit.values())
        return sum(float(-w.cpu().double().clamp(max=0).sum()) for w in self.credit.values()) / size if size else 0.0

    def importance(self, damping: float) -> dict[str, Tensor]:
        """max(0, w) / ((theta - theta*)^2 + damping), by parameter."""
        return {
            name: (w.cpu().clamp(min=0) / ((self.weights[name].detach().cpu() - self.start[name]) ** 2 + damping))
            for name, w in self.credit.items()
        }


@dataclass(frozen=True, eq=False)
class PulledAlongPath(Pulled):
    """A learner that was trained under a pull, and its path."""

    path: Path


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Cross-entropy on the batch's learning rows along a recorded path; after each step shared weights go back."""
    if base is None:
        return _finish(prepare(base, data, params, run).at(0.0, params, run), None, params, {})
    chosen = choose(prepare, base, data, params, run)
    return _finish(chosen.best, chosen.importance, params, chosen.best.report(chosen.points))


def prepare(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Prepared[PulledAlongPath]:
    """What is trained along a path, and what holds its weights."""
    start = Learner.start(base, data, run, unfreeze=params.unfreeze)
    held = None if base is None else held_by(start, STATE, "what earlier paths left", _not_measured)
    anchor = Anchor.of(start, held.importance if held is not None else None)

    def train(strength: float, params: Params, run: Run) -> PulledAlongPath:
        learner = Learner.start(base, data, run, unfreeze=params.unfreeze)
        pull, path = anchor.pull(learner, strength), Path(learner)

        def after_step(lr: float) -> None:
            path.after_step()
            pull.step(lr)

        hooks = Hooks(objective(learner, params), path.begin, path.before_step, after_step, path.kept)
        learner.fit(params, hooks=hooks)
        return PulledAlongPath(learner, pull, path)

    return Prepared(start, train, held)


def _not_measured(start: Learner) -> tuple[None, str]:
    """Why nothing is known of a base's weights: without its path nothing can be measured."""
    if start.aim.trivial:
        return None, (
            "The base knows one class, so the loss did not fall along its path, and no weight is credited with "
            "anything. All are held alike, as l2_sp does; from this update on the path is remembered."
        )
    return None, (
        "The base was not made by si, so the path of its training is not known. Its weights are held alike, as l2_sp "
        "does; from this update on the path is remembered. ewc and mas can measure such a base."
    )


def _finish(best: PulledAlongPath, held: Importance | None, params: Params, report: dict[str, object]) -> Learned:
    """Stores the importance of the new path for the next update, joined with what was held."""
    learner, path = best.learner, best.path
    new = Importance.normalised(path.importance(params.damping), float(len(learner.data.batch)))
    if learner.batch.rows and (new is None or path.total <= 0):
        learner.notes.append(
            "The loss did not fall along the path, so what the weights are credited with says little: lower lr, or "
            "take ewc or mas, which do not depend on the path."
        )
    state = as_state(STATE, new.joined(held) if new is not None else held, learner)
    return learner.finish(report | {"path": {"sum": path.total, "against": path.against}}, state=state)


def refuse(base: Checkpoint | None, data: Data) -> str | None:
    """Refuses an imported version, which has no path at all."""
    if base is None or STATE in base.parts or any(base.learned.values()):
        return None
    return (
        "si needs the path of the training that made the version, and an imported one has none. Use mas, which "
        "measures the weights on any rows, or l2_sp."
    )


METHOD = Method(
    name="si",
    family=Family.CONSTRAIN,
    summary="Holds each weight by how much it brought the loss down while it was learned; costs no extra pass.",
    paper="Zenke, Poole, Ganguli: Continual learning through synaptic intelligence, 2017, eq. 3-5",
    Params=Params,
    update=update,
    needs=frozenset({"path"}),
    good_when="Known classes in a new region or style, on a network that si trained from its first version on.",
    limits="It depends on the optimiser's path, and the report notes when the loss did not fall along it; a base that "
    "another method made has no path, and the report says what was done instead. Imported versions are refused.",
    refuse=refuse,
)
