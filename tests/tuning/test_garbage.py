"""The collector leaves alone what lasts, and what waits for a while."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from service.tuning.garbage import freeze


@pytest.fixture
def walks() -> Iterator[list[int]]:
    """Generations that the collector walked through; afterwards it is as it was."""
    generations, before = list[int](), gc.get_threshold()

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            generations.append(info["generation"])

    gc.callbacks.append(note)
    yield generations
    gc.callbacks.remove(note)
    gc.set_threshold(*before)
    gc.unfreeze()


def test_a_crowd_that_waits_is_not_walked_through(walks: list[int]) -> None:
    lasts = [[k] for k in range(100)]
    freeze()
    assert gc.get_freeze_count() > len(lasts)
    walks.clear()
    waiting = [[k] for k in range(15_000)]
    assert walks == []
    waiting += [[k] for k in range(15_000)]
    assert walks == [0]
