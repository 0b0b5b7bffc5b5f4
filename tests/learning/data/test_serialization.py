"""Bytes of tensors and rows: reproducible, and damaged ones are told apart from good ones."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from service.errors import CorruptArtifact
from service.learning.data.serialization import digest, pack, pack_rows, pack_shard, unpack, unpack_rows, unpack_shard
from tests.updating import make_rows

TENSORS = {"b": np.arange(6, dtype=np.int16).reshape(2, 3), "a": np.float64(2.5), "none": np.zeros((0, 4), np.float32)}
META = {"z": [1, None], "a": {"é": True}}


def test_equal_content_gives_equal_bytes_in_any_order() -> None:
    one = pack(TENSORS, META)
    two = pack(dict(reversed(TENSORS.items())), dict(reversed(META.items())))
    assert one == two
    assert digest(one) == digest(two)
    assert len(digest(one)) == 64


def test_what_was_packed_comes_back() -> None:
    tensors, meta = unpack(pack(TENSORS, META))
    assert meta == META
    for name, values in TENSORS.items():
        assert tensors[name].dtype == values.dtype
        assert np.array_equal(tensors[name], values)


def damaged() -> dict[str, bytes]:
    good = pack(TENSORS, META)
    huge = (2**60).to_bytes(8, "little")
    return {
        "empty": b"",
        "cut in the length": good[:5],
        "cut in the header": good[:40],
        "cut in the data": good[:-1],
        "padded": good + b"\0",
        "a huge header": huge + good[8:],
        "no JSON": good[:8] + b"\xff" + good[9:],
        "another's": (2).to_bytes(8, "little") + b"{}",
        "noise": b"\x93NUMPY" * 40,
    }


def test_damaged_bytes_are_refused_in_words() -> None:
    for data in damaged().values():
        for read in (unpack, unpack_shard):
            with pytest.raises(CorruptArtifact):
                read(data)


def test_a_shard_comes_back_writable_and_whole() -> None:
    tensors = {"weight": torch.randn(3, 2).T, "scalar": torch.tensor(1.5), "shape": torch.tensor([1, 2])}
    tensors |= {"none": torch.zeros(0, 4), "bytes": torch.arange(3, dtype=torch.uint8), "yes": torch.tensor([True])}
    again = unpack_shard(pack_shard(tensors))
    assert all(torch.equal(again[name], t) and again[name].dtype == t.dtype for name, t in tensors.items())
    again["weight"][0] = 0
    assert list(unpack_shard(pack_shard({"none": torch.zeros(0, 4)}))["none"].shape) == [0, 4]


@pytest.mark.parametrize("dtype", ["uint8", "float32", "int16"])
def test_rows_come_back(dtype: str) -> None:
    inputs = np.arange(24).reshape(4, 2, 3).astype(dtype)
    rows = make_rows("bat_1", inputs, ["a", "ü", "a", "b"], b"secret", source="line 2")
    again = unpack_rows(pack_rows(rows))
    for name, value in vars(rows).items():
        assert np.array_equal(getattr(again, name), value), name
        assert getattr(getattr(again, name), "dtype", None) == getattr(value, "dtype", None), name
    assert pack_rows(again) == pack_rows(rows)


def test_other_bytes_are_no_rows() -> None:
    with pytest.raises(CorruptArtifact, match="no rows"):
        unpack_rows(pack(TENSORS))


def test_packing_needs_no_torch() -> None:
    code = (
        "import sys, service.learning.data.serialization as s; s.unpack(s.pack({})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
