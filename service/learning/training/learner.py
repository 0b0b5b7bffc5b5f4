"""A learner: the network that an update trains, its rows, and the way back to a checkpoint.

Two kinds. Where the trunk moves (an mlp or cnn backbone without lifts), everything trains, on scaled inputs. Where it
is frozen (the identity, lifts, or by wish), neck and head train on its features, and the feature space stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from service.contract.inputs import Architecture
from service.errors import MethodRefused
from service.learning.backbones.extractor import Blocks, Extractor
from service.learning.ledger.feature_space import largest_feature, shift_for
from service.learning.ledger.headless_networks import give_grid
from service.learning.method import Learned
from service.learning.method_params import NO_BLOCKS, GradientParams, Unfreeze
from service.learning.network.blocks import Block
from service.learning.network.checkpoint import Checkpoint, Tensors
from service.learning.network.growth import grow_head, merge, new_neck
from service.learning.network.input_scale import declared_scale, load_scale, scale_for
from service.learning.network.network import TRAINED_HERE, build, fresh, layout_of, parts_of
from service.learning.network.part_kinds import kind_of
from service.learning.network.provenance import ORIGIN, learned_by_part, origin_of, trunk_trains, unchanged
from service.learning.run import Run
from service.learning.training.aims import aim_of
from service.learning.training.aims.aim import Loss
from service.learning.training.body import SLOWER, Body, frozen_trunk, unfrozen_blocks
from service.learning.training.fit import DRAWS, INIT, NO_HOOKS, PHASE, Fit, Hooks, Phase, fit, logits
from service.learning.training.from_exact_head import ExactScale
from service.learning.training.rebalance import Levelling, Trained
from service.learning.training.training_rows import TrainingRows
from service.learning.training.training_set import Labelled, TrainingSet
from service.learning.update_data import Data

STAND_INS = 200
"""Pseudo-rows of a known class, unless the batch has a larger one."""
FROM_SCRATCH = "This is the first version: all of it was trained from scratch."
HEAD_FROM_SCRATCH = "This is the first version: its head was trained from scratch, on a pretrained backbone."


class Learner:
    """An update's training: `start` goes on from a base, `anew` begins from scratch; then `fit` and `finish`.

    aim: what it trains for, by the kind of target · classes: what the columns of the head stand for, the base's, then
    the batch's new ones in order of first appearance · known: how many were the base's · moves: the trunk trains too ·
    added: the block of the new columns · scale: of an exact head that keeps its bits · levelling: what becomes of a
    head that favours classes · origin: where the weights began, by part; None: where they end ·
    watched: old rows that new classes should not take · unfrozen: blocks of the backbone that train at a tenth of the
    rate · stuck: the loss did not fall · notes, multiply_adds: for the report.
    """

    def __init__(
        self,
        base: Checkpoint | None,
        training_rows: TrainingRows,
        levelling: Levelling,
        *,
        temperature: float = 1.0,
        added: Block | None = None,
        scale: ExactScale | None = None,
        origin: Mapping[str, Tensors] | None = None,
    ) -> None:
        self.base, self.training_rows, self.aim = base, training_rows, training_rows.aim
        self.network, self.moves = training_rows.network, training_rows.moves
        self.data, self.run = training_rows.data, training_rows.run
        self.levelling, self.origin = levelling, origin
        self.temperature, self.added, self.scale = temperature, added, scale
        frame = training_rows.frame if training_rows.thawed else None
        self.body = Body(self.network, self.moves, frame, scale.unit if scale is not None else None)
        self.watched: Labelled | None = None
        self.unfrozen: Blocks = []
        self.stuck, self.multiply_adds, self.notes = False, 0, list[str]()
        self._loss: Loss | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        return self.aim.names

    @property
    def known(self) -> int:
        return self.aim.known

    @property
    def slow(self) -> list[nn.Parameter]:
        """The weights of unfrozen blocks."""
        return list({id(p): p for _, block in self.unfrozen for p in block.parameters()}.values())

    @classmethod
    def start(
        cls,
        base: Checkpoint | None,
        data: Data,
        run: Run,
        *,
        unfreeze: Unfreeze = None,
        keep_head: bool = False,
        thaw: bool = False,
    ) -> Learner:
        """Starts from the base, its head grown to the batch's new classes; without a base from scratch, with a note.

        `keep_head`: an exact head keeps its bits, and its scores are divided by its temperature instead. `unfreeze`:
        the blocks of the backbone that train, see TrunkParams. `thaw`: rows pass through a pretrained trunk in
        every step, since the caller adds branches to its layers. Raises MethodRefused where `unfreeze` names no block.
        """
        if base is None:
            learner = cls.anew(None, data, run, unfreeze=unfreeze, thaw=thaw)
            pretrained = isinstance(learner.network.backbone, Extractor)
            learner.notes.append(HEAD_FROM_SCRATCH if pretrained else FROM_SCRATCH)
            return learner
        network, moves = build(base), trunk_trains(base, thaw or bool(unfreeze)) and unfreeze != 0
        if not moves or isinstance(network.backbone, Extractor):
            give_grid(network, data.batch)
        aim = aim_of(base, data)
        rows = TrainingRows(network, aim, data, run, moves)
        exact, temperature, scale = base.layout.exact is not None, base.layout.temperature, None
        if exact and keep_head:
            scale = ExactScale.of(temperature, aim.known, aim.columns)
        elif exact:
            aim.open_head(network.head, base, data)
            temperature = 1.0
        levelling = Levelling.going_on(base, network.head, keep_head)
        kept = {part: tensors for part, tensors in base.parts.items() if part.startswith(ORIGIN)}
        origin = kept or origin_of(network)
        rows.enter()
        added = grow_head(network, aim.columns - aim.known, run.generator(INIT))
        if added is not None and scale is not None:
            scale.join(added, network.head, aim.known)
        learner = cls(base, rows, levelling, temperature=temperature, added=added, scale=scale, origin=origin)
        learner._unfreeze(unfreeze)
        return learner

    @classmethod
    def anew(
        cls,
        base: Checkpoint | None,
        data: Data,
        run: Run,
        architecture: Architecture | None = None,
        *,
        unfreeze: Unfreeze = None,
        thaw: bool = False,
    ) -> Learner:
        """Starts with new weights over all columns, in the model's architecture or another; the scale is the base's, or
        the batch's."""
        architecture = architecture or data.architecture
        aim = replace(aim_of(base, data), known=0)
        if base is not None:
            scale = load_scale(data.input, base.parts["scale"])
        else:
            scale, _ = scale_for(data.input, data.batch.inputs, data.target.measured)
        moves, generator = isinstance(architecture.backbone, TRAINED_HERE), run.generator(INIT)
        if moves:
            network = fresh(data.input, architecture, scale, aim.names, generator)
        else:
            network = frozen_trunk(base, data, scale, architecture.backbone)
            grow_head(network, aim.columns, generator)
            moves = (thaw or bool(unfreeze)) and isinstance(network.backbone, Extractor)
        network.layout = network.layout.model_copy(update=dict(aim.layout))
        rows = TrainingRows(network, aim, data, run, moves)
        rows.enter(generator)
        aim.begin(network.head)
        learner = cls(base, rows, Levelling())
        if rows.thawed:
            learner._unfreeze(unfreeze)
        return learner

    def _unfreeze(self, unfreeze: Unfreeze) -> None:
        """Lets these blocks of the backbone and the head train, nothing else; None and 0 change nothing.

        Raises MethodRefused where there are no such blocks.
        """
        if not unfreeze:
            return
        if not self.moves:
            raise MethodRefused.at("/method/unfreeze", NO_BLOCKS)
        self.unfrozen = unfrozen_blocks(self.network, unfreeze)
        modules = [block for _, block in self.unfrozen]
        if isinstance(self.network.backbone, Extractor):
            self.network.backbone.thaw(modules)
        self.train_only([*modules, self.network.neck, self.network.head])

    def renew_head(self, hidden: Sequence[int]) -> None:
        """Makes a new neck of these widths and a new head over all classes."""
        self.training_rows.leave()
        generator = self.run.generator(INIT)
        new_neck(self.network, hidden, len(self.classes), generator)
        self.body = Body(self.network, self.moves, self.body.frame)
        self.temperature, self.aim, self.added = 1.0, replace(self.aim, known=0), None
        self.training_rows.enter(generator)
        self.aim.begin(self.network.head)

    @cached_property
    def batch(self) -> Labelled:
        """The update's learning rows."""
        return self.training_rows.own.take(torch.from_numpy(self.data.batch.learning))

    @cached_property
    def selecting(self) -> Labelled:
        """The update's selecting rows."""
        return self.training_rows.own.take(torch.from_numpy(self.data.batch.selecting))

    @cached_property
    def kept_back(self) -> Labelled:
        """Selecting rows of batch and history."""
        return self.selecting + self.training_rows.selected

    def stand_ins(self, rows: Labelled) -> Labelled:
        """Rows that stand in for each known class: as many as it had, at most 200 or as many as the largest class of
        `rows`. Pseudo-rows; of images and of numbers kept ones."""
        if self.base is None or not rows.rows:
            return rows.take(slice(0))
        most = max(STAND_INS, self.aim.largest(rows.y))
        return self.training_rows.stand_ins(most, self.run.generator(DRAWS))

    def train_only(self, blocks: Sequence[nn.Module]) -> None:
        for p in self.body.parameters():
            p.requires_grad_(False)
        for block in blocks:
            for p in block.parameters():
                p.requires_grad_(True)

    def loss(self, params: GradientParams) -> Loss:
        self._loss = self._loss or self.aim.loss(params, lambda: self.training_rows.grown)
        return self._loss

    def fit(
        self,
        params: GradientParams,
        rows: Labelled | None = None,
        *,
        memory: Labelled | None = None,
        selecting: Labelled | None = None,
        hooks: Hooks = NO_HOOKS,
        phase: Phase = PHASE,
    ) -> Fit:
        """Calls `fit` on the body, with the batch's learning rows unless `rows` are given. One class alone trains for
        one epoch, with a note."""
        rows = self.batch if rows is None else rows
        seen = rows.y if memory is None else torch.cat([rows.y, memory.y])
        self.levelling.lacks_old = self.aim.lacks_old(seen)
        if not rows.rows:
            self.notes.append("All of these rows are kept back for judging, so nothing was learned: send more.")
        elif params.epochs > 1 and (note := self.aim.alone(seen)):
            params = params.model_copy(update={"epochs": 1})
            self.notes.append(note)
        slow = self.slow

        def slow_down() -> None:
            if hooks.after_backward is not None:
                hooks.after_backward()
            for p in slow:
                # with SGD a gradient times 0.1 is a rate times 0.1, momentum and all
                if p.grad is not None:
                    p.grad.mul_(SLOWER)

        done = fit(
            self.body,
            TrainingSet(rows, memory, selecting, self.loss(params)),
            params.model_copy(update={"lr": params.lr * self.training_rows.rate}),
            self.run,
            replace(hooks, after_backward=slow_down) if slow else hooks,
            phase,
        )
        self.multiply_adds += done.multiply_adds
        self.notes += done.notes
        self.stuck = done.stuck
        mixed = memory is not None and memory.rows > 0 and hooks.objective is None
        self.levelling.trained(params.balance, level=mixed or hooks.balanced)
        return done

    def answers(self, rows: Labelled) -> Tensor:
        """What the network answers rows as it is now. -> outputs [n, C], on the CPU"""
        return logits(self.body, rows.x, self.run)

    def accuracy(self, rows: Labelled) -> float | None:
        """Share of rows of classes that are answered rightly; None without rows."""
        return float((self.answers(rows).argmax(1) == rows.y).double().mean()) if rows.rows else None

    def finish(
        self,
        details: Mapping[str, Any] | None = None,
        *,
        merged: bool = True,
        state: Mapping[str, Tensors] | None = None,
    ) -> Learned:
        """Makes the trained network a checkpoint. `merged`: its head becomes one block where all see the same inputs.

        `state`: what the method keeps for its next update, by part, each named "state.<method>...".
        """
        report = {**(details or {}), **({"unfrozen": [name for name, _ in self.unfrozen]} if self.unfrozen else {})}
        if balanced := self._balance():
            report["balance"] = balanced
        if self._loss is not None:
            report |= self._loss.report()
        checkpoint = self._checkpoint(merged, state or {})
        work = self.multiply_adds + self.training_rows.multiply_adds
        return Learned(checkpoint, details=report, notes=tuple(self.notes), stuck=self.stuck, multiply_adds=work)

    def _balance(self) -> dict[str, Any]:
        """Corrects a head that favours new classes as its params say, in place. -> the correction, for the report"""

        def counts() -> list[int]:
            known, own = self.training_rows.counted.all, self.data.batch.counts()
            history = dict(zip(known.classes, known.n.tolist(), strict=True))
            return [int(history.get(name, 0)) + own.get(name, 0) for name in self.classes]

        def selecting() -> tuple[Tensor, Tensor]:
            return self.answers(self.kept_back), self.kept_back.y

        done = self.levelling.apply(Trained(self.body.head, self.known, self.body.unit, selecting, counts))
        self.notes += [done.note] if done.note else []
        if self.watched is not None and self.watched.rows:
            self.notes += self.levelling.taken_over(self.answers(self.watched), self.known)
        return done.report

    def _checkpoint(self, merged: bool, state: Mapping[str, Tensors]) -> Checkpoint:
        self.body.unit = None
        if self.scale is not None and self.added is not None:
            self.scale.leave(self.added)
        temperature = self.aim.temperature(self.kept_back.y, lambda: self.answers(self.kept_back), self.temperature)
        self.training_rows.leave()
        network = self.network.eval()
        if merged:
            merge(network.head)
        changes: dict[str, Any] = {"temperature": temperature, "exact": None, "sources": []}
        parts: dict[str, Tensors] = dict(parts_of(network))
        trunk = [part for part in parts if kind_of(part) == "backbone"]
        if self.moves and not all(unchanged(self.base, part, parts[part]) for part in trunk):
            largest = largest_feature(network, self.data.batch.inputs, self.run.device)
            changes |= {"shift": shift_for(largest), "trained": True}
        parts |= origin_of(network) if self.origin is None else self.origin
        parts |= {**state, **self.levelling.parts}
        declared = declared_scale(self.data.input) is not None
        learned = learned_by_part(self.base, parts, self.data.batch.batches, declared)
        layout = layout_of(network, self.classes, **changes).model_copy(update=dict(self.aim.layout))
        return Checkpoint(layout, parts, learned)
