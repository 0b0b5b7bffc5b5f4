"""Measures which core-seconds of an update go into the method, and which into judging its version."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from service.learning.method import Learned
from service.learning.methods import METHODS


@contextmanager
def timed_methods() -> Iterator[list[float]]:
    """Core-seconds that methods spend while this lasts: making the version, without judging it."""
    spent: list[float] = []

    def timed(update: Callable[..., Learned]) -> Callable[..., Learned]:
        def go(*arguments: Any) -> Learned:
            began = time.process_time()
            try:
                return update(*arguments)
            finally:
                spent.append(time.process_time() - began)

        return go

    before = dict(METHODS)
    for name, method in before.items():
        others = {kind: timed(update) for kind, update in method.others.items()}
        METHODS[name] = replace(method, update=timed(method.update), others=others)
    try:
        yield spent
    finally:
        METHODS.update(before)
