"""What every method goes through: one of each family always, the others with --long."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from service.learning.methods import METHODS

OFTEN = ("ridge", "l2_sp", "lora", "replay", "fine_tune")
"""One of each family."""


def each(names: Iterable[str] = METHODS) -> list[Any]:
    """Parameters of a test that is asked of these methods."""
    return [pytest.param(name, marks=() if name in OFTEN else pytest.mark.long) for name in names]
