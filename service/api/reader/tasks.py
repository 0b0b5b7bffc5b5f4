"""The tasks of the process that reads large bodies.

A task a line comes in, an answer a line goes out; rows stay in files beside the body, numbers as a .npy array, texts
as one line of JSON each. The readers are those of small bodies, so a large body is refused for the same reasons.
"""

from __future__ import annotations

import json
import logging
import mmap
import queue
import resource
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.api.reader.annotations import DUE, Annotations, Due, annotate_csv, read_annotations
from service.api.reader.spool import MEMBERS_BYTES, refusal_of_disk
from service.api.reader.store_rows import MAKING, identity_of, make, settled
from service.contract.body_limits import BodyLimits
from service.contract.enums import JSON, SAFETENSORS
from service.contract.inputs import INPUT_SPEC, ImageInput, InputSpec
from service.contract.targets import Target
from service.contract.targets.class_target import ClassTarget
from service.errors import DiskFull, InvalidContent, TooLarge
from service.guessing.csv_files.dialect import SaidDialect
from service.guessing.csv_files.records import Pieces
from service.intake.formats.csv_header import Meant
from service.intake.formats.csv_table import CsvTable, Places, read_csv
from service.intake.formats.fast_json import read_usual
from service.intake.formats.oip_request import read_inference
from service.intake.formats.rows_file import read_rows_file
from service.intake.json_body import (
    GROUPS,
    LABELS,
    MOST_MEMBERS,
    ROWS,
    TARGETS,
    JsonBody,
    hash_of,
    read_object,
    read_object_or_csv,
    read_value,
)
from service.intake.kinds.brought_values import BroughtValues
from service.intake.kinds.labels import Labels
from service.intake.kinds.rows import Named, read_named_rows
from service.intake.kinds.tables import ValueNames
from service.intake.kinds.texts import as_rows
from service.learning.data.sides import FOLDING
from service.settings import inherited_log_format
from service.storage.artifacts import Artifacts
from service.storage.opening import open_store
from service.telemetry import logs
from service.tuning.child import listen, say
from service.tuning.messages import Refused, end_of

ARRAY, TEXTS, MEMBERS = "rows.npy", "rows.jsonl", "members.json"
ANNOTATIONS, LABELS_SUMMARY, NUMBERS = "named.json", "names.json", "targets.npy"
NAMES, VALUES = "cells.json", "values.json"
LINES, HEADERS = "lines.npy", "headers.json"
"""Names of the files beside a body."""
PIECE_BYTES = 64 * 1024

log = logging.getLogger("tsuika.reading")


def save_rows(folder: Path, rows: NDArray[Any]) -> None:
    """Writes decoded rows into a file."""
    if rows.dtype != object:
        np.save(folder / ARRAY, rows, allow_pickle=False)
        return
    with (folder / TEXTS).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(text) + "\n" for text in rows.tolist())


def load_rows(folder: Path) -> NDArray[Any]:
    """Inverse of `save_rows`."""
    return (
        load_array(folder) if (folder / ARRAY).exists() else as_rows(t for piece in load_texts(folder) for t in piece)
    )


def load_array(folder: Path) -> NDArray[Any]:
    """Maps the array: no number is read before it is looked at, and a change is made to a copy. The base of the array
    is the mapping, so that a caller can release the pages it is done with."""
    with (folder / ARRAY).open("rb") as file:
        np.lib.format.read_magic(file)
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        return np.ndarray(shape, dtype, mapped, file.tell(), order="F" if fortran_order else "C")


def load_texts(folder: Path) -> Iterator[list[str]]:
    """The texts, a few at a time."""
    with (folder / TEXTS).open(encoding="utf-8") as file:
        while lines := file.readlines(PIECE_BYTES):
            yield [json.loads(line) for line in lines]


def read_question(folder: Path, spec: InputSpec, model: str, limits: BodyLimits) -> dict[str, Any]:
    """As `read`, of a prediction; the usual body by the fast reader. Raises BrokenJSON, InvalidContent."""
    if (
        spec.kind in ("vector", "image")
        and (quick := read_usual((folder / "body").read_bytes(), spec.shape)) is not None
    ):
        rows, top, level = quick
        limits.check_rows(len(rows))
        given = {name: value for name, value in (("top", top), ("level", level)) if value is not None}
        (folder / MEMBERS).write_text(json.dumps({ROWS: [], **given}))
        save_rows(folder, rows)
        return {"rows": len(rows)}
    return read(folder, Due(model=model, input=spec, target=ClassTarget()), JSON, limits)


def read_tensor(
    folder: Path, length: str | None, spec: InputSpec, model: str, outputs: Sequence[str], limits: BodyLimits
) -> dict[str, Any]:
    """A request of the Open Inference Protocol; its rows go into a file. Raises BrokenJSON, InvalidContent."""
    request = read_inference((folder / "body").read_bytes(), length, spec, model, outputs, limits)
    limits.check_rows_of(spec, len(request.rows))
    save_rows(folder, request.rows)
    _save_names(folder, Named(request.rows, request.names))
    return {**request._asdict(), "rows": len(request.rows), "names": {}}


def read(folder: Path, due: Due, media: str, limits: BodyLimits) -> dict[str, Any]:
    """Writes rows, labels or targets, and groups, and the other members of the body, into files.

    -> {"rows": count, "hash": of the parsed body, with its rows and targets by what they hold}. A fault of these or the
    groups is returned as `fault`, so that the faults of the other members come before it. Raises BrokenJSON,
    InvalidContent, TooLarge.
    """
    data, apart = (folder / "body").read_bytes(), (ROWS, LABELS, TARGETS, GROUPS)
    if media == SAFETENSORS:
        body = read_rows_file(data, due.input, due.model, apart, limits.max_depth)
    else:
        read_members = read_object if due.input.kind == "image" else read_object_or_csv
        body = read_members(data, apart, depth=limits.max_depth)
    text = body.text
    if isinstance(body.members.get(ROWS), list) and body.members[ROWS]:  # rows that were not cut out
        text = json.dumps({**body.members, ROWS: []}).encode()
    if len(text) > MEMBERS_BYTES:
        raise TooLarge(f"Beside its rows and labels the body has more than {MEMBERS_BYTES:,} bytes. Leave them out.")
    (folder / MEMBERS).write_bytes(text)
    labels, groups = _listed(body.labels, LABELS), _listed(body.groups, GROUPS)
    cut = {LABELS: labels, GROUPS: groups}
    whole = {**body.members, **{name: value for name, value in cut.items() if name in body.members}}
    if body.rows is None:
        return {"rows": 0, "hash": hash_of(whole)}
    try:
        named = _rows(body.rows, due.input, due.model, limits)
        rows = named.rows
        limits.check_rows_of(due.input, len(rows))
        whole[ROWS] = identity_of(rows)
        values = {LABELS: labels, TARGETS: body.targets}
        if isinstance(values[due.word], list | msgspec.Raw):
            annotations = read_annotations(values, groups, named, due)
            _save_annotations(folder, annotations)
            if annotations.targets.shape[1]:
                whole[TARGETS] = identity_of(annotations.targets)
    except InvalidContent as fault:
        return {"fault": vars(Refused.of(fault))}
    save_rows(folder, rows)
    if named.names:
        _save_names(folder, named)
    return {"rows": len(rows), "hash": hash_of(whole)}


def read_file(folder: Path, due: Due, meant: Meant, members: Mapping[str, Any], limits: BodyLimits) -> dict[str, Any]:
    """As `read`, of a CSV file; `members`: what the query says beside its rows. Raises UnsupportedMedia."""
    try:
        table = _table(folder, due.input, meant, due.model, limits)
        annotations = annotate_csv(table, due)
        _save_annotations(folder, annotations)
    except InvalidContent as fault:
        return {"fault": vars(Refused.of(fault))}
    save_rows(folder, table.named.rows)
    _save_places(folder, table.places)
    content = annotations.digest(table.named.rows)
    return {"rows": len(table.named.rows), "hash": hash_of({**members, ROWS: content}), "notes": table.notes}


def read_asked_file(folder: Path, spec: InputSpec, meant: Meant, model: str, limits: BodyLimits) -> dict[str, Any]:
    """As `read_question`, of a CSV file. Raises InvalidContent."""
    table = _table(folder, spec, meant, model, limits)
    save_rows(folder, table.named.rows)
    _save_places(folder, table.places)
    _save_names(folder, table.named)
    return {"rows": len(table.named.rows), "notes": table.notes}


def _meant(sent: Mapping[str, Any], target: Target | None = None) -> Meant:
    """What the columns of a file are, as the parent has sent it. target: where its rows are learned."""
    listed = {name: tuple(sent[name]) for name in ("targets", "leave_out", "gaps", "remembered")}
    return Meant(target, group=sent["group"], said=SaidDialect(**sent["said"]), **listed)


def _table(folder: Path, spec: InputSpec, meant: Meant, model: str, limits: BodyLimits) -> CsvTable:
    assert not isinstance(spec, ImageInput)
    return read_csv(Pieces(folder / "body"), spec, meant, model, limits)


def _save_names(folder: Path, named: Named) -> None:
    (folder / NAMES).write_bytes(msgspec.json.encode(named.names))


def _listed(value: msgspec.Raw | Any, name: str) -> Any:
    """The value of a member that may have been cut out. Raises InvalidContent."""
    return read_value(bytes(value), f"/{name}", MOST_MEMBERS) if isinstance(value, msgspec.Raw) else value


def _save_annotations(folder: Path, annotations: Annotations) -> None:
    """Writes what is known of each row, and the summary of it, into files. Raises InvalidContent."""
    summary = annotations.summary()
    (folder / VALUES).write_bytes(msgspec.json.encode(annotations.values))
    (folder / ANNOTATIONS).write_bytes(msgspec.json.encode((annotations.labels, annotations.groups)))
    (folder / LABELS_SUMMARY).write_bytes(msgspec.json.encode(summary))
    np.save(folder / NUMBERS, annotations.targets, allow_pickle=False)


def _annotations(folder: Path) -> Annotations:
    """Inverse of `_save_annotations`."""
    labels, groups = msgspec.json.decode((folder / ANNOTATIONS).read_bytes())
    return Annotations(labels, np.load(folder / NUMBERS, allow_pickle=False), groups, load_values(folder))


def load_members(folder: Path) -> JsonBody:
    """The members of a body that was read, but for its rows: they were checked."""
    text = (folder / MEMBERS).read_bytes()
    return JsonBody(msgspec.json.decode(text), text)


def load_labels(folder: Path) -> Labels:
    return msgspec.json.decode((folder / LABELS_SUMMARY).read_bytes(), type=Labels)


def load_values(folder: Path) -> BroughtValues:
    """The values of open categories that rows with a label or target bring."""
    return msgspec.json.decode((folder / VALUES).read_bytes(), type=BroughtValues)


def load_names(folder: Path) -> ValueNames:
    """The values of open categories in the rows of a prediction; none where there are none."""
    file = folder / NAMES
    return msgspec.json.decode(file.read_bytes(), type=dict[int, dict[float, str]]) if file.exists() else {}


def _save_places(folder: Path, places: Places) -> None:
    np.save(folder / LINES, np.asarray(places.lines, np.int64), allow_pickle=False)
    (folder / HEADERS).write_bytes(msgspec.json.encode(places.headers))


def load_places(folder: Path) -> Places | None:
    """Where the rows of a CSV file stand; None of any other body."""
    if not (folder / LINES).exists():
        return None
    headers = msgspec.json.decode((folder / HEADERS).read_bytes(), type=dict[str, str])
    return Places(np.load(folder / LINES, allow_pickle=False), headers)


def _rows(rows: msgspec.Raw | Any, spec: InputSpec, model: str, limits: BodyLimits) -> Named:
    """Good numbers by the fast reader, all else by the strict ones. Raises InvalidContent."""
    if spec.kind in ("vector", "image") and isinstance(rows, msgspec.Raw):
        quick = read_usual(b'{"inputs":%b}' % bytes(rows), spec.shape)
        if quick is not None and np.isfinite(quick[0]).all():
            return Named(quick[0])
    return read_named_rows(rows, spec, model, limits)


def answer(store: Artifacts, task: dict[str, Any]) -> dict[str, Any]:
    """The result of a task. Raises what the readers do, TooLarge where memory ends, and DiskFull."""
    try:
        return _answer(store, task)
    except MemoryError:
        sentence = "The rows of this body need more memory than is given to one. Send it in several batches."
        raise TooLarge(sentence) from None
    except OSError as error:
        if isinstance(full := refusal_of_disk(error, "the rows of this body"), DiskFull):
            raise full from None
        raise


def _answer(store: Artifacts, task: dict[str, Any]) -> dict[str, Any]:
    folder, limits = Path(task["folder"]), BodyLimits(**task["limits"])
    match task["do"]:
        case "read":
            return read(folder, DUE.as_stored(task["due"]), task["media"], limits)
        case "read question":
            return read_question(folder, INPUT_SPEC.as_stored(task["spec"]), task["model"], limits)
        case "read file":
            due = DUE.as_stored(task["due"])
            return read_file(folder, due, _meant(task["meant"], due.target), task["members"], limits)
        case "read asked file":
            spec, meant = INPUT_SPEC.as_stored(task["spec"]), _meant(task["meant"])
            return read_asked_file(folder, spec, meant, task["model"], limits)
        case "read tensor":
            spec = INPUT_SPEC.as_stored(task["spec"])
            return read_tensor(folder, task["length"], spec, task["model"], task["outputs"], limits)
        case "digest":
            return {"digest": _annotations(folder).digest(load_rows(folder))}
        case "settle":
            folding, secret = FOLDING.as_stored(task["folding"]), bytes.fromhex(task["secret"])
            return settled(load_rows(folder), _annotations(folder), folding, secret).model_dump(mode="json")
        case "store":
            making = MAKING.as_stored(task["making"])
            return vars(make(load_rows(folder), _annotations(folder), making, store))
        case other:
            raise ValueError(f"no such task: {other}")


def work(store_url: str, reserve: int, memory: int, source: TextIO, sink: TextIO) -> None:
    """Runs tasks until the parent is gone, over the store at a URL, in `memory` bytes at most."""
    logs.set_up(inherited_log_format(), "reading")
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    store = open_store(store_url, reserve=reserve)
    tasks: queue.Queue[dict[str, Any]] = queue.Queue()
    listen(source, tasks.put)
    while True:
        task = tasks.get()
        logs.name_work(**task["ids"])
        say(sink, end_of(partial(answer, store, task), log, "a large body could not be read"))
