"""Training for classes: a column a class, the cross-entropy, and rows that are answered rightly."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from service.learning.data.rows import Rows
from service.learning.exact.calibration import ENOUGH_ROWS, fit_temperature
from service.learning.ledger.ledger import Ledger
from service.learning.method_params import GradientParams
from service.learning.network.blocks import GrownLinear
from service.learning.network.checkpoint import Checkpoint
from service.learning.training.aims.aim import Aim, Answered, Scored
from service.learning.training.from_exact_head import open_head, unselected
from service.learning.training.losses import divergence, log_shares
from service.learning.update_data import Data

MOVED = 0.2
WRONG_PAST = (
    "The version before got {:.0%} of the remembered rows right and {:.0%} of the update's rows of known classes. If "
    "what comes changes with time, remembered rows hold it back: use fine_tune, or ridge with a decay."
)
"""Said where the version before is that much worse on new rows of known classes than on memory."""
BY_HEART = 0.1
LEARNED_BY_HEART = (
    "{:.0%} of the remembered rows are answered rightly, and {:.0%} of rows kept back: they were learned by heart. A "
    "larger memory_rows helps."
)
"""Said where remembered rows are answered so much better than rows kept back."""


@dataclass(frozen=True, eq=False)
class CrossEntropy:
    """The cross-entropy of logits [n, C] and columns [n]. shares: added to the logits, see `log_shares`."""

    shares: Tensor | None = None

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(outputs if self.shares is None else outputs + self.shares.to(outputs.device), y)

    def mixed(self, columns: int, *parts: Tensor, weights: Sequence[float] = ()) -> CrossEntropy:
        return CrossEntropy(log_shares(columns, *parts, weights=weights))

    def between(self, outputs: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        return divergence(outputs, teacher, temperature)

    def apart(self, outputs: Tensor, before: Tensor) -> Tensor:
        return (outputs - before) ** 2

    def right(self, outputs: Tensor, y: Tensor) -> Tensor:
        return outputs.argmax(1) == y

    def report(self) -> Mapping[str, Any]:
        return {}


@dataclass(frozen=True, eq=False)
class ClassAim(Aim):
    """names: classes, the base's first, then the update's new ones in order of first appearance."""

    drawn: bool = True
    labels: str | None = "all classes"

    @classmethod
    def of(cls, base: Checkpoint | None, data: Data) -> Self:
        known = base.classes if base is not None else ()
        return cls((*known, *(name for name in data.batch.present() if name not in known)), len(known))

    @property
    def trivial(self) -> bool:
        return self.known == 1

    def targets(self, rows: Rows) -> Tensor:
        return torch.from_numpy(rows.codes(self.names))

    def loss(self, params: GradientParams, ledger: Callable[[], Ledger]) -> CrossEntropy:
        return CrossEntropy()

    def begin(self, head: GrownLinear) -> None:
        """Leaves the head as it was drawn."""

    def open_head(self, head: GrownLinear, base: Checkpoint, data: Data) -> None:
        open_head(head, unselected(base, data) or base.parts.get("judge"), base.layout.temperature)

    def temperature(self, y: Tensor, outputs: Callable[[], Tensor], now: float) -> float:
        """Fitted to the selecting rows; where they are too few it stays."""
        if len(y) < ENOUGH_ROWS or int(y.min()) == int(y.max()):
            return now
        return fit_temperature(outputs().double().numpy(), y.numpy())

    def new(self, y: Tensor) -> Tensor:
        return y >= self.known

    def had_column(self, y: Tensor, width: Tensor) -> Tensor:
        return y < width

    def lacks_old(self, y: Tensor) -> bool:
        return not set(range(self.known)) <= set(y.tolist())

    def covered(self, y: Tensor, by: Tensor) -> bool:
        return not set(y.tolist()) - set(by.tolist())

    def alone(self, y: Tensor) -> str | None:
        if self.columns < 2 or int(y.min()) != int(y.max()):
            return None
        return (
            f'All learning rows are "{self.names[int(y[0])]}": trained for one epoch, so that not everything '
            "is called that. ridge and replay learn one class alone."
        )

    def largest(self, y: Tensor) -> int:
        return int(y.bincount().max())

    def usual(self, y: Tensor, outputs: Callable[[], Tensor]) -> Tensor:
        return torch.ones(())

    def scores(self, outputs: Tensor, y: Tensor, usual: Tensor) -> Tensor:
        """Whether each row is answered rightly."""
        return outputs.argmax(1) == y

    def information(self, outputs: Tensor, chance: Tensor, exact: bool) -> Scored:
        """Logs of the probabilities, each weighted with its probability."""
        log_probabilities = F.log_softmax(outputs, 1)
        probabilities = log_probabilities.detach().exp()
        if exact:
            return log_probabilities, probabilities
        drawn = (probabilities.cumsum(1)[:, :-1] < chance[:, None]).sum(1, keepdim=True)
        return log_probabilities.gather(1, drawn), torch.ones_like(probabilities[:, :1])

    def sensitive(self, outputs: Tensor) -> Scored:
        """The squared norm of the logits over their number."""
        norms = (outputs**2).mean(1, keepdim=True)
        return norms, torch.ones_like(norms.detach())

    def doubt(self, teacher: Tensor, temperature: float) -> dict[str, float]:
        """Mean entropy of the answers, as a share of the largest there can be."""
        logs = F.log_softmax(teacher.double() / temperature, 1)
        entropy = float(-(logs.exp() * logs).sum(1).mean()) / math.log(max(teacher.shape[1], 2))
        return {"teacher_entropy": entropy}

    def moved(self, memory: Answered, new: Answered) -> str | None:
        return _noted(memory, new, MOVED, WRONG_PAST)

    def by_heart(self, memory: Answered, held: Answered) -> str | None:
        return _noted(memory, held, BY_HEART, LEARNED_BY_HEART)


def _noted(memory: Answered, others: Answered, beyond: float, sentence: str) -> str | None:
    """The sentence with the accuracy on both, where that on memory is so much higher."""
    on_memory, on_others = (float((r.outputs.argmax(1) == r.y).double().mean()) for r in (memory, others))
    return sentence.format(on_memory, on_others) if on_memory - on_others > beyond else None
