"""An image that is numbers, as a small PNG (ISO/IEC 15948) in a data: address."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

SIDE = 64
"""Pixels of the longer side at most: of a larger image every second, third ... pixel is shown."""
COLOURS = {1: 0, 3: 2, 4: 6}
"""Type of colour in the header of a PNG file, by the number of channels."""

Image = Sequence[Sequence[Sequence[float]]]


def picture(image: Image, low: float, high: float) -> str:
    """image [channels, height, width]; low is black, high is white. Of channels that are no colours the first is shown.
    -> the address"""
    channels = image if len(image) in COLOURS else image[:1]
    step = -(-max(len(image[0]), len(image[0][0])) // SIDE)
    shades = [[[_shade(pixel, low, high) for pixel in row[::step]] for row in plane[::step]] for plane in channels]
    lines = [
        b"\0" + bytes(shade for pixel in zip(*rows, strict=True) for shade in pixel)
        for rows in zip(*shades, strict=True)
    ]
    height, width = len(shades[0]), len(shades[0][0])
    header = struct.pack(">IIBBBBB", width, height, 8, COLOURS[len(channels)], 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"".join(lines)))
    return "data:image/png;base64," + base64.b64encode(data + _chunk(b"IEND", b"")).decode()


def _shade(value: float, low: float, high: float) -> int:
    return min(max(round(255 * (value - low) / ((high - low) or 1)), 0), 255)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
