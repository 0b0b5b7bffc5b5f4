"""The blocking face of what is written once, as coroutines: each runs to its end at once, since its transport blocks.

So `Client.models` and `AsyncClient.models` are one method. A blocking transport does its work and returns where the
other one waits for the event loop, so the coroutines above it never wait either, and need no loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

Core = TypeVar("Core", covariant=True)
P = ParamSpec("P")
R = TypeVar("R")


class Blocking(Generic[Core]):
    """Holds the object whose coroutines its methods run."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def __repr__(self) -> str:
        return f"{type(self).__name__}({repr(self._core).partition('(')[2]}"


def finish(work: Coroutine[Any, Any, R]) -> R:
    """What a coroutine returns that never waits. Raises what it raises."""
    try:
        work.send(None)
    except StopIteration as done:
        result: R = done.value
        return result
    raise AssertionError("a coroutine over a blocking transport waits for an event loop")


def blocking(
    method: Callable[Concatenate[Core, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Blocking[Core], P], R]:
    """The same method of the blocking face."""

    @wraps(method)
    def run(self: Blocking[Core], /, *args: P.args, **options: P.kwargs) -> R:
        return finish(method(self._core, *args, **options))

    return run


def blocking_list(
    method: Callable[Concatenate[Core, P], AsyncIterator[R]],
) -> Callable[Concatenate[Blocking[Core], P], Iterator[R]]:
    """The same list of the blocking face; a page of it is asked for when it is needed."""

    @wraps(method)
    def items(self: Blocking[Core], /, *args: P.args, **options: P.kwargs) -> Iterator[R]:
        listed = method(self._core, *args, **options)
        while True:
            try:
                item = finish(_next(listed))
            except StopAsyncIteration:
                return
            yield item

    return items


async def _next(listed: AsyncIterator[R]) -> R:
    return await listed.__anext__()
