"""Kinds of targets, one file each: what is remembered of a lineage, and what follows from an update. This file is the
one place that tells them apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.registry import models
from service.registry.sql.tables import Model
from service.worker.parent.kinds.classes import ClassKind
from service.worker.parent.kinds.kind import Kind
from service.worker.parent.kinds.numbers import NumberKind

KINDS: Mapping[str, Kind[Any]] = {"class": ClassKind(), "number": NumberKind()}


def kind_of(model: Model) -> Kind[Any]:
    return KINDS[models.target_of(model).kind]
