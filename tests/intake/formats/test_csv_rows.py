"""CSV files of vectors and of texts: the rows that JSON has, in the order of the file, refused with line and column."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from service.contract.inputs import TextInput, VectorInput
from service.contract.targets.class_target import ClassTarget
from service.contract.targets.number_target import NumberTarget
from service.errors import InvalidContent
from service.intake.formats.csv_header import Meant, Spec
from service.intake.formats.csv_table import CsvTable, read_csv
from service.intake.kinds.rows import read_rows

NAMED = VectorInput(kind="vector", size=3, names=["a", "b", "c"])
VECTOR, TEXT = VectorInput(kind="vector", size=3), TextInput(kind="text", length=20)
CLASS, PRICE = Meant(ClassTarget()), Meant(NumberTarget(kind="number"), ("price",))
ASKED = Meant()
NUMBERS = [[1, -2.5, 1e-50], [0.1, 16777217, 3.25]]
WRITTEN = "p0,p1,label,p2\n1,-2.5,a,1e-50\n0.1, 16777217 ,b,3.25\n"
GOOD = "1,2,a,3\n" * 5


def read(text: str, meant: Meant, spec: Spec) -> CsvTable:
    return read_csv([text.encode()], spec, meant, "wine")


def test_vectors_are_those_of_json() -> None:
    table = read(WRITTEN, CLASS, VECTOR)
    expected = read_rows(NUMBERS, VECTOR, "wine")
    assert table.named.rows.dtype == expected.dtype == np.float32
    np.testing.assert_array_equal(table.named.rows, expected)
    assert (table.labels, table.named.names, table.notes) == (["a", "b"], {}, [])
    targets = read("price,x,house,y,z\n5,1,k,2,3\n,4,,5,6\n", Meant(PRICE.target, PRICE.targets, "house"), VECTOR)
    np.testing.assert_array_equal(targets.named.rows, [[1, 2, 3], [4, 5, 6]])
    assert targets.targets is not None
    np.testing.assert_array_equal(targets.targets, [[5], [np.nan]])
    assert targets.groups == ["k", None]


def test_texts_are_those_of_json() -> None:
    texts = ["my card, please", ' cafe\u0301\n"x" ', "東京", "NA"]
    out = io.StringIO()
    csv.writer(out).writerows([["text", "label"], *([text, "a"] for text in texts)])
    table = read(out.getvalue(), CLASS, TEXT)
    assert table.named.rows.dtype == object
    assert table.named.rows.tolist() == read_rows(texts, TEXT, "wine").tolist()
    assert read("question\nhello\n", ASKED, TEXT).named.rows.tolist() == ["hello"]


def test_rows_to_be_predicted_leave_out_what_is_right() -> None:
    for meant, header, left_out in [
        (ASKED, "a,b,c", []),
        (ASKED, "a,label,b,c", ["label"]),
        (ASKED, "target,a,label,b,c", ["target", "label"]),
        (Meant(targets=("species",)), "a,b,c,species", ["species"]),
        (ASKED, "0,1,2", []),
        (ASKED, "2019,2020,2021,label", ["label"]),
    ]:
        names = header.split(",")
        table = read(f"{header}\n{','.join('1' if name in left_out else '7' for name in names)}\n", meant, VECTOR)
        assert table.named.rows.tolist() == [[7, 7, 7]], meant
        assert bool(table.notes) == bool(left_out), meant
        assert all(f'"{name}"' in table.notes[0] for name in left_out), meant


FAULTS = [
    ("line 7", VECTOR, f"a,b,label,c\n{GOOD}1,2,a\n", "/inputs/5", "Line 7 has 3 cells, and the header 4."),
    (
        "a word",
        VECTOR,
        f"a,b,label,c\n{GOOD}1,two,a,3\n",
        "/inputs/5/1",
        'Line 7, column "b": "two" is not a number: write one such as 12.5, without unit, or leave the row out.',
    ),
    (
        "a gap",
        VECTOR,
        f"a,b,label,c\n{GOOD}1,2,a,\n1,x,a,3\n",
        "/inputs/5/2",
        'Line 7, column "c": It is empty. There is no rule for missing values: fill it in, or leave the row out.',
    ),
    ("NaN", VECTOR, "a,b,c,label\n1,NaN,3,a\n", "/inputs/0/1", 'column "b": NaN is no number. There is no rule'),
    ("beyond a float32", VECTOR, "a,b,c,label\n1,4e38,3,a\n", "/inputs/0/1", "beyond what a float32 can hold"),
    ("no label", VECTOR, "a,b,c\n1,2,3\n", "/target", 'No column is called "target" or "label": say which'),
    ("no header", VECTOR, "5.1,3.5,1.4,setosa\n", "/inputs", "Line 1 has numbers where columns are named."),
    (
        "too many columns",
        VECTOR,
        "id,a,b,c,label\n1,1,2,3,a\n",
        "/inputs",
        'Line 1, the header: wine takes 3 numbers a row, and there are 4 columns beside "label": "id", "a", "b", "c".',
    ),
    (
        "a column too few",
        VECTOR,
        "x0,x2,label\n1,2,a\n",
        "/inputs",
        'there are 2 columns beside "label": "x0", "x2". "x1" is missing in their numbering: add it, or make a '
        "model of its own for such rows.",
    ),
    ("few columns", VECTOR, "a,b,label\n1,2,a\n", "/inputs", '"a", "b". Add what is missing, or make a'),
    (
        "other separators",
        VECTOR,
        "a|b|c|label\n1|2|3|a\n",
        "/inputs",
        "Line 1: This CSV file has one column, a|b|c|label. Save it with commas",
    ),
    ("no label of a text", TEXT, "text,class\nhello,a\n", "/target", 'target="NAME"'),
    ("two columns", TEXT, "id,text,label\n1,hello,a\n", "/inputs", "wine takes one text a row, and there are 2"),
    ("an empty text", TEXT, 'text,label\nhello,a\n" ",a\n', "/inputs/1", 'Line 3, column "text": It is empty.'),
    ("a long text", TEXT, f"text,label\n{'x' * 21},a\n", "/inputs/0", "It has 21 characters; wine takes at most 20."),
]  # fmt: skip


def test_a_fault_is_told_with_its_line_and_column() -> None:
    for spec, text, pointer, words in [case[1:] for case in FAULTS]:
        with pytest.raises(InvalidContent) as refused:
            read(text, CLASS, spec)
        ((at, sentence),) = refused.value.errors
        assert (at, refused.value.detail) == (pointer, sentence), spec
        assert words in sentence, spec


def test_wavelengths_are_names_of_columns() -> None:
    waves = VectorInput(kind="vector", size=5)
    table = read("kind,400.5,401,401.5,402,402.5\na,1,2,3,4,5\n", Meant(ClassTarget(), ("kind",)), waves)
    assert table.named.rows.tolist() == [[1, 2, 3, 4, 5]]
    with pytest.raises(InvalidContent, match="Line 1 has numbers"):
        read("a,400.5,401,400,402,402.5\na,1,2,3,4,5\n", Meant(ClassTarget(), ("a",)), waves)


def test_a_row_of_numbers_is_no_header() -> None:
    for header in ["5.1,3.5,1.4", "1,2,4", "-1,2,3", "0,0,0"]:
        with pytest.raises(InvalidContent, match=r"Line 1 has numbers where columns are named\. The first line"):
            read(f"{header}\n1,2,3\n", ASKED, VECTOR)


def test_numbers_are_names_where_the_columns_of_the_model_are_called_so() -> None:
    named = VectorInput(kind="vector", size=3, names=["0", "1", "2"])
    table = read("2,0,1\n7,5,6\n", ASKED, named)
    assert table.named.rows.tolist() == [[5, 6, 7]]
    assert read("2,0,kind,1\n7,5,a,6\n", Meant(ClassTarget(), ("kind",)), named).named.rows.tolist() == [[5, 6, 7]]
    with pytest.raises(InvalidContent, match='"1" is missing'):
        read("2,0,4\n7,5,6\n", ASKED, named)
    with pytest.raises(InvalidContent, match="The first line of a file is its header"):
        read("5.1,3.5,1.4\n1,2,3\n", ASKED, named)


def test_a_long_name_is_not_put_in_order() -> None:
    """To compose k combining marks takes k x k steps: this one takes hours."""
    with pytest.raises(InvalidContent, match="the header"):
        read("a,b," + "\u0316\u0300" * 60_000 + ",label\n1,2,3,x\n", CLASS, NAMED)


def test_a_refusal_shows_what_nobody_sees_in_a_name() -> None:
    for name in ("a\u200b", "\u202ea"):
        with pytest.raises(InvalidContent) as refused:
            read(f"{name},b,c\n1,2,3\n", ASKED, NAMED)
        assert f'no column "{name.encode("unicode_escape").decode()}"' in refused.value.detail
        with pytest.raises(InvalidContent) as refused:
            read_rows([{name: 1, "b": 2, "c": 3}], NAMED, "wine")
        assert f'"{name.encode("unicode_escape").decode()}" is no column' in refused.value.detail


def test_no_matter_where_the_pieces_are_cut() -> None:
    for text, spec in ((WRITTEN.encode(), VECTOR), ('text,label\n"a\r\nb",x\r\nZürich,y\n'.encode(), TEXT)):
        whole = read_csv([text], spec, CLASS, "wine")
        for cut in range(1, len(text)):
            parts = read_csv([text[:cut], text[cut:]], spec, CLASS, "wine")
            assert json.dumps(parts.named.rows.tolist()) == json.dumps(whole.named.rows.tolist())
