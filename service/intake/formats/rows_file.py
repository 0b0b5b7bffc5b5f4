"""A safetensors file as the body of rows: the tensor `inputs`, and in its metadata, as `body`, all else that JSON says.

Numbers travel as they are in memory; what is stored of them is what is stored of the same rows in JSON.
"""

from __future__ import annotations

from dataclasses import replace

from service.contract.body_limits import MOST_DEPTH
from service.contract.enums import CSV, JSON
from service.contract.inputs import ImageInput, InputSpec, VectorInput
from service.errors import InvalidContent, UnsupportedMedia
from service.intake.formats.raw import check_shape
from service.intake.formats.safetensors_file import read_weights
from service.intake.json_body import ROWS, JsonBody, read_object
from service.intake.kinds.numbers import narrowed

BODY = "body"
"""The metadata that holds JSON."""


def read_rows_file(
    data: bytes, spec: InputSpec, model: str, apart: tuple[str, ...], depth: int = MOST_DEPTH
) -> JsonBody:
    """The body of JSON that says the same, its rows an array as `read_rows` gives them; members that are named in
    `apart` are cut out where they are long. Raises BrokenJSON, InvalidContent, UnsupportedMedia."""
    if not isinstance(spec, VectorInput | ImageInput):
        raise UnsupportedMedia(f"{model} takes no rows of numbers. Send {JSON} or {CSV}.")
    try:
        file = read_weights(data, doubles=())
    except InvalidContent as fault:
        raise InvalidContent.at("", fault.detail) from None
    body = read_object(file.metadata.get(BODY, "{}").encode("utf-8", "replace"), apart, depth=depth)
    if file.tensors.keys() != {ROWS} or ROWS in body.members:
        sentence = (
            f'The tensor "{ROWS}" holds the rows, and the metadata "{BODY}" all else, as JSON. There is no other.'
        )
        raise InvalidContent.at("", sentence)
    rows = file.tensors[ROWS]
    check_shape(rows.shape, spec.shape, model)
    text = b'{"%b":[]%b%b' % (ROWS.encode(), b"," * bool(body.members), body.text.strip()[1:])
    return replace(body, members={ROWS: [], **body.members}, text=text, rows=narrowed(rows))
