"""Safetensors files: what the library writes is read, anything else is refused with a reason."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from service.errors import InvalidContent
from service.intake.formats.multipart import read_parts
from service.intake.formats.safetensors_file import read_weights

TENSORS = {
    "head.0/weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "half": np.ones(4, np.float16),
    "double": np.array([0.5]),
    "count": np.array(7),
    "nothing": np.zeros((0, 3), np.float32),
}
GOOD = save(TENSORS, {"classes": '["a"]'})


def test_what_the_library_writes_is_read() -> None:
    read = read_weights(GOOD)
    assert read.metadata == {"classes": '["a"]'}
    assert read.tensors.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        assert read.tensors[name].dtype == (np.float32 if array.dtype.kind == "f" else array.dtype)
        assert read.tensors[name].tolist() == array.tolist()


def made(header: Any, tensors: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + tensors


def one(**changes: Any) -> dict[str, Any]:
    return {"t": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **changes}}


def test_faults_are_named() -> None:
    for data, sentence in [
        (b"", "too few"),
        (b"\x00" * 7, "too few"),
        (b"\xff" * 8 + b"{}", "too few"),
        (GOOD[:-1], "bytes"),
        (GOOD + b"\x00", "follow the header"),
        (made(b"{"), "read: its header is not JSON: .*, line 1, column 2[.]$"),
        (made(b"\xff\xfe"), "read: its header is not UTF-8: byte 0 begins no character[.]$"),
        (made(b'{"a": 1, "a": 2}'), "twice"),
        (made(b"[" * 100_000), "read: its header is nested too deeply[.]$"),
        (made([]), "not an object"),
        (made({"t": 5}), "no dtype"),
        (made(one(dtype="F4"), b"\x00" * 4), "its type is none of"),
        (made(one(shape=[-1]), b"\x00" * 4), "its shape is not"),
        (made(one(shape=[1.0]), b"\x00" * 4), "its shape is not"),
        (made(one(shape=[True]), b"\x00" * 4), "its shape is not"),
        (made(one(shape=[2**40, 2**40]), b"\x00" * 4), "do not agree"),
        (made(one(shape=[1] * 9), b"\x00" * 4), "its shape is not"),
        (made(one(shape=[2**48] * 7 + [0], data_offsets=[0, 0])), "too large, though it has no elements"),
        (made(one(data_offsets=[4, 0]), b"\x00" * 4), "do not agree"),
        (made(one(data_offsets=[4, 8]), b"\x00" * 8), "leave gaps"),
        (made(one(data_offsets=[0]), b"\x00" * 4), "data_offsets"),
        (made({**one(), "u": one()["t"]}, b"\x00" * 4), "overlap"),
        (made(one(), np.float32(np.nan).tobytes()), "not finite"),
        (made({"t": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}, np.float64(1e300).tobytes()), "float32"),
        (made({"__metadata__": {"a": 1}}), "__metadata__"),
        (made({"__metadata__": 5}), "__metadata__"),
    ]:
        with pytest.raises(InvalidContent, match=sentence) as caught:
            read_weights(data)
        assert caught.value.errors[0][0].startswith("/weights"), data


@pytest.mark.long
@settings(max_examples=300)
@given(st.data())
def test_damaged_files_are_read_or_refused(draw: st.DataObject) -> None:
    damaged = bytearray(GOOD)
    for _ in range(draw.draw(st.integers(1, 4))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    for attempt in (bytes(damaged), bytes(damaged[: draw.draw(st.integers(0, len(damaged)))]), draw.draw(st.binary())):
        with contextlib.suppress(InvalidContent):
            for array in read_weights(attempt).tensors.values():
                assert np.isfinite(array).all()


def form(parts: dict[str, bytes], boundary: str = "xx") -> bytes:
    pieces = [
        f'--{boundary}\r\nContent-Disposition: form-data; filename="f"; name="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in parts.items()
    ]
    return b"".join(pieces) + f"--{boundary}--\r\n".encode()


@given(
    st.dictionaries(
        st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=9), st.binary(max_size=60), min_size=1, max_size=8
    )
)
def test_parts_come_back_byte_by_byte(parts: dict[str, bytes]) -> None:
    boundary = "a-boundary-that-no-part-holds"
    assert read_parts(form(parts, boundary), f'multipart/form-data; boundary="{boundary}"') == parts
    assert read_parts(b"before\r\n" + form(parts, boundary), f"multipart/form-data; boundary={boundary}") == parts


@pytest.mark.long
@given(st.binary(max_size=200), st.text(max_size=40))
def test_other_bodies_are_refused(data: bytes, content_type: str) -> None:
    with contextlib.suppress(InvalidContent):
        read_parts(b"--xx\r\n" + data, "multipart/form-data; boundary=xx")
    with contextlib.suppress(InvalidContent):
        read_parts(data, content_type)


def test_faults_of_multipart_are_named() -> None:
    for data, sentence in [
        (b"", "last boundary"),
        (form({"a": b""})[:-6], "last boundary"),
        (form({f"p{k}": b"" for k in range(20)}), "more than 8 parts"),
        (form({"a": b""}).replace(b'name="a"', b"name=a"), "no name"),
        (b"--xx\r\nnothing\r\n--xx--", "no headers"),
        (form({"a": b"1"})[:-8] + b"\r\n" + form({"a": b"2"}), "two parts"),
    ]:
        with pytest.raises(InvalidContent, match=sentence):
            read_parts(data, "multipart/form-data; boundary=xx")
