"""Kinds of targets, one file each: what pages show of the kind alone. This file is the one place that tells them
apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.contract.number_report import AnyReport, NumberReport
from service.contract.report import Report
from service.contract.targets.class_target import ClassTarget
from service.contract.targets.kind import TargetKind
from service.contract.targets.number_target import NumberTarget
from service.web.kinds.class_kind import ClassKind
from service.web.kinds.kind import AnyKind
from service.web.kinds.number_kind import NumberKind

_CLASSES, _NUMBERS = ClassKind(), NumberKind()
_KINDS: Mapping[type[Any], AnyKind] = {
    ClassTarget: _CLASSES,
    Report: _CLASSES,
    NumberTarget: _NUMBERS,
    NumberReport: _NUMBERS,
}


def kind_of(shown: TargetKind | AnyReport) -> AnyKind:
    """The kind that a target or a report is of."""
    return _KINDS[type(shown)]
