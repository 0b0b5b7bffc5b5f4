"""Kinds of targets, one folder each: by what updates of each are examined."""

from __future__ import annotations

from collections.abc import Mapping

from service.contract.targets.class_target import ClassTarget
from service.contract.targets.kind import TargetKind
from service.contract.targets.number_target import NumberTarget
from service.learning.evaluation.classes.examine_classes import ClassContext
from service.learning.evaluation.context import UpdateContext
from service.learning.evaluation.numbers.examine_numbers import NumberContext

CONTEXTS: Mapping[type[TargetKind], type[UpdateContext]] = {ClassTarget: ClassContext, NumberTarget: NumberContext}
