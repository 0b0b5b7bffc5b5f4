"""What a Parquet file unpacks to, as it says at its end.

Its end is a struct of Thrift's compact protocol (apache/parquet-format, parquet.thrift; apache/thrift,
thrift-compact-protocol.md). Neither polars nor pandas says how large a file is before they read it.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

MAGIC = b"PAR1"
ROW_GROUPS = 4
"""The field of the struct that lists the groups of rows."""
COLUMNS, BYTES, ROWS = 1, 2, 3
"""The fields of a group: its columns, the bytes of its pages before they are packed, and its rows."""
BYTES_OF_A_VALUE = 8
"""In memory, whatever a page makes of it: a value that comes again and again takes no room there."""
MOST_DEPTH = 32
_DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)


def unpacked_size(path: Path) -> int:
    """Bytes of its pages once they are unpacked, or of its values in memory if these are more. Raises ValueError for
    what is no Parquet file."""
    with path.open("rb") as file:
        size = path.stat().st_size
        file.seek(max(0, size - 8))
        end = file.read(8)
        if len(end) < 8 or end[4:] != MAGIC:
            raise ValueError("it does not end as Parquet files do")
        length = struct.unpack("<I", end[:4])[0]
        if length > size - 12:
            raise ValueError("its end says that it begins before the file does")
        file.seek(size - 8 - length)
        data = file.read(length)
    try:
        groups = _Compact(data).struct(0).get(ROW_GROUPS) or []
        return sum(max(group[BYTES], group[ROWS] * len(group[COLUMNS]) * BYTES_OF_A_VALUE) for group in groups)
    except (IndexError, KeyError, TypeError, AttributeError):
        raise ValueError("its end is broken") from None


class _Compact:
    """Reads one struct. Integers, lists and structs are kept, and all else is passed over: None."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def struct(self, depth: int) -> dict[int, Any]:
        """Values by the numbers of their fields. Raises ValueError, IndexError."""
        if depth > MOST_DEPTH:
            raise ValueError("its end is nested too deeply")
        fields, number = dict[int, Any](), 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            number = number + step if step else self._integer()
            fields[number] = None if kind in (1, 2) else self._value(kind, depth)  # true and false stand in the head
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _INTEGERS:
            return self._integer()
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            head = self._byte()
            count, of = head >> 4, head & 15
            count = self._number() if count == 15 else count
            if count > len(self._data) - self._at:  # each takes a byte at least
                raise ValueError("its end is broken")
            return [self._value(of, depth + 1) for _ in range(count)]
        if kind not in (1, 2, 3, _DOUBLE, _BINARY):  # a map, of which the format has none
            raise ValueError("its end has what Parquet files do not have")
        length = self._number() if kind == _BINARY else 8 if kind == _DOUBLE else 1
        self._at += length
        return None

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _number(self) -> int:
        """Seven bits a byte, the lowest first. Raises ValueError for more than 64."""
        value = 0
        for shift in range(0, 64, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("its end has a number of more than 64 bits")

    def _integer(self) -> int:
        """With its sign in the lowest bit."""
        value = self._number()
        return (value >> 1) ^ -(value & 1)
