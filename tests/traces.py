"""Bytes by which rows can be found again: as they were sent, stored and hashed, and their features."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from service.errors import CorruptArtifact
from service.learning.data.row_hash import content_digest
from service.learning.data.rows import Rows
from service.learning.data.serialization import unpack_rows
from service.learning.ledger.entry import MAGIC, SummedEntry

AT_LEAST = 8
"""Bytes of a trace: shorter ones are found by chance."""


def of_rows(inputs: Sequence[Sequence[float]], labels: Sequence[str | None]) -> set[bytes]:
    """Of rows as they are sent: float32, the text of their numbers, and the digest of the batch."""
    digest = content_digest(np.asarray(inputs, np.float32), labels)
    traces = {digest.encode(), bytes.fromhex(digest)}
    for row in inputs:
        traces.add(np.asarray(row, "<f4").tobytes()[: 2 * AT_LEAST])
        traces.update(json.dumps(row[:2], separators=(comma, ":"))[1:-1].encode() for comma in (",", ", "))
    return traces


class Learned:
    """What is made of rows while they are there: looked at again and again, it knows more and more of each batch."""

    def __init__(self) -> None:
        self.of: dict[str, set[bytes]] = {}
        """By batch: rounded features, keyed hashes, and names of stored bytes."""
        self._seen: set[Path] = set()

    def look(self, store: Path) -> None:
        """Read what is new in the areas of models."""
        for path in store.glob("model-*/*/*"):
            if path not in self._seen:
                self._seen.add(path)
                with suppress(FileNotFoundError, CorruptArtifact):
                    self._read(path.parent.name + path.name, path.read_bytes())

    def _read(self, digest: str, data: bytes) -> None:
        if data.startswith(MAGIC):
            entry = SummedEntry.unpack(data)
            parts = [entry.exam, entry.selected]
        else:
            parts = [unpack_rows(data)]
        for rows in parts:
            for k, batch in enumerate(rows.batches):
                of_batch = rows.take(rows.batch == k)
                self.of.setdefault(batch, set()).update(_bytes(of_batch), [digest.encode(), bytes.fromhex(digest)])


def _bytes(rows: Rows) -> set[bytes]:
    inputs = [np.ascontiguousarray(row).tobytes()[: 2 * AT_LEAST] for row in rows.inputs]
    hashes = [bytes(order) for h in rows.hashes.tolist() for order in (h.to_bytes(8, "little"), h.to_bytes(8, "big"))]
    return {trace for trace in (*inputs, *hashes) if len(trace) >= AT_LEAST and any(trace)}


def left(data: Path, traces: Iterable[bytes]) -> list[str]:
    """Files of a data folder, and names in it, that hold one of these traces; unpacked where they are packed."""
    wanted, lines = list(traces), []
    for path in sorted(data.rglob("*")):
        name = str(path.relative_to(data))
        content = name.replace("/", "").encode()
        if path.is_file():
            with suppress(FileNotFoundError):  # another process deletes
                content += path.read_bytes()
        if (packed := content.find(MAGIC)) >= 0:
            with suppress(zlib.error):
                content += zlib.decompress(content[packed + len(MAGIC) :])
        lines += [f"{name}: {trace!r}" for trace in wanted if trace in content][:1]
    return lines
