"""The table of models whose targets are numbers."""

from __future__ import annotations

from dataclasses import replace

from service.learning.auto.choice import Choice, Table
from service.learning.network.network import TRAINED_HERE

NUMBERS = {"name": "ridge", "decay": "search"}
"""The exact head where targets are numbers."""
REPLAY = {"name": "replay", "lr": 0.02}
"""Replay where targets are numbers: steps of its usual rate overshoot there. Of six services with other folds, 2,200
rows of a kinked target and then 200 more, the gate stopped two with 0.06 (mean absolute error 0.33 after), none with
0.02 (0.24)."""


class NumberTable(Table):
    """The exact head, unless a net is named or was brought in."""

    def choice(self) -> Choice:
        """The exact head refuses itself what a request asks of classes."""
        if self.params.stable_scores:
            return Choice(NUMBERS | {"stable_scores": True}, "auto: targets that are numbers; the exact head.")
        if self.around.keeps and self.brought_in():
            choice = Choice(
                REPLAY,
                "auto: a net that a challenger brought in; it goes on as long as it beats the exact head.",
                *self.retraining(),
            )
            return replace(choice, unless=NUMBERS | {"features": "input"})
        if self.around.keeps and self._trains():
            return self._net()
        return Choice(
            NUMBERS,
            "auto: targets that are numbers; an exact solution over all rows so far, in which older batches count less "
            "as far as that helped.",
            *self.retraining(),
        )

    def _trains(self) -> bool:
        """Whether the model names a net that is trained here, which serves, or nothing does yet."""
        named = isinstance(self.data.architecture.backbone, TRAINED_HERE)
        return self.trained or (named and self.base is None)

    def _net(self) -> Choice:
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
                *self.retraining(),
            )
        return Choice(
            {"name": "l2_sp"},
            "auto: targets that are numbers, a trained net, and no old row is kept; weights are held near where they "
            "were.",
        )
