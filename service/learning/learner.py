"""A learner: the network that an update trains, the rows as it takes them, and the way back to a checkpoint.

Two kinds. Where the trunk moves (an mlp or cnn backbone without lifts), everything trains, on scaled inputs. Where it
is frozen (the identity, lifts, or by wish), neck and head train on its features, and the feature space stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from service.learning.architectures import Network, build, fresh, layout_of, parts_of
from service.learning.batch import Bools, Rows
from service.learning.calibration import ENOUGH_ROWS, fit_temperature
from service.learning.checkpoint import Checkpoint, Tensors
from service.learning.features import identity_network, largest_feature, shift_for
from service.learning.growth import grow_head, matrix, merge, new_neck
from service.learning.heads import Block
from service.learning.method import Data, GradientParams, Learned, Run
from service.learning.preprocessing import InputScale, scale_for
from service.learning.solve import ABSENT
from service.learning.training import Fit, Labelled, fit, logits
from service.learning.view import View

ORIGIN = "state.origin."
"""Parts that keep the weights of the first training: what `anchor: base` pulls to."""
INIT, TRAINING, DRAWS = 1, 2, 3
"""Salts of the run's generators."""
STAND_INS = 200
"""Pseudo-rows of a known class, unless the batch has a larger one."""
FROM_SCRATCH = "This model had no version: all was trained from scratch."


class Body(nn.Module):
    """What trains. Scaled inputs or framed features [n, ...] -> logits [n, C], each column times its `unit`."""

    def __init__(self, network: Network, moves: bool) -> None:
        super().__init__()
        self.trunk = network.backbone if moves else nn.Flatten()
        self.neck, self.head = network.neck, network.head
        self.unit: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.neck(self.trunk(x).flatten(1)))
        return y if self.unit is None else y * self.unit.to(y.device)


class Learner:
    """`start` goes on from a base, `anew` begins from scratch; train with `fit`, then `finish`.

    classes: the base's, then the batch's new ones in order of first appearance · known: how many were the base's ·
    added: the block of the new ones · moves: the trunk trains too · notes, multiply_adds: for the report.
    """

    def __init__(
        self, network: Network, classes: Sequence[str], base: Checkpoint | None, data: Data, run: Run, moves: bool
    ) -> None:
        self.network, self.classes, self.base, self.data, self.run = network, tuple(classes), base, data, run
        self.moves, self.known, self.temperature = moves, 0, 1.0
        self.notes: list[str] = []
        self.multiply_adds = 0
        self.origin: Mapping[str, Tensors] | None = None
        self.added: Block | None = None
        self.body = Body(network, moves)
        self.view = View(network, self.classes, data, run, moves)

    @classmethod
    def start(
        cls, base: Checkpoint | None, data: Data, run: Run, *, freeze: bool = False, keep_head: bool = False
    ) -> Learner:
        """From the base, its head grown to the batch's new classes; without a base from scratch, and the notes say so.

        An exact head is taken as the judge's, which never saw a judging row, divided by its temperature so that its
        logits are log-odds. `keep_head` leaves it its bits and divides what it gives. `freeze`: a trunk that could move
        does not.
        """
        if base is None:
            learner = cls.anew(None, data, run, data.batch)
            learner.notes.append(FROM_SCRATCH)
            return learner
        network = build(base)
        new = [name for name in data.batch.present() if name not in base.classes]
        learner = cls(network, [*base.classes, *new], base, data, run, trunk_trains(base) and not freeze)
        learner.known, learner.temperature = len(base.classes), base.layout.temperature
        if base.layout.exact is not None and not keep_head:
            learner._open_exact_head(base.parts.get("judge"))
        elif base.layout.exact is not None:
            learner.body.unit = torch.ones(len(learner.classes))
            learner.body.unit[: learner.known] /= learner.temperature
        kept = {part: tensors for part, tensors in base.parts.items() if part.startswith(ORIGIN)}
        learner.origin = kept or origin_of(network)
        learner.view.enter()
        learner.added = grow_head(network, len(new), run.generator(INIT))
        if learner.added is not None and learner.body.unit is not None:
            learner._lift_to_exact_scores(learner.added)
        return learner

    @classmethod
    def anew(cls, base: Checkpoint | None, data: Data, run: Run, rows: Rows) -> Learner:
        """The model's architecture, all weights new, over all classes; the base's scale, or one fitted on `rows`."""
        known = base.classes if base else ()
        classes = [*known, *(name for name in data.batch.present() if name not in known)]
        scale = InputScale.load(base.parts["scale"]) if base else scale_for(data.input, rows.inputs)[0]
        moves, generator = data.architecture.backbone.name != "identity", run.generator(INIT)
        if moves:
            network = fresh(data.input, data.architecture, scale, classes, generator)
        else:
            network = identity_network(data.input, scale)
            grow_head(network, len(classes), generator)
        learner = cls(network, classes, base, data, run, moves)
        learner.view.enter(generator)
        return learner

    def renew_head(self, hidden: Sequence[int]) -> None:
        """A neck of these widths and a head behind it, both new, over all classes."""
        self.view.leave()
        generator = self.run.generator(INIT)
        new_neck(self.network, hidden, len(self.classes), generator)
        self.body = Body(self.network, self.moves)
        self.temperature, self.known = 1.0, 0
        self.view.enter(generator)

    @torch.no_grad()
    def _open_exact_head(self, judge: Tensors | None) -> None:
        for block in self.network.head:
            assert block.bias is not None
            if judge is not None:
                block.weight.copy_(judge["weight"])
                block.bias.copy_(judge["bias"])
            seen = block.bias > ABSENT / 2
            block.bias.copy_(torch.where(seen, block.bias, block.bias[seen].min() if seen.any() else 0.0))
            # What all scores share says nothing among old columns, but would drown new ones beside them.
            block.weight.copy_((block.weight - block.weight.mean(0)) / self.temperature)
            block.bias.copy_((block.bias - block.bias.mean()) / self.temperature)
        self.temperature = 1.0

    @torch.no_grad()
    def _lift_to_exact_scores(self, added: Block) -> None:
        """Columns beside those of an exact head start from what its scores share."""
        weight, bias = matrix(self.network.head)
        added.weight.add_(weight[: self.known].mean(0) / self.temperature)
        assert added.bias is not None
        added.bias.add_(bias[: self.known].mean() / self.temperature)

    @property
    def batch(self) -> Labelled:
        """The update's learning rows."""
        return _masked(self.view.own, self.data.batch.learning)

    @property
    def selecting(self) -> Labelled:
        """The update's selecting rows."""
        return _masked(self.view.own, self.data.batch.selecting)

    def stand_ins(self, rows: Labelled) -> Labelled:
        """Pseudo-rows of each known class: as many as it had, at most 200 or what the largest class of `rows` has."""
        if self.base is None or not rows.rows:
            return Labelled(rows.x[:0], rows.y[:0])
        most = max(STAND_INS, int(rows.y.bincount().max()))
        return self.view.gaussians.draw(most, self.classes, self.run.generator(DRAWS))

    def train_only(self, blocks: Sequence[Block]) -> None:
        """Everything but these blocks stands still."""
        for p in self.body.parameters():
            p.requires_grad_(False)
        for block in blocks:
            for p in block.parameters():
                p.requires_grad_(True)

    def fit(
        self,
        params: GradientParams,
        rows: Labelled | None = None,
        *,
        memory: Labelled | None = None,
        selecting: Labelled | None = None,
        after_step: Callable[[float], None] | None = None,
        salt: int = TRAINING,
        phase: str = "training",
    ) -> Fit:
        """`training.fit` on the body, on the batch's learning rows if none are named. One class with nothing beside it
        trains for one epoch, and the notes say so."""
        rows = self.batch if rows is None else rows
        seen = rows.y if memory is None else torch.cat([rows.y, memory.y])
        if not rows.rows:
            self.notes.append("None of the rows falls on the learning side, so no weight moved.")
        elif len(self.classes) > 1 and int(seen.min()) == int(seen.max()) and params.epochs > 1:
            params = params.model_copy(update={"epochs": 1})
            self.notes.append(
                f'All learning rows are "{self.classes[int(seen[0])]}": trained for one epoch, so that not everything '
                "is called that. ridge, linear_probe and replay learn one class alone."
            )
        done = fit(
            self.body,
            rows,
            params,
            self.run,
            memory=memory,
            selecting=selecting,
            after_step=after_step,
            salt=salt,
            phase=phase,
        )
        self.multiply_adds += done.multiply_adds
        self.notes += done.notes
        return done

    def finish(self, details: Mapping[str, Any] | None = None, *, merged: bool = True) -> Learned:
        """The trained network as a checkpoint. `merged`: its head as one block, where all see the same inputs."""
        self._to_one_unit()
        temperature = self._calibrated()
        self.view.leave()
        network = self.network.eval()
        if merged:
            merge(network.head, "head.0")
        changes: dict[str, Any] = {"temperature": temperature, "exact": None}
        if self.moves:
            changes |= {"shift": shift_for(largest_feature(network, self.data.batch.inputs)), "trained": True}
        parts: dict[str, Tensors] = dict(parts_of(network))
        parts |= origin_of(network) if self.origin is None else self.origin
        return Learned(
            Checkpoint(layout_of(network, self.classes, **changes), parts, self._learned(parts)),
            details=details or {},
            notes=tuple(self.notes),
            multiply_adds=self.multiply_adds + self.view.multiply_adds,
        )

    def _to_one_unit(self) -> None:
        """Columns that trained as log-odds beside those of an exact head go over to its unit."""
        if self.body.unit is not None and self.added is not None:
            with torch.no_grad():
                for p in self.added.parameters():
                    p.mul_(self.temperature)
        self.body.unit = None

    def _calibrated(self) -> float:
        """From selecting rows of the batch and of the history, where there are enough; else what it was."""
        rows = self.selecting + self.view.selected
        if rows.rows < ENOUGH_ROWS or int(rows.y.min()) == int(rows.y.max()):
            return self.temperature
        return fit_temperature(logits(self.body, rows.x, self.run).double().numpy(), rows.y.numpy())

    def _learned(self, parts: Mapping[str, Tensors]) -> dict[str, frozenset[str]]:
        """A part with the bits of the base's saw what that one saw; any other saw all of the history and the batch."""
        base = self.base
        everything = frozenset(self.data.batch.batches).union(*(base.learned.values() if base else ()))
        return {
            part: base.learned.get(part, frozenset())
            if base and part in base.parts and same_bits(tensors, base.parts[part])
            else everything
            for part, tensors in parts.items()
        }


def origin_of(network: Network) -> dict[str, Tensors]:
    """The weights of a network under the names that keep them for good."""
    return {ORIGIN + p: ts for p, ts in parts_of(network).items() if p.split(".")[0] in ("backbone", "neck", "head")}


def trunk_trains(base: Checkpoint) -> bool:
    """A backbone with weights, and no lift that fixes the feature space behind it."""
    return base.layout.backbone.name != "identity" and not base.layout.lifts


def same_bits(a: Tensors, b: Tensors) -> bool:
    """The same names and values."""
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def _masked(rows: Labelled, mask: Bools) -> Labelled:
    which = torch.from_numpy(mask)
    return Labelled(rows.x[which], rows.y[which])
