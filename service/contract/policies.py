"""Which policy the gate of a model has: by what the model predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.contract.number_policy import NumberPolicy
from service.contract.policy import GatePolicy
from service.contract.strict import Unlimited
from service.contract.targets import Target

AnyPolicy = GatePolicy | NumberPolicy


def policy_kind(target: Target) -> type[GatePolicy] | type[NumberPolicy]:
    return NumberPolicy if target.kind == "number" else GatePolicy


CLASS_POLICY: Unlimited[GatePolicy] = Unlimited(GatePolicy)
NUMBER_POLICY: Unlimited[NumberPolicy] = Unlimited(NumberPolicy)
"""Read stored policies."""


def policy_of(target: Target, stored: Mapping[str, Any]) -> AnyPolicy:
    return NUMBER_POLICY.as_stored(stored) if target.kind == "number" else CLASS_POLICY.as_stored(stored)


def of_one_kind(path: Sequence[str]) -> str | None:
    """The sentence that only models which predict classes, or numbers, have the rule or threshold at this path of the
    gate; None where both have it, or none."""
    classes, numbers = _has(GatePolicy, path), _has(NumberPolicy, path)
    if classes == numbers:
        return None
    having, lacking = ("classes", NumberPolicy) if classes else ("numbers", GatePolicy)
    rules = ", ".join(lacking.model_fields)
    return f"{'.'.join(path)} is of models that predict {having}. This one has {rules}: GET it for their thresholds."


def _has(policy: Any, path: Sequence[str]) -> bool:
    for name in path:
        if name not in getattr(policy, "model_fields", {}):
            return False
        policy = policy.model_fields[name].annotation
    return True
