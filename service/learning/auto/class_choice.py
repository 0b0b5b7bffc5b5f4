"""The table of models whose targets are classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from service.contract.inputs import IdentityBackbone, PretrainedBackbone
from service.contract.tables import TableInput
from service.learning.absent_rows import foreign, without_rows
from service.learning.auto.choice import Choice, Table
from service.learning.exact.stable_columns import can_stay

EXACT = {"name": "ridge", "discriminants": True}
"""The exact head: both closed forms in one, which on ten feature sets was above the better of the two, chosen by rows
kept back, as often as not. A first version tries it on every lift, none included: raw discriminants are among them."""
EXACT_ON_TABLES = {"name": "ridge"}
"""On tables ridge alone: classes are few and noisy there, and discriminants shrink too little. Without them AUC was
0.003 to 0.019 higher on five tables."""
FEW_KNOWN = 20
"""Rows of a class below which only the head of a trained net is touched where no old row is kept."""
IMPORTED_STRENGTH, IMPORTED_STIFFLY = 0.1, 1.0
"""How stiffly weights are held that came without rows, and where no class is new: no row is there by which a strength
could be chosen."""


class ClassTable(Table):
    """The exact head, unless a trained net serves."""

    @cached_property
    def exact(self) -> dict[str, Any]:
        """The request for the exact head."""
        return EXACT_ON_TABLES if isinstance(self.data.input, TableInput) else EXACT

    @cached_property
    def counts(self) -> Mapping[str, int]:
        return self.data.batch.counts()

    @cached_property
    def new(self) -> frozenset[str]:
        """Classes of the batch that the base does not know."""
        return frozenset(name for name in self.counts if self.base is None or name not in self.base.classes)

    @cached_property
    def missing(self) -> bool:
        """Whether an imported class has no row here."""
        return bool(without_rows(self.base, self.data))

    def choice(self) -> Choice:
        if foreign(self.base) and not (self.params.stable_scores and self.new and self.trained and not self.missing):
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
                *(tuning if self.trained else self.retraining()),
            )
        if self.brought_in():
            choice = Choice(
                {"name": "replay", "balance": "auto"} if self.new else {"name": "replay"},
                "auto: a net that a challenger brought in; it goes on as long as it beats the exact head.",
                *self.retraining(),
            )
            return replace(choice, unless=self.exact | {"features": "input"})
        if self.new:
            return self._new_classes()
        return self._known_classes()

    def _imported(self) -> Choice:
        """Imported weights know more than the rows here can show; an exact head of these rows must win first."""
        exact = self.exact, "the exact head on the rows that are here"
        return Choice(
            {"name": "mas", "strength": IMPORTED_STRENGTH if self.new else IMPORTED_STIFFLY},
            "auto: weights came with an imported version, and the rows that they were learned from are not here; what "
            "its answers depend on is held.",
            *(() if self.missing or not self.around.keeps else self.retraining() or exact),
        )

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
            *self.retraining(),
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
                *(self.retraining() or exact),
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
                *(self.retraining() or pulled),
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
        return Choice(self.exact, f"auto: {why}.", *self.retraining())
