"""Aims of a training: one file a kind of target; `aim_of` chooses."""

from __future__ import annotations

from service.learning.method import Data
from service.learning.network.checkpoint import Checkpoint
from service.learning.training.aims.aim import Aim
from service.learning.training.aims.classes import ClassAim
from service.learning.training.aims.numbers import NumberAim


def aim_of(base: Checkpoint | None, data: Data) -> Aim:
    """What an update on the base trains for, by the kind of target."""
    return NumberAim.of(base, data) if data.target.kind == "number" else ClassAim.of(base, data)
