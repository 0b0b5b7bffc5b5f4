"""CSV files of spreadsheets where a comma is the decimal sign: the rows that the same table has with commas."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from service.contract.inputs import TextInput, VectorInput
from service.contract.targets.class_target import ClassTarget
from service.contract.targets.number_target import NumberTarget
from service.errors import InvalidContent
from service.guessing.csv_files.dialect import SaidDialect
from service.guessing.csv_files.records import Pieces
from service.guessing.full_width import half_width
from service.intake.formats.csv_header import Meant, Spec
from service.intake.formats.csv_table import CsvTable, read_csv
from tests.tables import table_of

SPEC = table_of({"größe": "number", "ort": "category", "tag": "date", "da": "boolean"})
PRICE = Meant(NumberTarget(kind="number"), ("preis",))
USUAL = """\
ort,preis,größe,da,tag
Köln,1234.5,2,true,2026-12-31
"Bad; ""Orb"" am See",7,1200,,2026-02-01T07:05
,-0.125,,false,
"12,5",,3.5,,
"""
GERMAN = """\
ort;preis;größe;da;tag
Köln;1.234,5;2;true;31.12.2026
"Bad; ""Orb"" am See";7;1.200;;1.2.2026 7:05
;-0,125;;false;
12,5;;3,5;;
"""


def read(text: str | bytes, meant: Meant = PRICE, spec: Spec = SPEC) -> CsvTable:
    return read_csv([text.encode() if isinstance(text, str) else text], spec, meant, "rents")


def refusal(text: str | bytes, meant: Meant = PRICE, spec: Spec = SPEC) -> tuple[str, str]:
    with pytest.raises(InvalidContent) as refused:
        read(text, meant, spec)
    [(pointer, sentence)] = refused.value.errors
    return pointer, sentence


def same(one: CsvTable, other: CsvTable) -> None:
    np.testing.assert_array_equal(one.named.rows, other.named.rows)
    np.testing.assert_array_equal(one.targets, other.targets)  # type: ignore[arg-type]
    assert (one.named.names, one.labels) == (other.named.names, other.labels)


def test_a_table_is_the_same_with_semicolons_and_with_commas() -> None:
    for content in [
        GERMAN.encode(),
        GERMAN.encode("utf-8-sig"),
        GERMAN.encode("cp1252"),
        GERMAN.replace("\n", "\r\n").encode(),
        GERMAN.replace(";", "\t").replace("Bad\t ", "Bad; ").encode(),
        GERMAN.replace("1.234,5", "1234,5").replace("1.200", "1\u00a0200").encode("cp1252"),
    ]:
        table = read(content)
        same(table, read(USUAL))
        assert table.notes[0].startswith("Cells are parted by "), content
        assert table.notes[0].endswith(("decimal comma.", "say another encoding.")), content
        for cut in range(0, len(content), 3):
            same(read_csv([content[:cut], content[cut:]], SPEC, PRICE, "rents"), table)


def test_semicolons_with_a_decimal_point_are_read_as_such() -> None:
    text = USUAL.replace(",", ";").replace("Bad; ", "Bad, ").replace('"12;5"', "12,5")
    same(read(text), read(USUAL.replace("Bad; ", "Bad, ")))
    assert "decimal point" in read(text).notes[0]


def test_vectors_and_texts_have_dialects_too() -> None:
    vector, text = VectorInput(kind="vector", size=2), TextInput(kind="text")
    table = read("a;b;label\n1,5;2;x\n1.000;,5;y\n", Meant(ClassTarget()), vector)
    assert (table.named.rows.tolist(), table.labels) == ([[1.5, 2], [1000, 0.5]], ["x", "y"])
    texts = read('text;label\nJa, gern;x\n"1;\n5";1,5\n', Meant(ClassTarget()), text)
    assert (texts.named.rows.tolist(), texts.labels) == (["Ja, gern", "1;\n5"], ["x", "1,5"])


def test_a_fault_is_told_by_the_marks_of_the_file() -> None:
    for change, pointer, words in [
        (
            ("preis", "preis, netto"),
            "/delimiter",
            'Parted by commas it names "ort;preis", "netto;größe;da;tag"; parted',
        ),
        (("3,5", "3.5"), "/inputs/3/größe", '"3.5" is not a number here, where decimals begin with a comma: write one'),
        (("-0,125", "12 EUR"), "/targets/2", '"12 EUR" is not a number here'),
        (
            ("31.12.2026", "31.12.26"),
            "/inputs/0/tag",
            "is not a date here: write 2026-11-29, 2026/11/29, 29.11.2026, 29/11",
        ),
        (("31.12.2026", "31.11.2026"), "/inputs/0/tag", "no such day"),
        ((";7;", ";;7;"), "/inputs/1", "has 6 cells, and the header 5. A semicolon within a cell needs quotes"),
        (('""Orb', '"Orb'), "", "a semicolon is due, or the end of the line"),
    ]:
        at, sentence = refusal(GERMAN.replace(*change))
        assert at == pointer, change
        assert words in sentence, change


def test_numbers_that_can_be_read_in_two_ways_are_refused_until_somebody_says_how() -> None:
    text = "größe;ort;tag;da\n1.234;1,5;;\n12;;;\n"
    at, sentence = refusal(text, Meant())
    assert at == "/decimal"
    assert sentence.startswith('Numbers can be read in two ways: 1.234 in "größe" is 1234 if a point parts thousands')
    for decimal, number in ((",", 1234), (".", 1.234)):
        table = read(text, Meant(said=SaidDialect(None, decimal)))
        assert table.named.rows[:, 0].tolist() == [number, 12]
    header = "größe, m;ort;tag;da\n2,5;;;\n"
    spec = table_of({"größe, m": "number", "ort": "category", "tag": "date", "da": "boolean"})
    assert refusal(header, Meant(), spec)[0] == "/delimiter"
    assert read(header, Meant(said=SaidDialect(";")), spec).named.rows[0, 0] == 2.5


def test_commas_between_thousands_are_read_where_decimals_begin_with_a_point_and_else_asked_about() -> None:
    spec = table_of({"area": "number", "rent": "number"})
    for rows in ('"2,731",1.5\n960,"1,234.50"\n', '"2,731",1.5\n"960",1234.5\n', "2731,1.5\n960,1234.5\n"):
        assert read(f"area,rent\n{rows}", Meant(), spec).named.rows.tolist() == [[2731, 1.5], [960, 1234.5]], rows
    assert read("area\trent\n2,731\t1.5\n", Meant(), spec).named.rows.tolist() == [[2731, 1.5]]
    at, sentence = refusal('area,rent\n"2,731",3\n960,4\n', Meant(), spec)
    assert (at, '2,731 in "area" is 2731 if a comma parts thousands, and 2.731 if' in sentence) == ("/decimal", True)
    for decimal, area in ((".", 2731), (",", 2.731)):
        table = read('area,rent\n"2,731",3\n', Meant(said=SaidDialect(None, decimal)), spec)
        assert table.named.rows.tolist() == [[area, 3]]


def test_amounts_are_read_without_their_currency_of_which_a_column_has_one() -> None:
    spec = table_of({"city": "category", "rent": "number"})
    for rents in (["$1,234.50", "-$5", "80"], ["1234.5 €", "-5€", "80"], ["￥1,234.5", "-¥5", "80"]):
        text = "city,rent\n" + "".join(f'a,"{rent}"\n' for rent in rents)
        table = read(text, Meant(), spec)
        assert table.named.rows[:, 1].tolist() == [1234.5, -5, 80], rents
        sign = next(letter for letter in half_width(rents[0]) if letter in "€$¥")
        assert table.notes == [f'Amounts of "rent" are in {sign}.']
    assert read("city;rent\na;1.234,50 €\nb;5 €\n", Meant(), spec).named.rows[:, 1].tolist() == [1234.5, 5]
    vectors = VectorInput(kind="vector", size=2)
    assert read("a,b\n$1.5,2\n", Meant(), vectors).named.rows.tolist() == [[1.5, 2]]
    at, sentence = refusal("city,rent\na,$5\nb,€6\n", Meant(), spec)
    assert at == "/inputs/1/rent"
    assert 'Line 3, column "rent": "€6" is in €, and one above is in $. Write all in one currency.' in sentence
    for wrong in ("$5 per day", "$", "€5€", "5 USD"):
        assert refusal(f"city,rent\na,{wrong}\n", Meant(), spec)[0] == "/inputs/0/rent", wrong


def test_of_one_column_it_is_said_how_its_numbers_are_read() -> None:
    spec = table_of({"x": "number"})
    for text, notes in (("x\n1.234\n", ["1.234 is read as 1.234, with a decimal point."]), ("x\n1.5\n1.234\n", [])):
        table = read(text, Meant(), spec)
        assert (table.named.rows[-1, 0], list(table.notes)) == (1.234, notes)
    at, sentence = refusal("x\n12,5\n", Meant(), spec)
    assert at == "/inputs/0"
    assert 'if decimals begin with a comma in this file, say decimal=","' in sentence
    assert read("x\n12,5\n", Meant(said=SaidDialect(None, ",")), spec).named.rows.tolist() == [[12.5]]


def test_letters_of_another_country_are_refused_with_their_line() -> None:
    content = "size;city\n1;Paris\n2;Москва\n".encode("cp1251")
    at, sentence = refusal(content, Meant(), table_of({"size": "number", "city": "category"}))
    assert (at, "not UTF-8: a byte of line 3 begins no character." in sentence) == ("/encoding", True)


def test_dates_and_letters_of_other_countries_are_read_and_said() -> None:
    for content in [
        GERMAN.replace("31.12.2026", "31/12/2026").replace("1.2.2026 ", "1/2/2026 ").encode("cp1252"),
        USUAL.replace("2026-12-31", "12/31/2026")
        .replace("2026-02-01T", "2/1/2026 ")
        .encode("mac_roman")
        .replace(b"\n", b"\r"),
        USUAL.replace("2026-12-31", "2026/12/31").replace("2026-02-01T", "2026年2月1日 ").encode("utf-16"),
        USUAL.replace(",", "\t").replace("Bad; ", "Bad, ").replace('"12\t5"', "12,5").encode("utf-16"),
    ]:
        table = read(content)
        same(table, read(USUAL.replace("Bad; ", "Bad, ") if b"\t" in content else USUAL))
        assert "Letters are read as " in table.notes[0], content


def test_letters_of_japan_are_read_and_dates_that_can_be_read_in_two_ways_are_refused() -> None:
    text = "größe,ort,tag,da\n1,東京,3/4/2026,\n2,大阪,,\n".replace("größe", "大きさ")
    spec = table_of({"大きさ": "number", "ort": "category", "tag": "date", "da": "boolean"})
    content = text.encode("cp932")
    at, sentence = refusal(content, Meant(), spec)
    assert (at, '3/4/2026 in "tag" is 2026-04-03 if the day stands first' in sentence) == ("/dates", True)
    table = read(content, Meant(said=SaidDialect(dates="month-first")), spec)
    same(table, read(text.replace("3/4/2026", "2026-03-04"), Meant(), spec))
    assert table.notes == [
        'The month stands first in dates. Letters are read as Shift_JIS, as in "大きさ"; if that is wrong, say another '
        "encoding."
    ]
    wrong = text.replace("3/4", "31/4") + "1,,4/31/2026,\n"
    assert refusal(wrong, Meant(), spec)[1] == 'Line 2, column "tag": There is no such day. Look at its month and day.'
    both = text.replace("3/4", "31/12") + "1,,12/31/2026,\n"
    assert 'Line 4, column "tag": "12/31/2026" is no day where the day stands first' in refusal(both, Meant(), spec)[1]
    for encoding in ("euc_jp", "iso2022_jp"):
        written = text.replace("3/4/2026", "2026-03-04").encode(encoding)
        assert read(written, Meant(said=SaidDialect(encoding=encoding)), spec).named.rows[:, 0].tolist() == [1, 2]
    unmarked = text.replace("3/4/2026", "2026-03-04").encode("utf-16-le")
    due = read(text.replace("3/4/2026", "2026-03-04"), Meant(), spec)
    same(read(unmarked, Meant(said=SaidDialect(encoding="utf-16")), spec), due)
    cut = refusal(unmarked[:-1], Meant(said=SaidDialect(encoding="utf-16")), spec)[1]
    assert "This CSV file is not UTF-16LE: a byte of line 3" in cut
    said = SaidDialect(encoding="cp1251")
    assert "This CSV file is not Windows-1251: a byte of line 1" in refusal(b"\x98,ort\n", Meant(said=said), spec)[1]


def comma(number: float) -> str:
    """As a German spreadsheet shows it."""
    return f"{number:,.3f}".replace(",", " ").replace(".", ",").replace(" ", ".")


@pytest.mark.parametrize(
    ("delimiter", "shown"),
    [(";", comma), ("\t", comma), (";", "{:.3f}".format), ("\t", "{:.4g}".format)],
)
def test_any_table_is_the_same_however_it_is_written(delimiter: str, shown: Callable[[float], str]) -> None:
    chance = random.Random(0)
    words = ["a", 'b"c', "d;e", "f,g", "ü", "1,5", "2.5", ""]
    rows = [[chance.uniform(-3000, 3000), chance.choice(words), chance.choice(words)] for _ in range(400)]
    if shown is not comma:
        rows = [[float(shown(number)), *others] for number, *others in rows]

    def text(mark: str, shown: Callable[[float], str]) -> str:
        out = io.StringIO()
        csv.writer(out, delimiter=mark).writerows([["x", "v", "label"], *([shown(x), *others] for x, *others in rows)])
        return out.getvalue()

    spec = table_of({"x": "number", "v": {"kind": "category", "many": True}})
    meant = Meant(ClassTarget())
    usual = "{:.3f}".format if shown is comma else repr
    one, other = read(text(",", usual), meant, spec), read(text(delimiter, shown), meant, spec)
    np.testing.assert_array_equal(one.named.rows, other.named.rows)
    assert one.labels == other.labels


class Counted:
    """The pieces of a file of semicolons, and how often they were asked for."""

    times = 0

    def __iter__(self) -> Iterator[bytes]:
        self.times += 1
        yield b"x;v;label\n"
        for k in range(2000):
            yield b"%d;%d,5;a\n" % (k, k)


def test_a_file_is_read_anew_for_what_has_to_be_known_before_its_rows() -> None:
    spec, pieces = table_of({"x": "number", "v": "number"}), Counted()
    table = read_csv(pieces, spec, Meant(ClassTarget()), "rents")
    assert (table.named.rows[-1].tolist(), pieces.times) == ([1999, 1999.5], 3)


def test_pieces_of_a_file_are_given_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(GERMAN.encode("cp1252"))
    same(read_csv(Pieces(path), SPEC, PRICE, "rents"), read(USUAL))
