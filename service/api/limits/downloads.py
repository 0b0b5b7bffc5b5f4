"""Downloads of weights and sums: made a few at a time, and sent from disk as fast as their readers take them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

from service.api.limits.request_checks import AFTERWARDS
from service.api.limits.turns import Lane
from service.api.reader.spool import refusal_of_disk
from service.contract.enums import RAW
from service.errors import Busy
from service.storage.artifacts import read_twice

MAKING = 2
"""Files that are made at once: each may take twice the memory of the weights of a pretrained backbone."""
WHOLE_BYTES = 256 * 1024
"""A shorter file is sent from memory."""
PIECE_BYTES = 256 * 1024


class Downloads:
    """The downloads of a process, at most so many at once. `root`: the folder for files that are being sent; they have
    no name in it."""

    def __init__(self, root: Path, most: int) -> None:
        self._root, self._most, self._open = root, most, 0
        self._lane = Lane(MAKING, most)

    async def send(self, request: Request, make: Callable[[], tuple[bytes, str]]) -> Response:
        """Sends the file that `make`, called in a thread, returns with its name. Raises Busy, DiskFull, and what `make`
        raises."""
        self._enter(request.scope)
        turn = await self._lane.turn()
        try:
            whole, file, size, name = await run_in_threadpool(self._made, make)
        finally:
            turn.end()
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        if file is None:
            return Response(whole, 200, headers, RAW)
        request.scope[AFTERWARDS].append(file.close)
        return StreamingResponse(_pieces(file), 200, {**headers, "Content-Length": str(size)}, RAW)

    def _enter(self, scope: Scope) -> None:
        if self._open >= self._most:
            raise Busy("As many files as may be are on their way. Ask again in a moment.", retry_after=5)
        self._open += 1
        scope[AFTERWARDS].append(self._leave)

    def _leave(self) -> None:
        self._open -= 1

    def _made(self, make: Callable[[], tuple[bytes, str]]) -> tuple[bytes, BinaryIO | None, int, str]:
        """-> its bytes where they are few, else the file that holds them; its length, its name"""
        data, name = read_twice(make)
        if len(data) <= WHOLE_BYTES:
            return data, None, len(data), name
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with ExitStack() as unless_it_fails:
                file = unless_it_fails.enter_context(TemporaryFile(dir=self._root))
                file.write(data)
                file.seek(0)
                unless_it_fails.pop_all()
        except OSError as error:
            raise refusal_of_disk(error, "this file") from error
        return b"", file, len(data), name


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        yield piece
