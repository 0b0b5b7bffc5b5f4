"""The pieces of a PNG or JPEG file, counted before anything is decoded: each of them takes a decoder time.

A JPEG whose last scan is repeated passes over all its pixels for every ten bytes of it; a file of empty segments or
chunks, or of the same text packed well, takes memory and time that its pixels do not ask for.
"""

from __future__ import annotations

import re
import warnings
import zlib
from collections.abc import Iterator
from itertools import islice

from PIL import PngImagePlugin

BROKEN = "cannot be decoded: it is broken or cut short."
MOST_SCANS = 100
"""Most scans of a JPEG, which are passes over all of its pixels: encoders make ten, some of them about twenty."""
MOST_PIECES = 10_000
"""Most segments of a JPEG, and chunks of a PNG: each takes the decoder some microseconds."""
MOST_TEXT_BYTES = 4 * 2**20
"""Most bytes of the texts of a PNG, and of its colour profile, unpacked."""
_MARKER = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")
"""A marker that begins a segment; in pixels, 0xff is followed by 0x00 or by a restart marker."""
_START_OF_SCAN, _END = 0xDA, 0xD9
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Channels of the colour types of a PNG."""
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Where the passes of an interlaced PNG begin, and their steps: x, y, dx, dy (PNG specification, section 8.2)."""
_ALONE = (0x01, 0xD8)
"""Markers without a segment behind them."""

PngImagePlugin.MAX_TEXT_MEMORY = MOST_TEXT_BYTES  # it has 64 MiB
PngImagePlugin.MAX_TEXT_CHUNK = MOST_TEXT_BYTES  # it has 1 MiB
_TOO_MUCH_TEXT = ("MAX_TEXT_CHUNK", "text chunks")
"""Words of the decoder's errors about longer texts and colour profiles."""
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # a line in the log for each broken entry


def fault_of_pieces(data: bytes, kind: str) -> str | None:
    """The sentence, which goes on after "This JPEG", for a file of too many pieces; None where they are few enough."""
    chunks = islice(_chunks(data), MOST_PIECES + 1)
    pieces, scans = _jpeg(data) if kind == "JPEG" else (sum(1 for _ in chunks), 0)
    if scans > MOST_SCANS:
        return f"has more than {MOST_SCANS} scans. Save it anew."
    if pieces > MOST_PIECES:
        return f"has more than {MOST_PIECES:,} pieces. Save it anew."
    return None


def too_much_text(error: Exception) -> bool:
    """Whether a decoder refused a PNG for its texts or its colour profile."""
    return isinstance(error, ValueError) and any(words in str(error) for words in _TOO_MUCH_TEXT)


def _jpeg(data: bytes) -> tuple[int, int]:
    """-> segments and scans: upper bounds where they are within the limits, else counted one by one up to the limits"""
    scans, segments = data.count(b"\xff%c" % _START_OF_SCAN), data.count(b"\xff") - data.count(b"\xff\x00")
    if scans <= MOST_SCANS and segments <= MOST_PIECES:
        return segments, scans
    at = segments = scans = 0
    while segments <= MOST_PIECES and scans <= MOST_SCANS and (marker_match := _MARKER.search(data, at)) is not None:
        segments, at = segments + 1 + len(marker_match[0]) // 16, marker_match.end()
        marker = data[at - 1]
        if marker == _END:
            break
        if marker in _ALONE:
            continue
        scans += marker == _START_OF_SCAN
        at += max(2, int.from_bytes(data[at : at + 2], "big"))
    return segments, scans


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind of each chunk of a PNG, and where its content begins and ends, also where the file is cut short."""
    at = 8
    while at < len(data):
        start = at + 8
        stop = start + int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : start], start, stop
        at = stop + 4


def lacks_pixels(data: bytes, width: int, height: int) -> bool:
    """Whether pixels of a PNG, its palette or its end are missing: a decoder would make them up.

    No more bytes are unpacked than that many pixels have.
    """
    packed, palette, whole = list[bytes](), False, False
    bits, colours, interlaced = data[24], data[25], data[28]
    for kind, start, stop in _chunks(data):
        palette |= kind == b"PLTE"
        if kind == b"IDAT":
            packed.append(data[start:stop])
        elif kind == b"IEND":
            whole = stop + 4 <= len(data)
            break
    if not whole or (colours == 3 and not palette):
        return True
    channels = _CHANNELS.get(colours, 1)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    sizes = [(-(-max(width - x, 0) // dx), -(-max(height - y, 0) // dy)) for x, y, dx, dy in passes]
    wanted = sum(lines * (1 + -(-columns * channels * bits // 8)) for columns, lines in sizes if columns and lines)
    try:
        return len(zlib.decompressobj().decompress(b"".join(packed), wanted)) < wanted
    except zlib.error:
        return True
