"""Trainings that are interrupted and go on from what was saved end with the bits of those that nobody stopped."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import count
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from service.errors import Cancelled
from service.learning.method import Learned
from service.learning.method_params import GradientParams
from service.learning.methods import METHODS, resolve
from service.learning.methods.constrain import strength_search, strength_trials
from service.learning.run import IN_SEQUENCE, InSequence, Reached, Run, Trainings
from service.learning.training.fit import NO_HOOKS, Fit, Hooks, fit
from service.learning.training.training_set import Labelled, TrainingSet
from tests.learning import test_conformance as conformance
from tests.learning.every_method import each
from tests.learning.memory_data import MemoryData
from tests.learning.training.test_fit import body, rows, weights

GRADIENT = [name for name, method in METHODS.items() if issubclass(method.Params, GradientParams)]
BACKBONE = {"linear_probe": "identity", "branch": "cnn", "den": "mlp"}


@dataclass
class Attempts:
    """Attempts at one update, each of which saves every so many looks at the clock and stops at its `stop`th check."""

    every: int
    kept: Mapping[int, Reached] = field(default_factory=dict)
    saves: int = 0
    checks: int = 0

    def run(self, stop: int | None = None, seed: int = 1) -> Run:
        steps = count()

        def check() -> None:
            self.checks += 1
            if next(steps) == stop:
                raise Cancelled("stop")

        def keep(kept: Mapping[int, Reached]) -> None:
            self.kept, self.saves = kept, self.saves + 1

        clock = count()
        trainings = Trainings(self.every, keep, self.kept, lambda: float(next(clock)))
        return Run(seed=seed, check=check, trainings=trainings)


def one_by_one(module: nn.Module) -> Hooks:
    """Hooks that change tensors and draw numbers at each step, of which weights depend."""
    draws, seen = torch.Generator().manual_seed(5), [torch.zeros(()), torch.zeros(3)]

    def begin() -> None:
        for tensor in seen:
            tensor.zero_()

    def after_step(lr: float) -> None:
        seen[0] += 1
        seen[1] += torch.rand(3, generator=draws)
        with torch.no_grad():
            for p in module.parameters():
                p.mul_(1 - 1e-3 * float(seen[1].mean() / seen[0]))

    return Hooks(before_training=begin, after_step=after_step, kept=lambda: [draws, *seen])


def trained(run: Run, hooks: bool, params: dict[str, Any]) -> tuple[list[Tensor], Fit]:
    module, data = body(), rows(70)
    memory, selecting = rows(30, seed=2), rows(40, seed=3)
    selecting.y[::2] = 1 - selecting.y[::2]  # so that an epoch in the middle is the best
    every = GradientParams(**{"epochs": 4, "batch_size": 16, "lr": 0.05, **params})
    done = fit(module, TrainingSet(data, memory, selecting), every, run, one_by_one(module) if hooks else NO_HOOKS)
    return weights(module), done


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 19), min_size=1, max_size=4), st.integers(1, 30), st.booleans(), st.booleans())
def test_a_training_goes_on_from_any_step(stops: list[int], every: int, hooks: bool, cosine: bool) -> None:
    """However often it is stopped, and wherever the last save was; with memory, early stop and what hooks keep."""
    params = {"schedule": "cosine" if cosine else "constant"}
    straight, whole = trained(Run(seed=1), hooks, params)
    attempts = Attempts(every)
    for stop in stops:
        with suppress(Cancelled):  # unless it comes to its end before
            trained(attempts.run(stop), hooks, params)
    ended, done = trained(attempts.run(), hooks, params)
    assert all(torch.equal(a, b) for a, b in zip(straight, ended, strict=True))
    assert done == whole, "epochs, work and notes are those of one training"


def test_a_training_that_begins_again_at_a_lower_rate_goes_on_at_that_rate() -> None:
    wild = Labelled(rows(64).x * 1e18, rows(64).y)

    def go(run: Run) -> tuple[list[Tensor], Fit]:
        module, params = body(), GradientParams(epochs=4, lr=10)
        done = fit(module, TrainingSet(wild), params, run, Hooks(lambda body, step: (body(step.x) ** 2).mean() * 1e-30))
        return weights(module), done

    straight, whole = go(Run())
    attempts = Attempts(1)
    with pytest.raises(Cancelled):
        go(attempts.run(3, seed=0))
    ended, done = go(attempts.run(seed=0))
    assert all(torch.equal(a, b) for a, b in zip(straight, ended, strict=True))
    assert done == whole


def test_what_was_saved_of_another_training_is_left_alone() -> None:
    """Other weights at the beginning, other rows, another rate: it begins anew."""
    attempts = Attempts(1)
    with pytest.raises(Cancelled):
        trained(attempts.run(9), False, {})
    straight, whole = trained(Run(seed=1), False, {"lr": 0.04})
    ended, done = trained(attempts.run(), False, {"lr": 0.04})
    assert all(torch.equal(a, b) for a, b in zip(straight, ended, strict=True))
    assert done == whole


def test_a_finished_training_is_not_done_again() -> None:
    attempts = Attempts(1)
    trained(attempts.run(), True, {})
    attempts.checks = 0
    _, done = trained(attempts.run(), True, {})
    assert attempts.checks == 0
    assert done == trained(Run(seed=1), True, {})[1]


def test_short_trainings_are_done_again_and_long_ones_are_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = Attempts(10**6)
    trainings = attempts.run().trainings
    big = Reached({}, {"weight.0": torch.zeros(10)})
    for _ in range(3):
        trainings.begin(dict)
        trainings.finish(lambda: big)
    trainings.save(big)
    assert list(attempts.kept) == [2], "only the one at hand"
    monkeypatch.setattr("service.learning.run.MOST_BYTES", 100)
    trainings = (attempts := Attempts(1)).run().trainings
    for _ in range(4):
        trainings.begin(dict)
        trainings.finish(lambda: big)
    assert list(attempts.kept) == [0, 1], "80 of 100 bytes"


@cache
def offered(name: str) -> Any:
    return conformance.offered(BACKBONE.get(name, "mlp"), "3456", 12)


def learned(name: str, run: Run) -> Learned:
    base, data = offered(name)
    method, params = resolve({"name": name, "epochs": 4, "batch_size": 8})
    method.check(base, data, params)
    return method.update(base, data, params, run)


class Beside(InSequence):
    """Other processes, as far as a search can tell."""

    def has(self, device: torch.device) -> bool:
        return True


@pytest.mark.long
@pytest.mark.parametrize("before", [True, False], ids=["none any more", "some now"])
def test_a_search_goes_on_where_there_are_other_processes_now_or_none_any_more(
    before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one epoch a trial and the training at the strength that is chosen differ in that strength alone; here it is
    not the one that is tried first."""
    monkeypatch.setattr(strength_search, "preferred", lambda points, _: points[-1])
    monkeypatch.setattr(strength_trials, "LEAST_SECONDS", -1.0)
    monkeypatch.setattr(MemoryData, "elsewhere", lambda *_: nullcontext(partial(offered, "l2_sp")))
    whole, tasks = search(Run(seed=1)), {True: Beside(), False: IN_SEQUENCE}
    search(replace((counted := Attempts(1)).run(), tasks=tasks[before]))
    for stop in range(0, counted.checks, 5):
        attempts = Attempts(1)
        with pytest.raises(Cancelled):
            search(replace(attempts.run(stop), tasks=tasks[before]))
        ended = search(replace(attempts.run(), tasks=tasks[not before]))
        assert conformance.bits(ended.checkpoint) == conformance.bits(whole.checkpoint)
        assert ended.details == whole.details


def search(run: Run) -> Learned:
    base, data = offered("l2_sp")
    method, params = resolve({"name": "l2_sp", "epochs": 1, "batch_size": 8})
    return method.update(base, data, params, run)


@pytest.mark.parametrize("name", each(GRADIENT))
def test_every_method_goes_on_where_it_was_interrupted(name: str) -> None:
    whole, counted = learned(name, Run(seed=1)), Attempts(7)
    learned(name, counted.run())
    assert counted.saves >= 3, "it trains in many steps"
    attempts = Attempts(7)
    for share in (0.5, 0.3):
        with pytest.raises(Cancelled):
            learned(name, attempts.run(int(counted.checks * share)))
    attempts.checks = 0
    ended = learned(name, attempts.run())
    assert attempts.checks < 0.8 * counted.checks, "what was saved was not done again"
    assert conformance.bits(ended.checkpoint) == conformance.bits(whole.checkpoint)
    assert (ended.details, ended.notes, ended.multiply_adds) == (whole.details, whole.notes, whole.multiply_adds)
