"""The method that a step uses: requested by name, or taken from the table of `auto`, which may name a challenger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from service.learning.auto import auto
from service.learning.auto.choice import AutoParams, Surroundings
from service.learning.method import Method
from service.learning.method_params import MethodParams
from service.learning.methods import AUTO, resolve
from service.learning.network.checkpoint import Checkpoint
from service.learning.update_data import Data
from service.worker.assignment import Assignment, Challenge


@dataclass(frozen=True)
class StepChoice:
    """The method of a step with the reason for it. `rival`: the method that it must beat at once, if any."""

    method: Method
    params: MethodParams
    why: str
    challenge: Challenge | None = None
    rival: StepChoice | None = None

    @property
    def request(self) -> dict[str, Any]:
        """The method as it is stored, and replayed from."""
        return {"name": self.method.name, **self.params.model_dump(mode="json")}


def choose(
    request: dict[str, Any], base: Checkpoint | None, data: Data, surroundings: Surroundings | None = None
) -> StepChoice:
    """The method of a request; `auto` takes it from the written table. Raises MethodRefused."""
    if request["name"] != AUTO:
        method, params = resolve(request)
        return StepChoice(method, params, f"{method.name}: asked for by name.")
    auto_params = AutoParams.model_validate({k: v for k, v in request.items() if k != "name"})
    choice = auto(base, data, auto_params, surroundings)
    method, params = resolve(choice.request)
    challenge, why = None, choice.why
    if choice.challenger is not None:
        why += f" If it goes live, a challenger follows: {choice.challenge}."
        seconds = auto_params.budget_seconds
        challenge = Challenge(method=choice.challenger, why=choice.challenge, budget_seconds=seconds)
    rival = StepChoice(*resolve(choice.unless), why, challenge) if choice.unless is not None else None
    return StepChoice(method, params, why, challenge, rival)


def surroundings_of(assignment: Assignment) -> Surroundings:
    """What `auto` looks at besides base and data."""
    return Surroundings(
        keeps=assignment.retention != "none",
        challenged_rows=assignment.challenged_rows,
        recent=assignment.policy.trusted == "recent",
    )
