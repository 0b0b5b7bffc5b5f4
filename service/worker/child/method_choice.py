"""Which method a step uses: asked for by name, or taken from the table of `auto`, with who may challenge it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from service.contract.inputs import Strict
from service.learning.auto import AutoParams, Surroundings, auto
from service.learning.method import Data, Method
from service.learning.methods import AUTO, resolve
from service.learning.network.checkpoint import Checkpoint
from service.worker.assignment import Assignment, Challenge


@dataclass(frozen=True)
class Chosen:
    """The method of a step, resolved: by name, or by `auto` with its reason. `unless`: which it must beat at once."""

    method: Method
    params: Strict
    why: str
    challenge: Challenge | None = None
    unless: Chosen | None = None

    @property
    def request(self) -> dict[str, Any]:
        """As it is stored, and replayed from."""
        return {"name": self.method.name, **self.params.model_dump(mode="json")}


def choose(
    request: dict[str, Any], base: Checkpoint | None, data: Data, surroundings: Surroundings | None = None
) -> Chosen:
    """The method of a request; `auto` takes it from the written table. Raises MethodRefused."""
    if request["name"] != AUTO:
        method, params = resolve(request)
        return Chosen(method, params, f"{method.name}: asked for by name.")
    asked = AutoParams.model_validate({k: v for k, v in request.items() if k != "name"})
    choice = auto(base, data, asked, surroundings)
    method, params = resolve(choice.request)
    challenge, why = None, choice.why
    if choice.challenger is not None:
        why += f" If it goes live, a challenger follows: {choice.challenge}."
        challenge = Challenge(method=choice.challenger, why=choice.challenge, budget_seconds=asked.budget_seconds)
    unless = Chosen(*resolve(choice.unless), why, challenge) if choice.unless is not None else None
    return Chosen(method, params, why, challenge, unless)


def around(assignment: Assignment) -> Surroundings:
    """What `auto` looks at besides base and data."""
    return Surroundings(
        keeps=assignment.retention != "none",
        challenged_rows=assignment.challenged_rows,
        recent=assignment.policy.trusted == "recent",
    )
