"""Kinds of targets, one file each: what an exported version does for the kind alone. This file is the one place that
tells them apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from service.export.kinds.classes import ClassKind
from service.export.kinds.kind import Kind
from service.export.kinds.numbers import NumberKind
from service.learning.network.checkpoint import Layout

KINDS: Mapping[str, Callable[[Layout], Kind[Any, Any]]] = {"class": ClassKind, "number": NumberKind}


def kind_of(layout: Layout) -> Kind[Any, Any]:
    """The last step of a version, by what its layout says that it predicts."""
    return KINDS[layout.kind](layout)
