"""Kinds of targets, one file each: what pages show of the kind alone. This file is the one place that tells them
apart."""

from __future__ import annotations

from collections.abc import Mapping

from service.contract.reports import AnyReport
from service.contract.targets import Target
from service.web.kinds.class_kind import ClassKind
from service.web.kinds.kind import AnyKind
from service.web.kinds.number_kind import NumberKind

KINDS: Mapping[str, AnyKind] = {"class": ClassKind(), "number": NumberKind()}


def kind_of(shown: Target | AnyReport) -> AnyKind:
    """The kind that a target or a report is of."""
    return KINDS[shown.kind]
