"""What a model predicts: one file a kind of target, with its words over HTTP and the policy by which the gate judges;
this one lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from service.contract.number_policy import NumberPolicy
from service.contract.policy import GatePolicy
from service.contract.strict import Unlimited
from service.contract.targets.class_target import ClassTarget
from service.contract.targets.kind import AnyPolicy, TargetKind
from service.contract.targets.number_target import NumberTarget

KINDS: Mapping[str, type[TargetKind]] = {"class": ClassTarget, "number": NumberTarget}
Target = Annotated[ClassTarget | NumberTarget, Field(discriminator="kind")]
TARGET: TypeAdapter[Target] = TypeAdapter(Target)
STORED_TARGET: Unlimited[Target] = Unlimited(Target)
"""Reads a stored target."""
CLASS_POLICY: Unlimited[GatePolicy] = Unlimited(GatePolicy)
NUMBER_POLICY: Unlimited[NumberPolicy] = Unlimited(NumberPolicy)
"""Read stored policies."""
_POLICIES: Mapping[type[TargetKind], Unlimited[Any]] = {ClassTarget: CLASS_POLICY, NumberTarget: NUMBER_POLICY}


def policy_of(target: Target, stored: Mapping[str, Any]) -> AnyPolicy:
    policy: AnyPolicy = _POLICIES[type(target)].as_stored(stored)
    return policy


def of_one_kind(path: Sequence[str]) -> str | None:
    """The sentence that only models of one kind have the rule or threshold at this path of the gate, which others lack;
    None where all have it, or none."""
    having = [kind for kind in KINDS.values() if _has(kind.Policy, path)]
    lacking = next((kind for kind in KINDS.values() if kind not in having), None)
    if not having or lacking is None:
        return None
    rules = ", ".join(lacking.Policy.model_fields)
    of = " or ".join(kind.predicts for kind in having)
    return f"{'.'.join(path)} is of models that predict {of}. This one has {rules}: GET it for their thresholds."


def _has(policy: Any, path: Sequence[str]) -> bool:
    for name in path:
        if name not in getattr(policy, "model_fields", {}):
            return False
        policy = policy.model_fields[name].annotation
    return True
