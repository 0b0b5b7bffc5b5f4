"""`fit`, the only training loop: rows in memory, a permutation an epoch, SGD with momentum; a seed gives the same bits.

A step whose loss or gradient is not finite starts the whole training again at a third of the rate, at most three times;
then it is `Diverged`. A version full of NaN scores like a bad one, so none is ever made.

Beside the arithmetic of torch the loop costs little: rows are gathered for many steps at once, and the norm that clips
a step also shows whether it is finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from service.errors import DeviceFull, Diverged
from service.learning.devices import full, placed, release
from service.learning.method_params import GradientParams
from service.learning.network.network import forward_cost
from service.learning.run import Facts, Run
from service.learning.training.aims.aim import Loss
from service.learning.training.optimiser import (
    UNSEEN_STEPS,
    Best,
    Descent,
    clip,
    cosine,
    gathered,
    lay_out,
    memory_layout,
    precision,
    put,
    resident,
    to_device,
    why_diverged,
    why_full,
)
from service.learning.training.resume import Course, Kept, Place, Terms, numbered, restore_all
from service.learning.training.training_set import OF_CLASSES, Objective, Step, TrainingSet, pieces_of

INIT, TRAINING, DRAWS = 1, 2, 3
"""Salts of the run's generators."""
RETRIES = 3
FELL = 0.95
"""A loss that ends above this part of the first one has not fallen."""
EVALUATED_AT_ONCE = 2048
ROOMIER = 16
"""Divisor of the rows that are answered at once, where they do not fit into the memory of a device."""


@dataclass(frozen=True)
class Phase:
    """One training among those of an update: its name in the progress, and the salt of its generator."""

    name: str = "training"
    salt: int = TRAINING


@dataclass(frozen=True)
class Hooks:
    """What a method adds to the loop.

    objective: minimised in place of the loss · before_training(): called before the first step, again where
    training begins again · after_backward(): called when the gradients are there, before they are clipped ·
    after_step(lr): called after each step of the optimiser with the rate at which it took the gradient, which is
    smaller where that was clipped: a penalty whose step is taken at that rate, too, keeps its weight in the sum that
    training minimises · kept(): what these change from step to step beside the weights, so that a training that is
    interrupted can go on with it · balanced: the objective favours no class for its rows.
    """

    objective: Objective | None = None
    before_training: Callable[[], None] | None = None
    after_backward: Callable[[], None] | None = None
    after_step: Callable[[float], None] | None = None
    kept: Kept | None = None
    balanced: bool = False


NO_HOOKS = Hooks()
PHASE = Phase()


@dataclass(frozen=True)
class Fit:
    """The result of a training: epochs until the weights that were kept, the rate at the end, the work.

    `stuck`: the mean loss of the last epoch was hardly below the loss of the first step.
    """

    epochs: int
    lr: float
    multiply_adds: int
    notes: tuple[str, ...] = ()
    stuck: bool = False


def fit(
    body: nn.Module, data: TrainingSet, params: GradientParams, run: Run, hooks: Hooks = NO_HOOKS, phase: Phase = PHASE
) -> Fit:
    """Trains the parameters of `body` that require a gradient, in place, on the run's device; at the end on the CPU.

    Where the run has trainings, it is saved now and then, and goes on from a save of an earlier attempt. Raises
    Cancelled within a step, and Diverged.
    """
    learning, rows = [p for p in body.parameters() if p.requires_grad], data.rows
    start = [p.detach().clone() for p in learning]
    course = Course(run, learning, start, hooks.kept, _decides(data, params, phase))
    if (end := course.facts.get("end")) is not None:
        if hooks.before_training is not None:
            hooks.before_training()
        course.go_on()
        course.finish(end, again=True)
        body.eval()
        return Fit(**{**end, "notes": tuple(end["notes"])})
    cost = 3 * forward_cost(body)
    terms = Terms(**course.facts["terms"]) if course.facts else Terms(params.lr)
    while True:
        attempt = _Attempt(body, learning, params.model_copy(update={"lr": terms.lr}), run, hooks, phase, course, terms)
        try:
            epochs = attempt.run_epochs(data)
            break
        except FloatingPointError:
            put(learning, start)
            if terms.retries == RETRIES:
                each = -(-rows.rows // params.batch_size)
                largest = float(rows.x.abs().max())
                sentence = why_diverged(attempt.steps, each, params.epochs, largest, terms.lr)
                raise Diverged(sentence) from None
            work = terms.work + attempt.rows * cost
            terms = replace(terms, lr=terms.lr / 3, retries=terms.retries + 1, work=work)
        except RuntimeError as error:
            if not full(error):
                raise
            put(learning, start)
            if terms.pieces > 1:
                raise DeviceFull(why_full(learning, rows.x[:1], params.batch_size, run.device)) from None
            terms = replace(terms, pieces=2, work=terms.work + attempt.rows * cost)
        release(run.device)
    again = f"Training left the finite numbers; it was done again at a rate of {terms.lr:.3g}."
    work = terms.work + attempt.rows * cost
    done = Fit(epochs, terms.lr, work, (again,) if terms.retries else (), attempt.stuck)
    course.finish(asdict(done))
    return done


def _decides(data: TrainingSet, params: GradientParams, phase: Phase) -> Facts:
    """What decides a training beside its weights, as far as it is known cheaply."""
    sizes = [0 if part is None else part.rows for part in (data.rows, data.memory, data.selecting)]
    return {"phase": [phase.name, phase.salt], "params": params.model_dump(mode="json"), "rows": sizes}


@dataclass(eq=False)
class _Attempt:
    """One training at one rate; `rows` counts rows that went forward and back."""

    body: nn.Module
    learning: list[nn.Parameter]
    params: GradientParams
    run: Run
    hooks: Hooks
    phase: Phase
    course: Course
    terms: Terms
    rows: int = 0
    steps: int = 0
    loss: Loss = OF_CLASSES
    first: float | None = None
    losses: list[float] = field(default_factory=list)

    @property
    def stuck(self) -> bool:
        """Whether the losses seen in the last epoch are hardly below the first step's."""
        return self.first is not None and bool(self.losses) and sum(self.losses) / len(self.losses) > FELL * self.first

    def run_epochs(self, data: TrainingSet) -> int:
        """Trains; -> the epoch that was kept. Raises FloatingPointError where a number is no longer finite."""
        device, params = self.run.device, self.params
        learned, memory, selecting = data.rows, data.memory, data.selecting
        if not learned.rows or not self.learning:
            return 0
        layout = memory_layout(self.body)
        self.body.to(device)
        lay_out(self.body, layout)
        x, y = resident(learned.x, device), resident(learned.y, device)
        bring = partial(to_device, device=device, layout=layout)
        generator = self.run.generator(self.phase.salt)
        descent = Descent(self.learning, params.lr)
        steps = params.epochs * -(-learned.rows // params.batch_size)
        if self.hooks.before_training is not None:
            self.hooks.before_training()
        self.loss = data.loss
        if memory is not None and memory.rows:
            self.loss = self.loss.mixed(self.body(x[:1].to(device)).shape[1], learned.y, memory.y)
        best = None
        if selecting is not None and selecting.rows:
            held_x, held_y = selecting.x.to(device), selecting.y.to(device)
            best = Best(self.body, self.learning, lambda body: data.loss(body(held_x), held_y))
        began, done, order = self._go_on(generator, descent, best)
        for epoch in range(began, params.epochs):
            self.run.progress(self.phase.name, epoch, params.epochs)
            self.body.train()
            if order is None:
                self.losses.clear()
                done, order = 0, torch.randperm(learned.rows, generator=generator)
            for i, rows, labels in gathered(x, y, order, params.batch_size, bring, done):
                self.run.check()
                j = None
                if memory is not None and memory.rows:
                    j = torch.randint(memory.rows, (len(i),), generator=generator)
                    rows = torch.cat([rows, to_device(memory.x[j], device)])
                    labels = torch.cat([labels, to_device(memory.y[j], device)])
                if params.schedule == "cosine":
                    descent.lr = params.lr * cosine(self.steps, steps)
                self._step(descent, Step(rows, labels, i, j))
                done += 1
                if self.course.due:
                    self._save(Place(epoch, done, order), generator, descent, best)
            order = None
            enough = best is not None and best.enough(epoch + 1)
            if self.losses:
                kept = best.latest if best is not None else None
                self.run.losses(epoch + 1, sum(self.losses) / len(self.losses), kept)
            if enough:
                break
        self.run.progress(self.phase.name, params.epochs, params.epochs)
        if best is not None:
            best.restore()
        if not all(bool(torch.isfinite(p).all()) for p in self.learning):
            raise FloatingPointError
        lay_out(self.body.eval().cpu(), torch.contiguous_format)
        return best.epoch if best is not None else params.epochs

    def _save(self, place: Place, generator: torch.Generator, descent: Descent, best: Best | None) -> None:
        """Saves where the training stands after a step."""
        facts = {"terms": asdict(self.terms), "epoch": place.epoch, "done": place.done}
        facts |= {"rows": self.rows, "steps": self.steps, "first": self.first, "losses": self.losses.copy()}
        tensors = {"order": cast(Tensor, place.order), "generator": generator.get_state()}
        tensors |= numbered("momentum", descent.momentum)
        if best is not None:
            facts |= {"best": [best.epoch, best.loss]}
            tensors |= numbered("best", best.weights)
        self.course.save(facts, tensors)

    def _go_on(self, generator: torch.Generator, descent: Descent, best: Best | None) -> Place:
        """Takes up a save of an earlier attempt, if there is one. -> where the training stands"""
        facts, tensors = self.course.facts, self.course.go_on()
        if not tensors:
            return Place()
        self.rows, self.steps, self.first, self.losses = (facts[key] for key in ("rows", "steps", "first", "losses"))
        generator.set_state(tensors["generator"])
        restore_all(descent.momentum, "momentum", tensors)
        if best is not None:
            best.epoch, best.loss = facts["best"]
            restore_all(best.weights, "best", tensors)
        return Place(facts["epoch"], facts["done"], tensors["order"])

    def _step(self, descent: Descent, step: Step) -> None:
        descent.forget_gradients()
        look = self.run.device.type == "cpu" or self.hooks.after_step is not None or self.steps % UNSEEN_STEPS == 0
        losses = []
        for piece in pieces_of(step, self.terms.pieces):
            with precision(self.run.device):
                loss = self._loss(piece)
            if piece is not step:
                loss = loss * (len(piece.at) / len(step.at))
            if look:
                losses.append(loss.item())
                if not math.isfinite(losses[-1]):
                    raise FloatingPointError
            torch.autograd.backward(loss)
        if look:
            self.losses.append(sum(losses))
            self.first = self.losses[0] if self.first is None else self.first
        if self.hooks.after_backward is not None:
            self.hooks.after_backward()
        shortened = clip(self.learning, look)
        descent.step()
        if self.hooks.after_step is not None:
            self.hooks.after_step(descent.lr * shortened)
        self.rows += len(step.y)
        self.steps += 1

    def _loss(self, step: Step) -> Tensor:
        if self.hooks.objective is not None:
            return self.hooks.objective(self.body, step)
        return self.loss(self.body(step.x), step.y)


@torch.no_grad()
def logits(body: nn.Module, x: Tensor, run: Run) -> Tensor:
    """Answers rows in eval mode, on the run's device. -> outputs [n, C], on the CPU"""

    def answers(at_once: int) -> Tensor:
        pieces = []
        for start in range(0, max(len(x), 1), at_once):
            run.check()
            pieces.append(body(x[start : start + at_once].to(run.device)).cpu())
        return torch.cat(pieces)

    body.eval()
    with placed(body, run.device):
        try:
            return answers(EVALUATED_AT_ONCE)
        except RuntimeError as error:
            if not full(error):
                raise
        release(run.device)
        return answers(EVALUATED_AT_ONCE // ROOMIER)
