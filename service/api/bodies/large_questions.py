"""The large body of a prediction: the reading process decodes it, and a pass reads its rows.

Numbers that come as they are in memory need no decoding: a body of them is mapped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray
from starlette.types import Scope

from service.api.bodies.csv_bodies import columns_sent, in_lines
from service.api.bodies.prediction_bodies import (
    Question,
    asked_of_file,
    check_added_back,
    options_of_query,
    read_options,
    refuse_query,
)
from service.api.context import Context
from service.api.limits.bodies import media_type
from service.api.reader.spool import LARGE_BYTES, Spooled
from service.api.reader.tasks import ARRAY, load_array, load_members, load_names, load_places, load_texts
from service.contract.body_limits import BodyLimits
from service.contract.enums import CSV
from service.contract.inputs import InputSpec
from service.contract.tables import TableInput
from service.intake.formats.oip_request import Inference, Wanted, declared_length, read_inference
from service.intake.formats.raw import READERS
from service.intake.kinds.texts import as_rows
from service.serving.kinds.kind import PredictOptions
from service.serving.loaded_versions import Loaded
from service.tuning.messages import Refused


async def question(shared: Context, scope: Scope, spooled: Spooled, loaded: Loaded) -> Question:
    """The rows of a prediction, and how to answer them.

    Raises BrokenJSON, InvalidContent, UnsupportedMedia, Busy, TooLarge, DiskFull.
    """
    media = media_type(scope)
    if media == CSV:
        options, meant = asked_of_file(scope, loaded)
        task = {"spec": in_lines(loaded.input, loaded.model).model_dump(mode="json"), "meant": columns_sent(meant)}
        report = await shared.reader.wait(spooled, "read asked file", **task, model=loaded.model)
        return (await _named(spooled, options, loaded))._replace(notes=report["notes"])
    if media in READERS:
        options = options_of_query(scope["query_string"])
        rows = await asyncio.to_thread(READERS[media], spooled.mapped(), loaded.input, loaded.model)
        return Question(rows, options)
    refuse_query(scope["query_string"])
    spec = loaded.input.model_dump(mode="json")
    report = await shared.reader.wait(spooled, "read question", spec=spec, model=loaded.model)
    options = read_options(load_members(spooled.folder))
    if "fault" in report:
        raise Refused(**report["fault"]).error()
    return await _named(spooled, options, loaded)


async def _named(spooled: Spooled, options: PredictOptions, loaded: Loaded) -> Question:
    """The rows that the reading process has read, with the values of open categories. Raises InvalidContent."""
    rows = await _rows(spooled)
    check_added_back(rows, loaded, places=lambda: load_places(spooled.folder))
    return Question(rows, options, load_names(spooled.folder))


async def inference(shared: Context, spooled: Spooled, length: str | None, loaded: Loaded) -> Inference:
    """The same of the Open Inference Protocol; `length`: bytes of the body that are JSON, as its header says."""
    if _is_bare(spooled, length, loaded.input):
        return await asyncio.to_thread(read_inference, spooled.mapped(), length, *asked_of(loaded))
    spec, outputs = loaded.input.model_dump(mode="json"), loaded.predictor.kind.outputs
    report = await shared.reader.wait(
        spooled, "read tensor", length=length, spec=spec, model=loaded.model, outputs=outputs
    )
    wanted = [Wanted(*output) for output in report.pop("wanted")]
    members = {**report, "rows": await _rows(spooled), "wanted": wanted, "names": load_names(spooled.folder)}
    return Inference(**members)


def asked_of(loaded: Loaded) -> tuple[InputSpec, str, Sequence[str], BodyLimits]:
    """What an inference is read for: the input, the name and the outputs of a version; and what it may bring."""
    return loaded.input, loaded.model, loaded.predictor.kind.outputs, loaded.limits


def _is_bare(spooled: Spooled, length: str | None, spec: InputSpec) -> bool:
    """Whether the body is numbers behind little JSON or none, which are taken as they are."""
    if isinstance(spec, TableInput):
        return False
    json_bytes = None if length is None else declared_length(length)
    if json_bytes is None or json_bytes > LARGE_BYTES:
        return False
    with spooled.path.open("rb") as file:
        head = file.read(json_bytes)
    # a word may be written in escapes
    return b"BYTES" not in head and b"\\" not in head if head else spec.kind == "vector"


async def _rows(spooled: Spooled) -> NDArray[Any]:
    """Rows that the reading process decoded; texts a few at a time, so that others have their turn in between."""
    if (spooled.folder / ARRAY).exists():
        return load_array(spooled.folder)
    texts: list[str] = []
    for piece in load_texts(spooled.folder):
        texts += piece
        await asyncio.sleep(0)
    return as_rows(texts)
