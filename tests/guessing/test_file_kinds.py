"""A file that is no CSV file is told by its first bytes, by name and with what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sqlite3
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from service.guessing.file_kinds import HEAD_BYTES, other_file
from service.guessing.unguessable import SENTENCES

TEXT = b"a,b,label\n1,2,x\n"


def other_files(folder: Path) -> dict[str, bytes]:
    """Files of other kinds, made by those that make them -> by a word of what is said of each."""
    picture, archive, array, packed = io.BytesIO(), io.BytesIO(), io.BytesIO(), io.BytesIO()
    Image.new("L", (2, 2)).save(picture, "PNG")
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("a.csv", TEXT)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("[Content_Types].xml", "<Types/>")
        file.writestr("xl/workbook.xml", "<workbook/>")
    np.save(array, np.zeros(3))
    np.savez(arrays := io.BytesIO(), inputs=np.zeros(3), labels=np.zeros(3))
    base = sqlite3.connect(folder / "a.db")
    base.execute("create table a (b)")
    base.close()
    return {
        "packed by gzip": gzip.compress(TEXT),
        "packed by bzip2": bz2.compress(TEXT),
        "packed by xz": lzma.compress(TEXT),
        "a picture, PNG": picture.getvalue(),
        "a PDF": b"%PDF-1.7\n",
        "a workbook of a spreadsheet": archive.getvalue(),
        "a zip archive": packed.getvalue(),
        "is npz": arrays.getvalue(),
        "Parquet": b"PAR1\x15\x04",
        "an SQLite database": (folder / "a.db").read_bytes(),
        "holds an array of numpy": array.getvalue(),
        "is JSON, and": b'[{"a": 1, "label": "b"}]',
        "JSON lines": b'{"a": 1, "label": "b"}\n{"a": 2, "label": "c"}\n',
        "a web page": b"<!DOCTYPE html>\n<html>",
    }


def test_other_files_are_told_by_name_and_csv_files_are_none(tmp_path: Path) -> None:
    for word, content in other_files(tmp_path).items():
        other = other_file(content[:HEAD_BYTES])
        assert other is not None, word
        assert word in str(other)
    for content in (
        TEXT,
        b"\xef\xbb\xbf" + TEXT,
        b"",
        TEXT.decode().encode("utf-16"),
        b"{a},b\n",
        b"[a],b\n",
        b"<b>,c\n",
    ):
        assert other_file(content) is None, content


def test_a_page_has_its_own_words_for_each() -> None:
    from service.web.words import catalogue

    for why in SENTENCES:
        for language in ("en", "ja"):
            assert f"make.file_{why}" in catalogue(language)
