"""A run is one execution of learning: its seed, progress, cancellation, device, and how its trainings are saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from service.learning.trainings import Trainings


def no_progress(phase: str, done: int, total: int) -> None:
    """Reports nothing, for calls that nobody watches."""


def no_check() -> None:
    """Never raises, for calls that nobody cancels."""


@dataclass(frozen=True)
class Run:
    """Seed, progress and device of one execution. `check` raises Cancelled; it is called at every step. `trainings`:
    where they are saved as they go on; None: nowhere."""

    seed: int = 0
    progress: Callable[[str, int, int], None] = no_progress
    check: Callable[[], None] = no_check
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    trainings: Trainings | None = None

    def generator(self, salt: int = 0) -> torch.Generator:
        """Makes a generator on the CPU; the same seed and salt give the same bits, on every device."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + salt)
