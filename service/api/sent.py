"""The body of a request that brings rows: its members here, its rows decoded here or, of a large body, aside.

Numbers that come as they are in memory are decoded nowhere: a large body of them is mapped, and a pass reads its rows.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

import msgspec
from fastapi import Request
from numpy.typing import NDArray
from pydantic import BaseModel, TypeAdapter

from service.api.context import Context, body_of
from service.api.limits import Scope, media_type
from service.api.packing import Made, Making, digest_of, identity_of, make
from service.api.questions import Wish, no_query, read_wish, read_wish_of_query
from service.api.reader import Reader
from service.api.reading import ARRAY, LABELS, MEMBERS, as_rows, load_array, load_texts, refusal
from service.api.spool import LARGE_BYTES, Spooled
from service.api.validation import validated
from service.contract.inputs import InputSpec
from service.intake.inference import Inference, Wanted, read_inference
from service.intake.json_body import JsonBody
from service.intake.raw import READERS
from service.intake.rows import read_rows
from service.registry.tables import Model
from service.serving.shelf import Loaded
from service.storage.artifacts import Artifacts

SPEC: TypeAdapter[InputSpec] = TypeAdapter(InputSpec)

M = TypeVar("M", bound=BaseModel)


class SentRows(Protocol):
    """Decoded rows, wherever they are."""

    @property
    def count(self) -> int: ...

    @property
    def identity(self) -> str:
        """Names them by what they hold, however they were written."""
        ...

    def digest(self, labels: Sequence[str | None]) -> str:
        """The digest of the content of a batch of them."""
        ...

    def make(self, labels: Sequence[str | None], making: Making, store: Artifacts) -> Made:
        """Fold and store them. Raises DiskFull."""
        ...


@dataclass(frozen=True, eq=False)
class RowsHere:
    """Rows in memory."""

    inputs: NDArray[Any]

    @property
    def count(self) -> int:
        return len(self.inputs)

    @cached_property
    def identity(self) -> str:
        return identity_of(self.inputs)

    def digest(self, labels: Sequence[str | None]) -> str:
        return digest_of(self.inputs, labels)

    def make(self, labels: Sequence[str | None], making: Making, store: Artifacts) -> Made:
        return make(self.inputs, labels, making, store)


@dataclass(frozen=True, eq=False)
class RowsAside:
    """Rows in the folder of a large body: this process never holds them."""

    reader: Reader
    body: Spooled
    count: int
    identity: str

    def digest(self, labels: Sequence[str | None]) -> str:
        (self.body.folder / LABELS).write_text(json.dumps(labels))
        found: str = self.reader.run(self.body, "digest")["digest"]
        return found

    def make(self, labels: Sequence[str | None], making: Making, store: Artifacts) -> Made:
        (self.body.folder / LABELS).write_text(json.dumps(labels))
        return Made.model_validate(self.reader.run(self.body, "store", making=making.model_dump()))


@dataclass(frozen=True, eq=False)
class Sent:
    """A checked body; `told`: of a large one what the reading process said of its rows."""

    body: JsonBody
    spooled: Spooled | None = None
    told: dict[str, Any] | None = None

    def rows(self, shared: Context, model: Model) -> SentRows:
        """Raises InvalidContent with the pointer of the first fault."""
        if self.spooled is None or self.told is None:
            return RowsHere(read_rows(self.body.rows, SPEC.validate_python(model.input), model.name))
        if "fault" in self.told:
            raise refusal(self.told["fault"])
        return RowsAside(shared.reader, self.spooled, self.told["rows"], self.told["identity"])


def received(shared: Context, request: Request, kind: type[M], model: Model) -> tuple[M, Sent]:
    """The body as a request, and what it brings. Raises BrokenJSON, InvalidContent, Busy, TooLarge, DiskFull."""
    spooled = request.scope["tsuika.body"]
    if not isinstance(spooled, Spooled):
        order, body = body_of(request, kind)
        return order, Sent(body)
    told = shared.reader.run(spooled, "read", spec=model.input, model=model.name)
    body = members_of(spooled)
    return validated(kind, body), Sent(body, spooled, told)


def members_of(spooled: Spooled) -> JsonBody:
    """The members of a large body that was read, but for its rows: the reading process has checked them."""
    text = (spooled.folder / MEMBERS).read_bytes()
    return JsonBody(msgspec.json.decode(text), text)


async def question(shared: Context, scope: Scope, spooled: Spooled, loaded: Loaded) -> tuple[NDArray[Any], Wish]:
    """The question of a large body. Raises BrokenJSON, InvalidContent, UnsupportedMedia, Busy, TooLarge, DiskFull."""
    if (media := media_type(scope)) in READERS:
        wish = read_wish_of_query(scope["query_string"])
        return await asyncio.to_thread(READERS[media], spooled.mapped(), loaded.input, loaded.model), wish
    no_query(scope["query_string"])
    spec = loaded.input.model_dump(mode="json")
    told = await shared.reader.wait(spooled, "read question", spec=spec, model=loaded.model)
    wish = read_wish(members_of(spooled))
    if "fault" in told:
        raise refusal(told["fault"])
    return await _rows(spooled), wish


async def inference(shared: Context, spooled: Spooled, length: str | None, loaded: Loaded) -> Inference:
    """The same of the Open Inference Protocol; `length`: bytes of it that are JSON, as its header says."""
    if _is_bare(spooled, length, loaded.input):
        return await asyncio.to_thread(read_inference, spooled.mapped(), length, loaded.input, loaded.model)
    spec = loaded.input.model_dump(mode="json")
    told = await shared.reader.wait(spooled, "read tensor", length=length, spec=spec, model=loaded.model)
    wanted = [Wanted(*output) for output in told["wanted"]]
    return Inference(await _rows(spooled), told["id"], wanted, told["source"], told["timeout"])


def _is_bare(spooled: Spooled, length: str | None, spec: InputSpec) -> bool:
    """Whether it is numbers behind little JSON or none."""
    if length is None or not (length.isascii() and length.isdigit()) or int(length) > LARGE_BYTES:
        return False
    with spooled.path.open("rb") as file:
        head = file.read(int(length))
    return b"BYTES" not in head if head else spec.kind == "vector"


async def _rows(spooled: Spooled) -> NDArray[Any]:
    """Rows that were read aside; of many texts a few at a time, and others have their turn in between."""
    if (spooled.folder / ARRAY).exists():
        return load_array(spooled.folder)
    texts: list[str] = []
    for piece in load_texts(spooled.folder):
        texts += piece
        await asyncio.sleep(0)
    return as_rows(texts)
