"""Aims of a training: one file a kind of target; `aim_of` chooses."""

from __future__ import annotations

from collections.abc import Mapping

from service.contract.targets.class_target import ClassTarget
from service.contract.targets.kind import TargetKind
from service.contract.targets.number_target import NumberTarget
from service.learning.network.checkpoint import Checkpoint
from service.learning.training.aims.aim import Aim
from service.learning.training.aims.classes import ClassAim
from service.learning.training.aims.numbers import NumberAim
from service.learning.update_data import Data

AIMS: Mapping[type[TargetKind], type[Aim]] = {ClassTarget: ClassAim, NumberTarget: NumberAim}


def aim_of(base: Checkpoint | None, data: Data) -> Aim:
    """What an update on the base trains for, by the kind of target."""
    return AIMS[type(data.target)].of(base, data)
