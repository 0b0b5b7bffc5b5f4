"""CSV files of tables: what is read, and what is refused, with line and column."""

from __future__ import annotations

import csv
import io
import random
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np
import pytest

from service.contract.names import MOST_CLASSES
from service.contract.tables import TableInput, value_code
from service.contract.targets.class_target import ClassTarget
from service.contract.targets.number_target import NumberTarget
from service.errors import InvalidContent
from service.guessing.csv_files.records import LONGEST_RECORD, PIECE_BYTES
from service.intake.formats.csv_header import Meant
from service.intake.formats.csv_table import CsvTable, read_csv
from tests.tables import table_of

NAN = float("nan")
SPEC = table_of(
    {
        "rooms": "number",
        "city": "category",
        "plan": {"kind": "category", "values": ["basic", "NA"]},
        "key": {"kind": "category", "many": True},
        "booked": "date",
        "member": "boolean",
    }
)
HEADER = "rooms,city,plan,key,booked,member"
ROW = "2.5,Osaka,basic,k1,2026-11-29,true"
PRICE = Meant(NumberTarget(kind="number"), ("price",))
NUMBERS = table_of({"a": "number", "b": "number"})


def read(text: str | bytes, meant: Meant = Meant(), spec: TableInput = SPEC) -> CsvTable:  # noqa: B008
    return read_csv([text.encode() if isinstance(text, str) else text], spec, meant, "rents")


def refusal(text: str | bytes, meant: Meant = Meant(), spec: TableInput = SPEC) -> tuple[str, str]:  # noqa: B008
    """-> pointer, sentence"""
    with pytest.raises(InvalidContent) as refused:
        read(text, meant, spec)
    ((pointer, sentence),) = refused.value.errors
    assert refused.value.detail == sentence
    return pointer, sentence


def test_cells_are_what_the_same_values_are_in_json() -> None:
    table = read(f"{HEADER}\n-0.0,Osaka ,NA,k1,1970-01-02T00:00:01,TRUE\n,,,,,\n1e3, Kyoto,basic,k2,1970-01-01,false")
    osaka, kyoto = value_code("Osaka"), value_code("Kyoto")
    expected = [
        [0, osaka, value_code("NA"), value_code("k1"), 86_401, 1],
        [NAN] * 6,
        [1000, kyoto, value_code("basic"), value_code("k2"), 0, 0],
    ]
    np.testing.assert_array_equal(table.named.rows, expected)
    assert not np.signbit(table.named.rows[0, 0])
    assert table.named.names == {1: {osaka: "Osaka", kyoto: "Kyoto"}}


def test_columns_come_in_any_order_beside_target_and_group() -> None:
    text = "\ufeff b ,price,shop,a\r\n2,3.5,x,1\r\n,,,4\r\n"
    table = read(text, Meant(NumberTarget(kind="number"), ("price",), "shop"), NUMBERS)
    np.testing.assert_array_equal(table.named.rows, [[1, 2], [4, NAN]])
    assert table.targets is not None
    np.testing.assert_array_equal(table.targets, [[3.5], [NAN]])
    assert table.groups == ["x", None]
    assert table.labels is None
    aside = Meant(NumberTarget(kind="number"), ("price",), None, ("id", "shop"))
    table = read("id,b,price,shop,a\nk1,2,3.5,x,1\n", aside, NUMBERS)
    np.testing.assert_array_equal(table.named.rows, [[1, 2]])
    assert table.notes == []
    labels = read("a,label,b\n1,7,2\n1,,2\n1, yes ,2", Meant(ClassTarget()), NUMBERS).labels
    assert labels == ["7", None, "yes"]


def test_words_for_nothing_are_gaps_where_somebody_says_so() -> None:
    meant = Meant(ClassTarget(), ("kind",), "shop", gaps=("NA", "-9"))
    table = read("a,b,kind,shop\nNA,2,x,NA\n1, NA ,NA,s\n-9,4,y,-9\n", meant, NUMBERS)
    np.testing.assert_array_equal(table.named.rows, [[NAN, 2], [1, NAN], [NAN, 4]])
    assert (table.labels, table.groups) == (["x", None, "y"], [None, "s", None])
    assert refusal("a,b\nNA,1\n", spec=NUMBERS)[1].endswith('nothing is known, or say gaps="NA".')


def test_the_target_is_found_by_its_name() -> None:
    for names, header, column in [
        (None, "target", "target"),
        (None, "label", "label"),
        (["EUR"], "EUR", "EUR"),
        (["EUR"], "target", "target"),
    ]:
        table = read(f"a,{header},b\n1,2,3\n", Meant(NumberTarget(kind="number", names=names)), NUMBERS)
        assert table.places.headers["targets"] == column, names
        assert table.targets is not None, names
        assert table.targets.tolist() == [[2]], names


def test_several_targets_have_a_column_each() -> None:
    two = NumberTarget(kind="number", size=2, names=["load", "peak"])
    text = "peak,a,b,load\n4,1,2,3\n,1,2,\n"
    for targets in ((), ("load", "peak")):
        table = read(text, Meant(two, targets), NUMBERS)
        assert table.targets is not None
        np.testing.assert_array_equal(table.targets, [[3, 4], [NAN, NAN]])
    pointer, sentence = refusal("peak,a,b,load\n4,1,2,3\n,1,2,5\n", Meant(two), NUMBERS)
    assert (pointer, "Line 3" in sentence, '"peak"' in sentence) == ("/targets/1/1", True, True)
    assert refusal(text, Meant(two, ("load", "load")), NUMBERS)[0] == "/target"


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_quoted_cells_hold_commas_quotes_and_lines(ends: str) -> None:
    text = f'city,rooms,plan,key,booked,member{ends}"Osaka, ""north"" ",1,,"a b",,{ends}{ends}New York,2,,,,x{ends}'
    pointer, sentence = refusal(text)
    assert pointer == "/inputs/1/member"
    assert sentence.startswith('Line 4, column "member": "x" is not true or false: write')
    assert read(text.replace(",x", ",")).named.names[1] == {value_code(v): v for v in ('Osaka, "north"', "New York")}
    two_lines = f'city,rooms,plan,key,booked,member{ends},1,,,,"{ends}true"{ends}oops'
    assert refusal(two_lines)[1].startswith("Line 4 has 1 cell, and the header 6.")


FAULTS = [
    ("12,5 a number", '"12,5",,,,,', "/inputs/0/rooms", '"12,5" is not a number here: write 12.5, a point'),
    ("thousands as in Germany", '"1.200,5",,,,,', "/inputs/0/rooms", "write 1200.5, a point for decimals and nothing"),
    ("thousands as in India", '"1,23,456",,,,,', "/inputs/0/rooms", "write a point for decimals and nothing between"),
    ("thousands as in France", '"1\u202f200,5",,,,,', "/inputs/0/rooms", "write 1200.5, a point"),
    ("control characters", "a\ab,,,,,", "/inputs/0/rooms", '"a b" is not a number'),
    ("a long text", f"{'x' * 41},,,,,", "/inputs/0/rooms", 'x..." is not a number'),
    ("a unit", "2 rooms,,,,,", "/inputs/0/rooms", "write 2, without unit, or leave"),
    ("a letter for a digit", "23O,,,,,", "/inputs/0/rooms", '"23O" is not a number: is it 230? Write one such as 12.5'),
    ("letters at digits", "5k,,,,,", "/inputs/0/rooms", "write one such as 12.5, without unit, or leave the cell"),
    ("a unit in kanji", "2室,,,,,", "/inputs/0/rooms", "write 2, without unit, or leave"),
    ("thousands in kanji", "2万円,,,,,", "/inputs/0/rooms", "write one such as 12.5"),
    ("words", "no data,,,,,", "/inputs/0/rooms", 'leave the cell empty, or say gaps="no data" if it says that nothing'),
    ("underscores", "1_000,,,,,", "/inputs/0/rooms", "write one such as 12.5"),
    ("digits of other scripts", "١٢,,,,,", "/inputs/0/rooms", "write one such as 12.5"),
    ("infinite", "inf,,,,,", "/inputs/0/rooms", "write one such as 12.5"),
    ("too large", "1e999,,,,,", "/inputs/0/rooms", "beyond"),
    *((f"{text} a number", f"{text},,,,,", "/inputs/0/rooms", "Leave the cell empty") for text in ("NA", "NaN", "-")),
    *((f"{text} a value", f",{text},,,,", "/inputs/0/city", "Leave the cell empty") for text in ("NA", "null", "-")),
    ("NaN many", ",,,NaN,,", "/inputs/0/key", "Leave the cell empty"),
    ("NA a boolean", ",,,,,NA", "/inputs/0/member", "Leave the cell empty"),
    ("NA a date", ",,,,NA,", "/inputs/0/booked", "Leave the cell empty"),
    ("a date", ",,,,29.11.26,", "/inputs/0/booked", '"29.11.26" is not a date here: write 2026-11-29'),
    ("words for a date", ",,,,k.A.,", "/inputs/0/booked", 'cell empty, or say gaps="k.A." if it says that nothing'),
    ("words for true", ",,,,,k.A.", "/inputs/0/member", 'cell empty, or say gaps="k.A." if it says that nothing'),
    ("half a day", ",,,,11/29/2026 5:30 PM,", "/inputs/0/booked", "Years have four digits, and hours go from 0 to 23."),
    ("no day", ",,,,2026-02-30,", "/inputs/0/booked", "no such day"),
    ("not declared", ",,bsic,,,", "/inputs/0/plan", '"basic"'),
    ("a long value", f",{'x' * 201},,,,", "/inputs/0/city", "200 characters"),
    (
        "too many cells",
        "1,2,3,4,5,6,7",
        "/inputs/0",
        "has 7 cells, and the header 6. A comma within a cell needs quotes around the cell; if it is a decimal",
    ),
    ("too few cells", "1,2", "/inputs/0", "has 2 cells, and the header 6."),
    ("a quote that stays open", 'a,"b\nc,d', "", "never closed"),
    ("something behind a quote", '1,"b"c,,,,', "", "behind the quote"),
    ("a NUL", "1,a\0b,,,,", "", "NUL"),
]


def test_a_fault_is_told_with_its_line() -> None:
    for row, pointer, words in [case[1:] for case in FAULTS]:
        at, sentence = refusal(f"{HEADER}\n{row}\n{ROW}\n")
        assert at == pointer, row
        assert words in sentence, row
        assert sentence.startswith("Line 2"), row
        if column := pointer.removeprefix("/inputs/0").lstrip("/"):
            assert sentence.startswith(f'Line 2, column "{column}": ')


HEADERS = [
    ("unknown", HEADER.replace("city", "citty"), '"citty": is "city" meant?'),
    ("missing", "city,rooms", '"plan", "key", "booked", "member" are missing'),
    ("twice", f"{HEADER},city", 'of this CSV file are both called "city"'),
    ("blank", f",{HEADER}", "Column 1 of this CSV file has no name"),
    (
        "bars",
        HEADER.replace(",", "|"),
        "has one column, rooms|city|plan|key|booked|member. Save it with commas, semicolons or tabs",
    ),
    ("an empty end", f"{HEADER},,", "have no name. If all of their cells are empty, delete these columns"),
    ("none", ROW, "The first line of a file is its header"),
]


def test_a_header_that_does_not_fit_is_told_by_name() -> None:
    for header, words in [case[1:] for case in HEADERS]:
        pointer, sentence = refusal(f"{header}\n{ROW}\n")
        assert pointer == "/inputs", header
        assert sentence.startswith("Line 1"), header
        assert words in sentence, header


def test_what_is_no_file_of_lines_is_told_so() -> None:
    one_line = f"{HEADER}{ROW}"
    assert refusal(one_line) == (
        "",
        "The file came as one line. With curl say --data-binary, since -d takes line breaks out.",
    )
    assert refusal(HEADER + ",b")[1].startswith("The file came as one line.")
    assert refusal(HEADER + ",b\n")[1].startswith("There is a header and no row.")
    assert "--data-binary" in refusal(HEADER + ROW * 100_000)[1]
    for mark in ",;":
        assert refusal(f"sep={mark}\n{HEADER}\n{ROW}\n") == ("", "Line 1 is a note of Excel: remove it.")
    for text in ('{"inputs": [{"city": "Osaka"}]}', ' [{"city": "Osaka"}]', "[[1, 2]]"):
        assert refusal(text) == ("", "This is JSON: send Content-Type: application/json.")


def test_a_target_that_nobody_finds_is_asked_for() -> None:
    number = NumberTarget(kind="number")
    two, both = NumberTarget(kind="number", size=2), NumberTarget(kind="number", size=2, names=("x", "y"))
    for text, meant, pointer, words in (
        ("a,b,c,d\n1,2,3,4", Meant(two), "/target", "them; name the 2 columns that are predicted: ?target=A&target=B."),
        ("a,b,c,d\n1,2,3,4", Meant(both), "/target", 'No columns are called "x", "y"; name the 2 columns'),
        ("a,b,price\n1,2,3", Meant(number), "/target", 'target="NAME"'),
        ("a,b,label,target\n1,2,3,4", Meant(number), "/target", '"target" or "label"'),
        ("a,b,price\n1,2,3", Meant(number, ("prise",)), "/target", 'no column "prise". Near: "price"'),
        ("a,b,price\n1,2,3", Meant(number, ("a",)), "/target", '"a" is an input'),
        ("a,b,price\n1,2,3", Meant(number, ("price",), "shop"), "/group", 'no column "shop"'),
        ("a,b,price\n1,2,3", Meant(number, ("price",), "price"), "/group", "target already"),
        ("a,b,price\n1,2,3", Meant(number, ("price",), None, ("id",)), "/leave_out", 'no column "id"'),
        ("a,b,price\n1,2,3", Meant(number, ("price",), None, ("b",)), "/leave_out", "input of the model"),
        ("a,b,price\n1,2,3", Meant(number, ("price",), None, ("price",)), "/leave_out", "target or the group"),
        ("a,b,price\n1,2,-", PRICE, "/targets/0", 'Line 2, column "price": - is no number.'),
        ("a,b,price\n1,2,NA", Meant(ClassTarget(), ("price",)), "/labels/0", 'Line 2, column "price": NA is not'),
    ):
        at, sentence = refusal(text, meant, NUMBERS)
        assert at == pointer
        assert words in sentence


def test_what_is_no_table_is_told() -> None:
    for text, words in [
        (b"", "The body is empty"),
        (b"a,b\n", "a header and no row"),
        (b"\n\n", "The body is empty"),
        (b"a,b\r\n1,2\r\n3,\xc3\xa9\xe9\r\n", "not UTF-8: a byte of line 3"),
        (b"a,b\n1,2\n3,\xe2\x82", "not UTF-8: a byte of line 3"),
    ]:
        assert words in refusal(text, spec=NUMBERS)[1], text


def test_the_first_fault_of_the_file_is_told() -> None:
    good = "1,2\n" * 5
    assert refusal(f"a,b\n{good}1,x\nx,1\n1,2,3\n", spec=NUMBERS)[1].startswith('Line 7, column "b"')
    assert refusal(f"a,b\n{good}1,2,3\n1,x\n", spec=NUMBERS)[1].startswith("Line 7 has 3 cells")


def test_no_matter_where_the_pieces_are_cut() -> None:
    text = 'a,city,b\r\n"1\r\n","Zürich, ""am See""",2\r\n\r\n3,東京,4.5\r\n5,x,"6,5"\r\n'.encode()
    spec = TableInput.model_validate(
        {
            "kind": "table",
            "columns": [
                *({"name": n, "kind": "number"} for n in "ab"),
                {"name": "city", "kind": "category", "many": True},
            ],
        }
    )
    whole = refusal(text, spec=spec)
    assert whole[1].startswith('Line 6, column "b"')
    for cut in range(1, len(text)):
        with pytest.raises(InvalidContent) as refused:
            read_csv([text[:cut], text[cut:]], spec, Meant(), "rents")
        assert refused.value.errors == [whole]
    good = read(text.replace(b"6,5", b"6.5"), spec=spec).named.rows
    pieces = [text.replace(b"6,5", b"6.5")[k : k + 1] for k in range(len(text))]
    np.testing.assert_array_equal(read_csv(pieces, spec, Meant(), "rents").named.rows, good)


def test_what_the_csv_module_writes_comes_back() -> None:
    chance = random.Random(0)
    values = ["a", 'b"c', "d,e", "f\ng", "ä", "1", "", "x y"]
    rows = [[chance.choice(values), chance.choice(["", "1.5", "-2", "3e2"])] for _ in range(300)]
    spec = table_of({"v": {"kind": "category", "many": True}, "x": "number"})
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([["v", "x"], *rows])
    table = read(out.getvalue().replace("f\ng", "f g"), spec=spec)
    expected = [[value_code(v.replace("\n", " ")) if v else NAN, float(x) if x else NAN] for v, x in rows]
    np.testing.assert_array_equal(table.named.rows, expected)


class Counted:
    """Pieces of a file, given anew each time, and how many were read."""

    def __init__(self, pieces: Callable[[], Iterator[bytes]]) -> None:
        self.count, self._pieces = 0, pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces():
            self.count += 1
            yield piece


def taken(pieces: list[bytes], spec: TableInput) -> tuple[int, str]:
    """-> how many pieces were read before a refusal, and its sentence"""
    counted = Counted(lambda: iter(pieces))
    with pytest.raises(InvalidContent) as refused:
        read_csv(counted, spec, Meant(), "rents")
    return counted.count, refused.value.detail


def test_a_line_of_megabytes_is_refused_before_it_is_whole() -> None:
    piece = b"1" * PIECE_BYTES
    most = LONGEST_RECORD // PIECE_BYTES + 3  # the first one twice
    count, sentence = taken([b"a,b\n", *[piece] * 200], NUMBERS)
    assert count <= most
    assert sentence.startswith("Line 2")
    commas = b"," * PIECE_BYTES
    assert taken([b"a,b\n", *[commas] * 200], NUMBERS)[0] <= most
    lines = b"1\n" * (PIECE_BYTES // 2)
    count, sentence = taken([b'a,b\n1,2\n3,"', *[lines] * 200], NUMBERS)
    assert count <= most
    assert sentence.startswith("Line 3")
    assert "never closed" in sentence


def test_memory_is_that_of_the_numbers_not_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.intake.formats.csv_table.CHARACTERS_AT_ONCE", 10_000)
    width = 200

    def peak(rows: int) -> int:
        pieces = Counted(lambda: chain([b"a,b\n"], (b"%0*d,\n" % (width, k) for k in range(rows))))
        tracemalloc.start()
        try:
            table = read_csv(pieces, NUMBERS, Meant(), "rents")
            assert table.named.rows[-1, 0] == rows - 1
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(4000) - peak(1000) < 3000 * width / 3


def test_more_labels_than_classes_may_be_are_refused() -> None:
    rows = "".join(f"1,2,c{k}\n" for k in range(2 * MOST_CLASSES + 1))
    with pytest.raises(InvalidContent, match="at most 10,000 classes"):
        read(f"a,b,label\n{rows}", Meant(ClassTarget()), NUMBERS)


def outcome(pieces: list[bytes]) -> str:
    """The rows of a file, or why it is refused."""
    try:
        return str(read_csv(pieces, SPEC, PRICE, "rents").named.rows.tolist())
    except InvalidContent as refused:
        return refused.detail


def test_any_bytes_are_a_table_or_a_refusal_with_a_sentence() -> None:
    """Whatever is sent, the same in pieces."""
    chance = random.Random(1)
    text = f'{HEADER},price\n{ROW},1\n"2","Os""aka",NA,,1970-01-01T00:00Z,,\n'.encode()
    odd = [b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"\xe2\x82", b"\xef\xbb\xbf", b"-", b"1e999", b"NaN", b" ", b""]
    for _ in range(300):
        body = text
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(body))
            body = body[:at] + chance.choice(odd) + body[at + chance.randint(0, 2) :]
        whole = outcome([body])
        assert whole == outcome([body[k : k + 7] for k in range(0, len(body), 7)]) or "UTF-8" in whole, body
        assert whole.endswith((".", "?", '""')) or whole.startswith("[["), body
