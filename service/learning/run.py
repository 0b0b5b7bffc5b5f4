"""A run is one execution of learning: its seed, progress and cancellation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch


def no_progress(phase: str, done: int, total: int) -> None:
    """Reports nothing, for calls that nobody watches."""


def no_check() -> None:
    """Never raises, for calls that nobody cancels."""


@dataclass(frozen=True)
class Run:
    """Seed, progress and device of one execution. `check` raises Cancelled; it is called at every step."""

    seed: int = 0
    progress: Callable[[str, int, int], None] = no_progress
    check: Callable[[], None] = no_check
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def generator(self, salt: int = 0) -> torch.Generator:
        """Makes a generator on the CPU; the same seed and salt give the same bits."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + salt)
