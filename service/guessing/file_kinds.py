"""What a file is by its first bytes, where it is no CSV file."""

from __future__ import annotations

import re

from service.guessing.unguessable import Unguessable

HEAD_BYTES = 4096
"""By which it is seen what a file is."""
JSON_BEGINS = re.compile(rb"\s*(?:\{\s*[\"}]|\[\s*[\[{])")
"""How rows in JSON begin, and no header does."""
JSON_LINES = re.compile(rb"\s*\{[^\n]*\}[^\S\n]*\n\s*\{")
PAGE_BEGINS = re.compile(rb"\s*<(?:!doctype html|html|\?xml)", re.IGNORECASE)
EXCEL_NOTE = re.compile(rb'"?sep=[^\r\n]?"?[\r\n]', re.IGNORECASE)
"""What Excel is told of what parts cells, above the names of columns."""
IN_WORKBOOKS = (b"[Content_Types].xml", b"xl/", b"opendocument.spreadsheet")
"""What the beginning of a workbook names, which is a zip archive."""
BEGINNINGS = {
    b"\xd0\xcf\x11\xe0": ("workbook", ""),
    b"PAR1": ("parquet", ""),
    b"\x1f\x8b": ("packed", "gzip"),
    b"BZh": ("packed", "bzip2"),
    b"\xfd7zXZ": ("packed", "xz"),
    b"\x28\xb5\x2f\xfd": ("packed", "zstd"),
    b"7z\xbc\xaf": ("packed", "7-Zip"),
    b"\x89PNG": ("picture", "PNG"),
    b"\xff\xd8\xff": ("picture", "JPEG"),
    b"GIF8": ("picture", "GIF"),
    b"%PDF": ("pdf", ""),
    b"SQLite format 3": ("sqlite", ""),
    b"\x93NUMPY": ("arrays", "an array of numpy"),
    b"\x89HDF": ("arrays", "arrays in HDF5"),
    b"ARROW1": ("arrays", "a table of Arrow (Feather)"),
}
"""First bytes of other files -> what they are, a key of SENTENCES, and by what name."""


def other_file(head: bytes) -> Unguessable | None:
    """What a file is that begins so; None where it may be a CSV file."""
    text = head.removeprefix(b"\xef\xbb\xbf")
    if JSON_BEGINS.match(text):
        return Unguessable("json_lines" if JSON_LINES.match(text) else "json")
    if EXCEL_NOTE.match(text):
        return Unguessable("excel_note")
    if PAGE_BEGINS.match(text):
        return Unguessable("page")
    if head.startswith(b"PK\x03\x04"):
        return Unguessable(_in_zip(head))
    for begins, (kind, name) in BEGINNINGS.items():
        if head.startswith(begins):
            return Unguessable(kind, name=name)
    return None


def _in_zip(head: bytes) -> str:
    """What a zip archive is, by the name of its first file: arrays of numpy end with .npy."""
    if any(name in head[:HEAD_BYTES] for name in IN_WORKBOOKS):
        return "workbook"
    first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    return "npz" if first.endswith(b".npy") else "archive"
