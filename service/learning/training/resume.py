"""Where a training stands between two steps: all that decides its further steps, so that it can go on from there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from service.learning.run import Facts, Reached, Run

Kept = Callable[[], Sequence[Tensor | torch.Generator]]
"""What a method changes along a training, always in the same order: tensors and generators, which go on in place."""


@dataclass(frozen=True)
class Terms:
    """The terms of one try of a training. retries: how often its numbers were not finite · work: of earlier tries ·
    pieces: into which the rows of a step are divided, so that they fit into the memory of the device."""

    lr: float
    retries: int = 0
    work: int = 0
    pieces: int = 1


class Place(NamedTuple):
    """Where a training stands: its epoch, the steps of it that are done, and the order of its rows, None: none
    drawn."""

    epoch: int = 0
    done: int = 0
    order: Tensor | None = None


class Course:
    """One training of a run on its way through saves.

    learning: the weights that train, `start`: as they began · kept: what the method changes beside them · facts: what
    else decides the training.
    """

    def __init__(
        self, run: Run, learning: Sequence[nn.Parameter], start: Sequence[Tensor], kept: Kept | None, facts: Facts
    ) -> None:
        self._trainings, self._learning, self._start, self._facts = run.trainings, list(learning), start, facts
        self._kept: Kept = kept or (lambda: ())
        self._reached = None if self._trainings is None else self._trainings.begin(self._decided)

    @cached_property
    def _weights(self) -> str:
        """A digest of the weights at the beginning: whatever came before has a part in it."""
        digest = hashlib.sha256()
        for p in self._start:
            digest.update(p.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def _decided(self) -> Facts:
        return {**self._facts, "weights": self._weights}

    @property
    def facts(self) -> Facts:
        """What an earlier attempt left of this training beside tensors; {}: it begins."""
        return self._reached.facts if self._reached is not None else {}

    def go_on(self) -> Mapping[str, Tensor]:
        """Puts weights and what the method keeps where the earlier attempt left them, once. -> its tensors; {}: the
        training begins"""
        if (reached := self._reached) is None:
            return {}
        self._reached = None
        restore_all(self._learning, "weight", reached.tensors)
        restore_all(self._kept(), "kept", reached.tensors)
        return reached.tensors

    @property
    def due(self) -> bool:
        return self._trainings is not None and self._trainings.due

    def save(self, facts: Facts, tensors: Mapping[str, Tensor]) -> None:
        assert self._trainings is not None
        self._trainings.save(self._now(facts, tensors))

    def finish(self, end: Facts, again: bool = False) -> None:
        """Ends the training. end: its outcome beside the weights"""
        if self._trainings is not None:
            self._trainings.finish(lambda: self._now({"end": end}, {}), again)

    def _now(self, facts: Facts, tensors: Mapping[str, Tensor]) -> Reached:
        own = {**numbered("weight", self._learning), **numbered("kept", self._kept()), **tensors}
        return Reached({**facts, "course": self._decided()}, own)


def copied(thing: Tensor | torch.Generator) -> Tensor:
    """A copy of a tensor, or of a generator's state, on the CPU."""
    if isinstance(thing, torch.Generator):
        return thing.get_state()
    return thing.detach().cpu().contiguous().clone()


@torch.no_grad()
def restore(thing: Tensor | torch.Generator, value: Tensor) -> None:
    """Inverse of `copied`, in place."""
    if isinstance(thing, torch.Generator):
        thing.set_state(value)
    else:
        thing.copy_(value)


def numbered(name: str, things: Sequence[Tensor | torch.Generator]) -> dict[str, Tensor]:
    """Copies of things, named by their places in the list."""
    return {f"{name}.{k}": copied(thing) for k, thing in enumerate(things)}


def restore_all(things: Sequence[Tensor | torch.Generator], name: str, tensors: Mapping[str, Tensor]) -> None:
    """Inverse of `numbered`, in place."""
    for k, thing in enumerate(things):
        restore(thing, tensors[f"{name}.{k}"])
