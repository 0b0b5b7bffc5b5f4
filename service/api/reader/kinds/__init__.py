"""Kinds of targets, one file each: how bodies give what is predicted. This file is the one place of the interface that
tells them apart while rows are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.api.reader.kinds.classes import ClassKind
from service.api.reader.kinds.kind import Kind
from service.api.reader.kinds.numbers import NumberKind

KINDS: Mapping[str, type[Kind[Any]]] = {"class": ClassKind, "number": NumberKind}
