"""An inference request of the Open Inference Protocol: JSON, and the bytes of tensors behind it -> rows and outputs.

What the protocol leaves to servers is ignored where it changes no answer (unknown members and parameters), and refused
by name where it would: sequences, shared memory, classification, `top`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from numpy.typing import NDArray

from service.contract.body_limits import HIGHEST, BodyLimits
from service.contract.inputs import ImageInput, InputSpec, TextInput
from service.contract.requests import LONGEST_SOURCE
from service.contract.tables import MOST_COLUMNS, TableInput
from service.contract.targets.number_target import LEAST_LEVEL, MOST_LEVEL
from service.errors import InvalidContent
from service.intake.formats.fast_json import read_floats
from service.intake.formats.oip_tables import read_columns
from service.intake.formats.oip_tensors import FLOATS, LENGTH_BYTES, NAME, Parameters, Tensor, Word, read_tensor
from service.intake.formats.raw import Body, read_raw
from service.intake.json_body import MOST_MEMBERS, check_depth, read_value
from service.intake.kinds.pictures import kind_of
from service.intake.kinds.rows import NO_NAMES, Named
from service.intake.kinds.tables import ValueNames

MOST_DIGITS = 12
"""Most digits of a number of bytes."""
MOST_TENSORS = MOST_COLUMNS
"""Inputs, and outputs, that a request may name."""
MEMBERS_OF_TENSOR = 8
"""Members that a tensor of a column may have, those of its parameters among them, and lists."""
LEVELS = 4
"""Levels of a request that are searched for nulls: its members, its list of tensors, their members, and the members of
their parameters; however deep what is below."""
UNSERVED = {
    "sequence_id": "Requests are answered each on its own: there are no sequences.",
    "sequence_start": "Requests are answered each on its own: there are no sequences.",
    "sequence_end": "Requests are answered each on its own: there are no sequences.",
    "top": "Leave it out: an output has all columns. `top` belongs to /v1/models/{model}/predictions.",
    "shared_memory_region": "Tensors travel in the body: there is no shared memory.",
    "classification": "The classification extension is not served. Ask for class and scores as they are.",
}
"""Parameters that would change the answer if they were served."""


class Output(msgspec.Struct):
    """A requested output."""

    name: Word
    parameters: Parameters = {}


class InferRequest(msgspec.Struct):
    """The JSON of a request; unknown members are ignored."""

    inputs: Annotated[list[Tensor], msgspec.Meta(max_length=MOST_TENSORS)]
    id: Word | None = None
    parameters: Parameters = {}
    outputs: Annotated[list[Output], msgspec.Meta(max_length=MOST_TENSORS)] | None = None


class Wanted(NamedTuple):
    """A requested output, and whether its data follows the JSON as bytes."""

    name: str
    binary: bool


class Inference(NamedTuple):
    """Rows, and how to answer them. `timeout`: seconds after which the sender wants no answer; None: no limit.
    `level`: of intervals; None: not said. `names`: values of open categories, of a table."""

    rows: NDArray[Any]
    id: str | None
    wanted: Sequence[Wanted]
    source: str | None
    timeout: float | None
    level: float | None = None
    names: ValueNames = NO_NAMES


def read_inference(
    body: Body,
    header_length: str | None,
    spec: InputSpec,
    model: str,
    outputs: Sequence[str],
    limits: BodyLimits = HIGHEST,
) -> Inference:
    """A body as rows. `header_length`: what Inference-Header-Content-Length says, the bytes that are JSON. `outputs`:
    those of the version that is asked.

    Raises BrokenJSON, InvalidContent.
    """
    length = _length(header_length, body)
    if length == 0:
        return Inference(_bare(body, spec, model), None, [Wanted(name, True) for name in outputs], None, None)
    text = body[:length]
    most = MOST_MEMBERS + MEMBERS_OF_TENSOR * len(spec.columns) if isinstance(spec, TableInput) else MOST_MEMBERS
    request = _read_quickly(text) or _read_strictly(text, most, limits.max_depth)
    behind = memoryview(b"" if length is None else body)[length:]
    if isinstance(spec, TableInput):
        named = _columns(request, behind, spec, model, limits)
    else:
        tensor = _input_of(request, model)
        _give_bytes([tensor], behind)
        named = Named(read_tensor(tensor, spec, model, limits))
    return Inference(
        named.rows,
        request.id,
        _wanted(request, outputs),
        _source(request.parameters),
        _timeout(request.parameters),
        _level(request.parameters),
        named.names,
    )


def declared_length(declared: str) -> int | None:
    """The number in Inference-Header-Content-Length; None where it is none, or has too many digits."""
    return int(declared) if declared.isascii() and declared.isdigit() and len(declared) <= MOST_DIGITS else None


def _length(declared: str | None, body: Body) -> int | None:
    if declared is None:
        return None
    length = declared_length(declared)
    if length is None or length > len(body):
        raise InvalidContent(
            f"Inference-Header-Content-Length tells how many of the {len(body):,} bytes of the body are JSON, from the "
            "first one on."
        )
    return length


def _bare(body: Body, spec: InputSpec, model: str) -> NDArray[Any]:
    """A body that is the data of the one tensor: rows of FP32, or one text or one image file."""
    if isinstance(spec, TextInput) or (isinstance(spec, ImageInput) and kind_of(body[:]) is not None):
        element = len(body).to_bytes(LENGTH_BYTES, "little") + body[:]
        return read_tensor(Tensor(NAME, [1], "BYTES", {}, memoryview(element)), spec, model)
    return read_raw(body, spec, model)


def _read_quickly(text: bytes) -> InferRequest | None:
    """The usual request: one tensor, of floats in a flat list or of bytes behind the JSON; None for any other, which
    the strict reader takes or refuses."""
    if b"\\" in text:
        return None
    numbers, at = None, text.find(b'"data"')
    if at >= 0:
        start = text.find(b"[", at)
        stop = text.find(b"]", start) + 1
        if not 0 < start < stop or text[at + 6 : start].strip() != b":":
            return None
        numbers = read_floats(text[start:stop])
        if numbers is None:
            return None
        text = b"".join((text[:start], b"0", text[stop:]))
    try:
        request = msgspec.json.decode(text, type=InferRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    # more members than known ones: one of them is repeated or unknown
    if len(request.inputs) != 1 or text.count(b":") != _members(request):
        return None
    [tensor] = request.inputs
    if numbers is not None:
        if tensor.datatype not in FLOATS or tensor.data != 0:
            return None
        tensor.data = numbers
    return request


def _members(request: InferRequest) -> int:
    """The number of members of a request and of all objects in it, without those that are left out."""
    parameters = [request.parameters]
    members = 1 + (request.id is not None) + (request.outputs is not None)
    for tensor in request.inputs:
        parameters.append(tensor.parameters)
        members += 3 + (tensor.data is not None)
    for output in request.outputs or ():
        parameters.append(output.parameters)
        members += 1
    return members + sum(1 + len(p) for p in parameters if p)


def _read_strictly(text: bytes, most: int, depth: int) -> InferRequest:
    try:
        value = read_value(text, "", most)
    except InvalidContent as fault:
        raise InvalidContent(f"{fault.detail} (at {fault.errors[0][0]})") from None
    if not isinstance(value, dict):
        raise InvalidContent("The body is a JSON object, {...}, as the Open Inference Protocol has it.")
    check_depth(text, _without_data(value), depth)
    try:
        return msgspec.convert(_without_nulls(value), InferRequest)
    except msgspec.ValidationError as error:
        reason = str(error).replace("`", "").replace("$.", "")
        raise InvalidContent(f"The request is not as the Open Inference Protocol has it: {reason[:300]}.") from None


def _without_data(value: dict[str, Any]) -> dict[str, Any]:
    """The members of a request without the numbers of its tensors, whose nesting their shape says."""
    tensors = value.get("inputs")
    if not isinstance(tensors, list):
        return value
    kept = [{k: v for k, v in t.items() if k != "data"} if isinstance(t, dict) else t for t in tensors]
    return {**value, "inputs": kept}


def _without_nulls(value: Any, levels: int = LEVELS) -> Any:
    """The value without members that are null: typed clients send null for what they leave out."""
    if levels and isinstance(value, dict):
        return {k: v if k == "data" else _without_nulls(v, levels - 1) for k, v in value.items() if v is not None}
    return [_without_nulls(item, levels - 1) for item in value] if levels and isinstance(value, list) else value


def _columns(request: InferRequest, behind: memoryview, spec: TableInput, model: str, limits: BodyLimits) -> Named:
    """The rows of a table, a tensor each column. Raises InvalidContent."""
    for tensor in request.inputs:
        _check_input(tensor)
    _give_bytes(request.inputs, behind)
    return read_columns(request.inputs, spec, model, limits)


def _input_of(request: InferRequest, model: str) -> Tensor:
    """The one tensor of a request. Raises InvalidContent."""
    names = [tensor.name for tensor in request.inputs]
    for name in names:
        if name != NAME:
            raise InvalidContent(f'"{name[:100]}" is no input of {model}. It takes one tensor, "{NAME}".')
    if len(names) != 1:
        fault = f"{NAME} is there {len(names)} times; send it once" if names else f'inputs is empty; send "{NAME}"'
        raise InvalidContent(f"{fault}.")
    [tensor] = request.inputs
    _check_input(tensor)
    return tensor


def _check_input(tensor: Tensor) -> None:
    name = tensor.name[:100]
    _check_served(tensor.parameters, name)
    if tensor.data is None and tensor.binary_size is None:
        raise InvalidContent(f"{name} has neither data nor the parameter binary_data_size.")


def _give_bytes(tensors: Sequence[Tensor], behind: memoryview) -> None:
    """Makes the bytes behind the JSON the data of tensors with a binary_data_size, in their order. Raises
    InvalidContent."""
    sizes = [tensor.binary_size for tensor in tensors]
    due = sum(size or 0 for size in sizes)
    for tensor, size in zip(tensors, sizes, strict=True):
        if size is not None and tensor.data is not None:
            raise InvalidContent(f"{tensor.name[:100]} has data and binary_data_size, too. Send one of them.")
    if len(behind) != due:
        raise InvalidContent(
            f"{len(behind):,} bytes follow the JSON, and binary_data_size says {due:,}. "
            "Inference-Header-Content-Length says where the JSON ends."
        )
    at = 0
    for tensor, size in zip(tensors, sizes, strict=True):
        if size is not None:
            tensor.data = behind[at : at + size]
            at += size


def _wanted(request: InferRequest, known: Sequence[str]) -> Sequence[Wanted]:
    """The requested outputs, in their order; all outputs where none is requested. Raises InvalidContent."""
    usual = _flag(request.parameters, "binary_data_output", False)
    if not request.outputs:
        return [Wanted(name, usual) for name in known]
    names = [output.name for output in request.outputs]
    for output in request.outputs:
        if output.name not in known:
            there = f"There {'are' if len(known) > 1 else 'is'} {' and '.join(known)}."
            raise InvalidContent(f'"{output.name[:100]}" is no output of this version. {there}')
        if names.count(output.name) > 1:
            raise InvalidContent(f"{output.name} is asked for more than once.")
        _check_served(output.parameters, output.name)
    return [Wanted(o.name, _flag(o.parameters, "binary_data", usual)) for o in request.outputs]


def _check_served(parameters: Parameters, of: str) -> None:
    for name in parameters:
        if name in UNSERVED:
            raise InvalidContent(f"{of} has the parameter {name}. {UNSERVED[name]}")


def _flag(parameters: Parameters, name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InvalidContent(f"{name} is true or false.")
    return value


def _source(parameters: Parameters) -> str | None:
    _check_served(parameters, "The request")
    source = parameters.get("source")
    if source is not None and not (isinstance(source, str) and len(source) <= LONGEST_SOURCE):
        raise InvalidContent(f"source is text of at most {LONGEST_SOURCE} characters.")
    return source


def _level(parameters: Parameters) -> float | None:
    level = parameters.get("level")
    if level is None:
        return None
    if isinstance(level, bool | str) or not LEAST_LEVEL <= level <= MOST_LEVEL:
        raise InvalidContent(f"level is a number from {LEAST_LEVEL} to {MOST_LEVEL}.")
    return level


def _timeout(parameters: Parameters) -> float | None:
    microseconds = parameters.get("timeout")
    if microseconds is None:
        return None
    if isinstance(microseconds, bool) or not isinstance(microseconds, int) or microseconds < 0:
        raise InvalidContent("timeout is a whole number of microseconds, 0 or more.")
    return microseconds / 1e6 if microseconds else None
