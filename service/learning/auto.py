"""`auto` chooses a method, and its challenger, by a written table. The first match wins; each gives its reason.

The exact head comes first, and a gradient method must beat it: it is chosen at once only where a person asked for a net
that is trained end to end, and otherwise runs afterwards, as a challenger of what already serves. A net that won so
goes on with replay, but each of its updates must beat the exact head of the same rows again, by the test by which it
came; else that head takes over. For one win may be luck, and a net that is patched drifts away from what won.

lda, branch, lora, si, ewc, lwf, der_pp and icarl are chosen by people, never by auto; den only where old scores shall
keep their bits, and mas only on an imported version, whose rows are not here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from service.contract.inputs import IdentityBackbone, PretrainedBackbone, misfit
from service.contract.strict import Strict
from service.contract.tables import TableInput
from service.learning.absent_rows import foreign, without_rows
from service.learning.evaluation.cost import joint_backbone
from service.learning.exact.stable_columns import can_stay
from service.learning.method import Data
from service.learning.network.checkpoint import Checkpoint
from service.learning.wording import a

EXACT = {"name": "ridge", "discriminants": True}
"""The exact head: both closed forms in one, which on ten feature sets was above the better of the two, chosen by rows
kept back, as often as not. A first version tries it on every lift, none included: raw discriminants are among them."""
EXACT_ON_TABLES = {"name": "ridge"}
"""On tables ridge alone: classes are few and noisy there, and discriminants shrink too little. Without them AUC was
0.003 to 0.019 higher on five tables."""
NUMBERS = {"name": "ridge", "decay": "search"}
"""The exact head where targets are numbers."""
REPLAY = {"name": "replay", "lr": 0.02}
"""Replay where targets are numbers: steps of its usual rate overshoot there. Of six services with other folds, 2,200
rows of a kinked target and then 200 more, the gate stopped two with 0.06 (mean absolute error 0.33 after), none with
0.02 (0.24)."""
FEW_KNOWN = 20
"""Rows of a class below which only the head of a trained net is touched where no old row is kept."""
IMPORTED_STRENGTH, IMPORTED_STIFFLY = 0.1, 1.0
"""How stiffly weights are held that came without rows, and where no class is new: no row is there by which a strength
could be chosen."""
ENOUGH_TO_TRAIN = 2_000
"""Rows from which on a net trained end to end may challenge the exact head."""


class AutoParams(Strict):
    """What a request may say to `auto`."""

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

    `unless`: the request that is used instead unless the method beats it at once, on rows kept back for choosing.
    """

    request: dict[str, Any]
    why: str
    challenger: dict[str, Any] | None = None
    challenge: str = ""
    unless: dict[str, Any] | None = None


def auto(
    base: Checkpoint | None, data: Data, params: AutoParams | None = None, around: Surroundings | None = None
) -> Choice:
    """Chooses by the table; some row always matches."""
    params, around = params or AutoParams(), around or Surroundings()
    choice = _Table(base, data, params, around).choice()
    return choice if params.budget_seconds else replace(choice, challenger=None, challenge="")


class _Table:
    """The rows of the table, tried one after another."""

    def __init__(self, base: Checkpoint | None, data: Data, params: AutoParams, around: Surroundings) -> None:
        self.base, self.data, self.params, self.around = base, data, params, around
        self.exact = EXACT_ON_TABLES if isinstance(data.input, TableInput) else EXACT
        self.counts = data.batch.counts()
        self.new = {name: n for name, n in self.counts.items() if base is None or name not in base.classes}
        self._missing = without_rows(base, data)
        self.trained = base is not None and base.layout.trained and not _frozen_backbone(base)

    def choice(self) -> Choice:
        if self.data.target.kind == "number":
            return self._numbers()
        if foreign(self.base) and not (self.params.stable_scores and self.new and self.trained and not self._missing):
            return self._imported()
        if not self.around.keeps:
            return self._closed("rows are not kept, so only a head that its sums alone decide can go on")
        if self.base is None:
            return self._first()
        if self.params.stable_scores and self.new:
            return self._stable()
        if self.around.recent:
            tuning = {"name": "fine_tune", "epochs": 5}, "the net, trained on with the rows of this update alone"
            return Choice(
                {"name": "ridge", "decay": "search"},
                "auto: this model trusts recent rows only; older batches count less, as far as that helped.",
                *(tuning if self.trained else self._retraining()),
            )
        if self._brought_in():
            choice = Choice(
                {"name": "replay", "balance": "auto"} if self.new else {"name": "replay"},
                "auto: a net that a challenger brought in; it goes on as long as it beats the exact head.",
                *self._retraining(),
            )
            return replace(choice, unless=self.exact | {"features": "input"})
        if self.new:
            return self._new_classes()
        return self._known_classes()

    def _numbers(self) -> Choice:
        """The exact head, unless a net is named or was brought in; it refuses itself what a request asks of classes."""
        if self.params.stable_scores:
            return Choice(NUMBERS | {"stable_scores": True}, "auto: targets that are numbers; the exact head.")
        if self.around.keeps and self._brought_in():
            choice = Choice(
                REPLAY,
                "auto: a net that a challenger brought in; it goes on as long as it beats the exact head.",
                *self._retraining(),
            )
            return replace(choice, unless=NUMBERS | {"features": "input"})
        if self.around.keeps and self._trains():
            return self._net_of_numbers()
        return Choice(
            NUMBERS,
            "auto: targets that are numbers; an exact solution over all rows so far, in which older batches count less "
            "as far as that helped.",
            *self._retraining(),
        )

    def _trains(self) -> bool:
        """Whether the model names a net that is trained here, which serves, or nothing does yet."""
        named = not isinstance(self.data.architecture.backbone, IdentityBackbone | PretrainedBackbone)
        return self.trained or (named and self.base is None)

    def _net_of_numbers(self) -> Choice:
        name = self.data.architecture.backbone.name
        if self.base is None:
            return Choice(
                {"name": "retrain"},
                f"auto: targets that are numbers, and a first version of a model that names a backbone; its {name} is "
                "trained.",
            )
        if self.data.kept_rows:
            return Choice(
                REPLAY,
                "auto: targets that are numbers, a trained net, and old rows are kept; they are learned again beside.",
                *self._retraining(),
            )
        return Choice(
            {"name": "l2_sp"},
            "auto: targets that are numbers, a trained net, and no old row is kept; weights are held near where they "
            "were.",
        )

    def _imported(self) -> Choice:
        """Imported weights know more than the rows here can show; an exact head of these rows must win first."""
        exact = self.exact, "the exact head on the rows that are here"
        return Choice(
            {"name": "mas", "strength": IMPORTED_STRENGTH if self.new else IMPORTED_STIFFLY},
            "auto: weights came with an imported version, and the rows that they were learned from are not here; what "
            "its answers depend on is held.",
            *(() if self._missing or not self.around.keeps else self._retraining() or exact),
        )

    def _brought_in(self) -> bool:
        """Whether a trained net serves a model that names none, every row of which is kept for an exact head."""
        named = not isinstance(self.data.architecture.backbone, IdentityBackbone)
        return self.trained and not named and self.data.kept_rows == self.data.known_rows

    def _first(self) -> Choice:
        backbone = self.data.architecture.backbone
        if isinstance(backbone, PretrainedBackbone):
            return self._closed(f"a first version on the features of {backbone.name}, which stand still")
        if not isinstance(backbone, IdentityBackbone):
            return Choice(
                {"name": "retrain"},
                f"auto: a first version of a model that names a backbone; its {backbone.name} is trained.",
            )
        return Choice(
            self.exact,
            "auto: a first version; an exact solution over all rows, with the way to make features of inputs (lift) "
            "that did best on rows kept back for choosing.",
            *self._retraining(),
        )

    def _stable(self) -> Choice:
        if self.trained:
            return Choice(
                {"name": "den", "mode": "protect"},
                "auto: old scores shall keep their bits; units are added for the new classes, old ones stand still.",
            )
        if can_stay(self.base, self.data):
            return Choice(
                self.exact | {"stable_scores": True},
                "auto: old scores shall keep their bits; the exact head gets new columns beside the old ones, which "
                "never learn that the new rows are not theirs. That costs accuracy, more with every repetition.",
            )
        return Choice(
            self.exact,
            "auto: new classes on features that stand still, where all columns must be solved; old scores move.",
        )

    def _new_classes(self) -> Choice:
        if not self.trained:
            return self._closed("new classes; an exact solution over all rows so far, which forgets nothing")
        if self.data.kept_rows:
            exact = self.exact, "the exact head on the features of the trained net"
            return Choice(
                {"name": "replay", "balance": "auto"},
                "auto: new classes for a net that was trained, and old rows are kept; they are learned again beside.",
                *(self._retraining() or exact),
            )
        return Choice(
            {"name": "linear_probe"},
            "auto: new classes for a net that was trained, and no old row is kept; its trunk stands still from now on. "
            "Published accuracy without old rows is near that of fine-tuning.",
        )

    def _known_classes(self) -> Choice:
        if not self.trained:
            sources = [s for s in self.data.batch.sources if s]
            if self.data.unknown_sources(sources):
                return self._closed(
                    f'known classes from a new source, "{sources[0]}"; an exact solution over all rows so far, and one '
                    "for each source where that does better"
                )
            return self._closed("known classes; an exact solution over all rows so far")
        if self.data.kept_rows:
            pulled = {"name": "l2_sp"}, "weights held near where they were, in place of old rows"
            return Choice(
                {"name": "replay"},
                "auto: known classes, a trained net, and old rows are kept; they are learned again beside.",
                *(self._retraining() or pulled),
            )
        if min(self.counts.values(), default=0) < FEW_KNOWN:
            return Choice(
                {"name": "linear_probe"},
                f"auto: known classes, fewer than {FEW_KNOWN} rows of some, and no old row is kept; only the head of "
                "the net moves.",
            )
        return Choice(
            {"name": "l2_sp"},
            "auto: known classes, a trained net, and no old row is kept; weights are held near where they were.",
            {"name": "interpolate"},
            "the best place on the way from the old weights to fine-tuned ones",
        )

    def _closed(self, why: str) -> Choice:
        return Choice(self.exact, f"auto: {why}.", *self._retraining())

    def _retraining(self) -> tuple[dict[str, Any], str] | tuple[()]:
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
        return request, f"joint training of {a(backbone.name)} on all {rows} rows"


def _frozen_backbone(base: Checkpoint) -> bool:
    return isinstance(base.layout.backbone, IdentityBackbone | PretrainedBackbone)
