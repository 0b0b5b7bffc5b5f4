"""Targets that are classes."""

from __future__ import annotations

from typing import ClassVar, Literal

from service.contract.enums import Expect
from service.contract.policy import GatePolicy
from service.contract.targets.kind import TargetKind


class ClassTarget(TargetKind):
    """One class a row, out of a vocabulary that may grow."""

    member: ClassVar = "labels"
    noun: ClassVar = "label"
    predicts: ClassVar = "classes"
    has_classes: ClassVar = True
    measured: ClassVar = False
    suspects: ClassVar = "suspect_rows"
    expects: ClassVar = Expect.RELABEL
    Policy: ClassVar = GatePolicy

    kind: Literal["class"] = "class"
