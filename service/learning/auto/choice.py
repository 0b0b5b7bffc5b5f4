"""What every table of `auto` is about: what a request may say, what is chosen, and facts that tables ask for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from service.contract.inputs import IdentityBackbone, PretrainedBackbone, misfit
from service.contract.targets.class_target import ClassTarget
from service.learning.evaluation.cost import joint_backbone
from service.learning.method_params import NO_STABLE_SCORES, MethodParams, OfOneKind
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.network import TRAINED_HERE
from service.learning.update_data import Data
from service.learning.wording import a

ENOUGH_TO_TRAIN = 2_000
"""Rows from which on a net trained end to end may challenge the exact head."""


class AutoParams(MethodParams):
    """What a request may say to `auto`."""

    of_one_kind: ClassVar[OfOneKind] = {"stable_scores": (ClassTarget, NO_STABLE_SCORES)}

    stable_scores: bool = Field(
        default=False,
        description="Raw scores (logits) of old classes keep their bits where classes are new: a trained net is "
        "expanded; an exact head gets new columns beside the old ones, which costs accuracy.",
    )
    budget_seconds: float = Field(
        default=30.0, ge=0, le=3600, description="Time of a challenger, in seconds; 0: nobody challenges."
    )


@dataclass(frozen=True)
class Surroundings:
    """The conditions of the table besides base and data.

    `keeps`: rows stay stored · `recent`: the policy trusts recent rows only · `challenged_rows`: rows behind the last
    challenge, 0 without one.
    """

    keeps: bool = True
    recent: bool = False
    challenged_rows: int = 0


@dataclass(frozen=True)
class Choice:
    """The method to use, by name and parameters, and the reason; the challenger, if any, and its reason.

    `unless`: the request that is used instead unless the method beats it at once, on rows that neither has learned.
    """

    request: dict[str, Any]
    why: str
    challenger: dict[str, Any] | None = None
    challenge: str = ""
    unless: dict[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class Table(ABC):
    """A written table, of one kind of target: its rows are tried one after another."""

    base: Checkpoint | None
    data: Data
    params: AutoParams
    around: Surroundings

    @abstractmethod
    def choice(self) -> Choice:
        """The first row that matches; some row always does."""

    @property
    def trained(self) -> bool:
        """Whether a net that was trained serves."""
        layout = self.base.layout if self.base is not None else None
        return layout is not None and layout.trained and isinstance(layout.backbone, TRAINED_HERE)

    def brought_in(self) -> bool:
        """Whether a trained net serves a model that names none, every row of which is kept for an exact head."""
        named = not isinstance(self.data.architecture.backbone, IdentityBackbone)
        return self.trained and not named and self.data.kept_rows == self.data.known_rows

    def retraining(self) -> tuple[dict[str, Any], str] | tuple[()]:
        """Joint training as challenger, once there are enough rows, and again whenever they have doubled since."""
        rows = self.data.known_rows + len(self.data.batch)
        kept = self.data.kept_rows + len(self.data.batch)
        enough = rows >= max(ENOUGH_TO_TRAIN, 2 * self.around.challenged_rows)
        if not enough or kept < rows or not self.around.keeps:
            return ()
        backbone = joint_backbone(self.data.input, self.data.architecture)
        if isinstance(backbone, PretrainedBackbone) or misfit(self.data.input, backbone):
            return ()
        # a net that wins is held by replay afterwards; nets whose rate fell won on letter, and some updates later the
        # stream stood lower than without them, five of 33 stopped by the gate
        request: dict[str, Any] = {"name": "retrain", "schedule": "constant"}
        if backbone != self.data.architecture.backbone:
            request["backbone"] = {"name": backbone.name}
        return request, f"joint training of {a(backbone.name)} on all {rows:,} rows"
