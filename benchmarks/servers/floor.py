"""The floor: a bare ASGI application that batches what one turn of the event loop parsed, and nothing else.

No key, no limits, no versions, no checks: what a service written for this one network would cost.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import numpy as np
import torch
import uvicorn

from benchmarks.servers.network import MOST_ROWS, NAME, PORT, SHAPES, build


class Vector(msgspec.Struct):
    """A body: one row."""

    x: list[float]


class Image(msgspec.Struct):
    """A body: one row."""

    x: list[list[list[float]]]


class Floor:
    """The ASGI application."""

    def __init__(self) -> None:
        self.network = build()
        self.decoder = msgspec.json.Decoder[Vector | Image](Vector if NAME == "m1" else Image)
        self.encoder = msgspec.json.Encoder()
        self.rows: list[np.ndarray] = []
        self.waiting: list[asyncio.Future[np.ndarray]] = []

    def forward(self, rows: list[np.ndarray]) -> np.ndarray:
        with torch.inference_mode():
            return self.network(torch.from_numpy(np.stack(rows))).numpy()

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        status, content = 200, b""
        try:
            scores = await self.answer(np.asarray(self.decoder.decode(body).x, np.float32))
            content = self.encoder.encode({"class": int(scores.argmax()), "scores": scores.tolist()})
        except ValueError:
            status, content = 400, b'{"error":"no such row"}'
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def answer(self, row: np.ndarray) -> asyncio.Future[np.ndarray]:
        if row.shape != SHAPES[NAME]:
            raise ValueError(row.shape)
        loop = asyncio.get_running_loop()
        self.rows.append(row)
        self.waiting.append(loop.create_future())
        if len(self.rows) == 1:
            loop.call_soon(self.run)
        return self.waiting[-1]

    def run(self) -> None:
        """Answer what has come meanwhile."""
        rows, waiting = self.rows[:MOST_ROWS], self.waiting[:MOST_ROWS]
        del self.rows[:MOST_ROWS], self.waiting[:MOST_ROWS]
        for future, scores in zip(waiting, self.forward(rows), strict=True):
            if not future.done():
                future.set_result(scores)
        if self.rows:
            asyncio.get_running_loop().call_soon(self.run)


if __name__ == "__main__":
    floor = Floor()
    for n in (1, 2, 4, 8, 16, 32, MOST_ROWS):
        floor.forward([np.zeros(SHAPES[NAME], np.float32)] * n)
    gc.collect()
    gc.freeze()
    uvicorn.run(
        floor, port=PORT, loop="uvloop", http="httptools", access_log=False, log_level="warning", lifespan="off"
    )
