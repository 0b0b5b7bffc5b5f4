"""Kinds of targets, one file each: what the client and the terminal show of the kind alone. This file is the one place
that tells them apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.client.kinds.classes import ClassKind
from service.client.kinds.kind import Kind
from service.client.kinds.numbers import NumberKind
from service.contract.predictions import AnyPredictions
from service.contract.reports import AnyReport
from service.contract.resources import Batch
from service.contract.targets import Target

KINDS: Mapping[str, Kind[Any, Any, Any, Any]] = {"class": ClassKind(), "number": NumberKind()}


def kind_of(said: Target | AnyReport | AnyPredictions) -> Kind[Any, Any, Any, Any]:
    """The kind that a target, a report or an answer is of."""
    return KINDS[said.kind]


def holds(batch: Batch) -> str:
    """The labels or targets of a batch, in short; "" where it has none, as once it is erased."""
    return "".join(kind.holds(batch) for kind in KINDS.values())
