"""The request of a prediction: rows, as JSON, raw numbers, an array or an image, and how they are to be answered."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from starlette.types import Scope

from service.api.bodies.csv_bodies import SEVERAL, in_lines, said_of, several
from service.api.limits.bodies import media_type
from service.api.limits.request_checks import header
from service.api.queries import once, pairs_of
from service.api.validation import validated
from service.contract import requests
from service.contract.enums import CSV, JPEG, JSON, PNG
from service.contract.figures import row_number
from service.contract.inputs import InputSpec
from service.contract.requests import LONGEST_SOURCE
from service.contract.tables import TableInput
from service.contract.targets.number_target import LEAST_LEVEL, MOST_LEVEL
from service.errors import DeadlinePassed, InvalidContent
from service.guessing.csv_files.dialect import SAYABLE
from service.intake.formats.csv_header import Meant
from service.intake.formats.csv_table import Places, read_csv
from service.intake.formats.fast_json import read_usual, read_wide
from service.intake.formats.raw import READERS
from service.intake.json_body import IS_CSV, JsonBody, pointer_to, read_object, read_object_or_csv
from service.intake.kinds.rows import NO_NAMES, read_named_rows, read_row
from service.intake.kinds.tables import ValueNames, most_rows, reader_of
from service.serving.kinds.kind import USUAL, PredictOptions
from service.serving.loaded_versions import Loaded

SMALL_BODY_BYTES = 64 * 1024
"""A longer body is decoded in a thread, and so is one with pictures in it."""
STRICT_BODY_BYTES = 16 * 1024
"""A longer JSON body that the fast reader does not take is decoded in a thread: the strict readers take half a
microsecond a byte where a row is wrong."""
LOOP_CELLS = 2**15
"""Rows of a table of more cells are decoded in a thread: about 3 ms, however short their text is."""
MOST_TOP = 1000
LEVEL_IN_QUERY = re.compile(r"0?\.[0-9]{1,20}")
TIMEOUT = b"tsuika-timeout-ms"
"""Header: milliseconds from its arrival after which the sender wants no answer any more."""
MOST_DIGITS = 8
OPTIONS = ("top", "level", "source")
"""Members of a query, and of a body of JSON, that say how rows are to be answered."""
READ = "tsuika.question"
"""In the scope: the result of `read`, where the body was read before the answer turned out to be long."""

Rows = NDArray[Any]
T = TypeVar("T")


class Question(NamedTuple):
    """The rows of a prediction, and how to answer them. `names`: values of open categories in them, of a table;
    `notes`: what the answer says of them."""

    rows: Rows
    options: PredictOptions = USUAL
    names: ValueNames = NO_NAMES
    notes: Sequence[str] = ()


class PredictMembers(msgspec.Struct, forbid_unknown_fields=True):
    """The members of the body of a prediction but for its rows: what it accepts, requests.Predict accepts, too."""

    inputs: Any
    top: Annotated[int, msgspec.Meta(ge=1, le=MOST_TOP)] | msgspec.UnsetType = msgspec.UNSET
    level: Annotated[float, msgspec.Meta(ge=LEAST_LEVEL, le=MOST_LEVEL)] | None = None
    source: Annotated[str, msgspec.Meta(max_length=LONGEST_SOURCE)] | None = None


def target_of(scope: Scope, methods: tuple[str, ...], path: re.Pattern[str]) -> tuple[str, str | None] | None:
    """The model and the version (None: the live one) that a path of two groups names; None for any other request."""
    match = path.fullmatch(scope["path"]) if scope["method"] in methods else None
    return (match[1], match[2]) if match else None


async def read(scope: Scope, body: bytes, loaded: Loaded) -> Question:
    """The rows of a GET or POST, and how to answer them; a large body is decoded in a thread.

    Raises BrokenJSON, InvalidContent, TooLarge, UnsupportedMedia.
    """
    media = media_type(scope)
    question = scope.pop(READ, None) or read_at_once(scope, media, body, loaded)
    return question if question is not None else await asyncio.to_thread(_read, scope, media, body, loaded)


def read_at_once(scope: Scope, media: str, body: bytes, loaded: Loaded) -> Question | None:
    """As `read`, of a body of that media type, where decoding takes less time than a thread; else None."""
    query: bytes = scope["query_string"]
    if scope["method"] != "POST":
        long = loaded.input.kind == "image" and (b"{" in query or b"%7B" in query.upper())
    elif media != JSON:
        long = len(body) > STRICT_BODY_BYTES if media == CSV else media in (PNG, JPEG)
    else:
        if _is_long(body, loaded.input):
            return None
        refuse_query(query)
        return read_question(body, loaded) if len(body) <= STRICT_BODY_BYTES else _read_quickly(body, loaded)
    return None if long else _read(scope, media, body, loaded)


def _is_long(body: bytes, spec: InputSpec) -> bool:
    """Whether decoding this JSON takes so long that others would notice."""
    if len(body) > SMALL_BODY_BYTES or (spec.kind == "image" and body.count(b"{") > 1):
        return True
    return spec.kind == "table" and most_rows(body) * spec.shape[0] > LOOP_CELLS


def _read(scope: Scope, media: str, body: bytes, loaded: Loaded) -> Question:
    if scope["method"] != "POST":
        return read_query(scope["query_string"], loaded)
    reader = READERS.get(media)
    if media == CSV:
        return _read_file(scope, body, loaded)
    if reader is None:
        refuse_query(scope["query_string"])
        return read_question(body, loaded)
    options = options_of_query(scope["query_string"])
    return Question(reader(body, loaded.input, loaded.model), options)


def _read_file(scope: Scope, body: bytes, loaded: Loaded) -> Question:
    """The rows of a CSV file. Raises InvalidContent, LongAddress, UnsupportedMedia."""
    options, meant = asked_of_file(scope, loaded)
    table = read_csv([body], in_lines(loaded.input, loaded.model), meant, loaded.model, loaded.limits)
    check_added_back(table.named.rows, loaded, places=lambda: table.places)
    return Question(table.named.rows, options, table.named.names, table.notes)


def read_question(data: bytes, loaded: Loaded) -> Question:
    """Rows of a JSON body, and how to answer them; usual vectors stay float64 until they are batched.

    Raises BrokenJSON, InvalidContent.
    """
    if (quick := _read_quickly(data, loaded)) is not None:
        return quick
    read_members = read_object if loaded.input.kind == "image" else read_object_or_csv
    body = read_members(data, depth=loaded.limits.max_depth)
    options = read_options(body)
    rows, names = read_named_rows(body.rows, loaded.input, loaded.model, loaded.limits)
    check_added_back(rows, loaded)
    return Question(rows, options, names)


def _read_quickly(data: bytes, loaded: Loaded) -> Question | None:
    """As `read_question`, of the usual body; None for any other."""
    spec = loaded.input
    if spec.kind == "text":
        return None
    if spec.kind == "table":
        return _table_quickly(data, loaded)
    read_quickly = read_wide if spec.kind == "vector" else read_usual
    if (fast := read_quickly(data, spec.shape)) is None:
        return None
    rows, top, level = fast
    if top is None and level is None:
        return Question(rows)
    within = (top is None or 1 <= top <= MOST_TOP) and (level is None or LEAST_LEVEL <= level <= MOST_LEVEL)
    return Question(rows, PredictOptions(top, level=level)) if within else None


def _table_quickly(data: bytes, loaded: Loaded) -> Question | None:
    """As `_read_quickly`, of rows of a table."""
    assert isinstance(loaded.input, TableInput)
    if (quick := reader_of(loaded.input).read_usual(data)) is None:
        return None
    rows, names, members = quick
    place = loaded.predictor.kind.added_back
    if place is not None and np.isnan(rows[:, place]).any():
        return None
    if not members:
        return Question(rows, USUAL, names)
    try:
        return Question(rows, _usual_options({"inputs": [], **members}), names)
    except msgspec.ValidationError:
        return None


def read_options(body: JsonBody) -> PredictOptions:
    """`top`, `level` and `source` of a body: pydantic explains what msgspec refuses. Raises InvalidContent."""
    try:
        return _usual_options(body.members)
    except msgspec.ValidationError:
        explained = validated(requests.Predict, body)
        top = explained.top if "top" in explained.model_fields_set else None
        return PredictOptions(top, explained.source, explained.level)


def _usual_options(members: dict[str, Any]) -> PredictOptions:
    """Raises msgspec.ValidationError."""
    fast = msgspec.convert(members, PredictMembers)
    return PredictOptions(None if fast.top is msgspec.UNSET else fast.top, fast.source, fast.level)


def read_query(query: bytes, loaded: Loaded) -> Question:
    """The row of a query, and how to answer it. Raises InvalidContent, LongAddress."""
    members = once(_pairs(query, ("input", *OPTIONS)))
    if "input" not in members:
        raise InvalidContent.at("/input", "input is missing: one row, ?input=[0,3,...] or ?input=text.")
    options = _options(members)
    row, names = read_row(members["input"], loaded.input, loaded.model)
    check_added_back(row, loaded, "/input")
    return Question(row, options, names)


def check_added_back(
    rows: Rows, loaded: Loaded, pointer: str | None = None, places: Callable[[], Places | None] = lambda: None
) -> None:
    """Raises InvalidContent for the first row of a table that lacks the number which is added to what is predicted.
    `pointer`: to the one row; None: rows stand in inputs. `places`: where they stand in a CSV file."""
    place, spec = loaded.predictor.kind.added_back, loaded.input
    if (
        place is None
        or not isinstance(spec, TableInput)
        or not len(lacking := np.flatnonzero(np.isnan(rows[:, place])))
    ):
        return
    row, name = int(lacking[0]), spec.columns[place].name
    at = f"{pointer or f'/inputs/{row}'}{pointer_to([name])}"
    if (lines := places()) is not None:
        sentence = f"It is empty, and {loaded.model} adds what it predicts to it (from). Fill it in."
        raise lines.located(InvalidContent.at(at, sentence))
    sentence = f"Row {row_number(row)} has no {name}, to which {loaded.model} adds what it predicts (from). Send it."
    raise InvalidContent.at(at, sentence)


def options_of_query(query: bytes) -> PredictOptions:
    """How to answer rows that are the whole body. Raises InvalidContent, LongAddress."""
    return _options(once(_pairs(query, OPTIONS))) if query else USUAL


def asked_of_file(scope: Scope, loaded: Loaded) -> tuple[PredictOptions, Meant]:
    """The same of a CSV file, its columns that hold what is right or are left out, its gaps, and how it is written.
    Raises InvalidContent, LongAddress."""
    pairs = _pairs(scope["query_string"], (*OPTIONS, *SEVERAL, *SAYABLE))
    members = once(pair for pair in pairs if pair[0] not in SEVERAL)
    targets, left_out, gaps = (several(pairs, name) for name in SEVERAL)
    remembered = tuple(name for name in loaded.leave_out() if name not in left_out)
    said = said_of(members, scope)
    return _options(members), Meant(targets=targets, leave_out=left_out, gaps=gaps, said=said, remembered=remembered)


def refuse_query(query: bytes) -> None:
    """Raises InvalidContent where a query has members that belong into its JSON body, or are of a CSV file,
    LongAddress where it is long."""
    for name, _ in pairs_of(query) if query else ():
        if name in (*SEVERAL, *SAYABLE):
            raise InvalidContent.at(f"/{name}", f"{name} is said of a CSV file alone. {IS_CSV}")
    for name, _ in _pairs(query, OPTIONS) if query else ():
        raise InvalidContent.at(f"/{name}", f"A JSON body says {name} itself: put it there, not into the query.")


def _pairs(query: bytes, known: tuple[str, ...]) -> list[tuple[str, str]]:
    """The members of a query. Raises InvalidContent, LongAddress."""
    pairs = pairs_of(query)
    for name, _ in pairs:
        if name not in known:
            listed = f"{', '.join(known[:-1])} and {known[-1]}"
            raise InvalidContent.at("", f"{name[:100]} is not known here. Known are {listed}.")
    return pairs


def _options(members: dict[str, str]) -> PredictOptions:
    """`top`, `level` and `source` of a query. Raises InvalidContent."""
    top, level = members.get("top", "1"), members.get("level", "0.5")
    if not (top.isascii() and top.isdigit() and len(top) <= MOST_DIGITS and 1 <= int(top) <= MOST_TOP):
        raise InvalidContent.at("/top", f"top is a whole number from 1 to {MOST_TOP:,}.")
    if not (LEVEL_IN_QUERY.fullmatch(level) and LEAST_LEVEL <= float(level) <= MOST_LEVEL):
        raise InvalidContent.at("/level", f"level is a number from {LEAST_LEVEL} to {MOST_LEVEL}, such as 0.8.")
    if len(members.get("source", "")) > LONGEST_SOURCE:
        raise InvalidContent.at("/source", f"source has at most {LONGEST_SOURCE} characters.")
    return PredictOptions(
        int(top) if "top" in members else None, members.get("source"), float(level) if "level" in members else None
    )


async def in_time(awaited: Awaitable[T], until: float | None) -> T:
    """Awaits no longer than the sender waits. Raises DeadlinePassed."""
    limit = asyncio.timeout_at(until)
    try:
        async with limit:
            return await awaited
    except TimeoutError:
        if not limit.expired():
            raise
        raise DeadlinePassed("The time that the request gave was over before the version was loaded.") from None


def deadline(scope: Scope) -> float | None:
    """When the sender wants no answer any more, on the clock of the loop. Raises InvalidContent."""
    seconds = patience(scope)
    return None if seconds is None else asyncio.get_running_loop().time() + seconds


def patience(scope: Scope) -> float | None:
    """How many seconds the sender waits, if it says so. Raises InvalidContent."""
    milliseconds = header(scope, TIMEOUT)
    if milliseconds is None:
        return None
    if not (milliseconds.isascii() and milliseconds.isdigit() and len(milliseconds) <= MOST_DIGITS):
        raise InvalidContent(f"Tsuika-Timeout-Ms is a whole number of milliseconds, with at most {MOST_DIGITS} digits.")
    return int(milliseconds) / 1000
