"""How a CSV file is written is read from itself, and what can be read in two ways is refused."""

from __future__ import annotations

import pytest

from service.guessing.csv_dialect import (
    PLAIN,
    SAID_NOTHING,
    Dialect,
    SaidDialect,
    decimal_of,
    dialect_of,
    is_western,
    sign_of,
)
from service.guessing.csv_facts import with_decimal
from service.guessing.unguessable import Unguessable


@pytest.mark.parametrize(
    ("head", "delimiter"),
    [
        (b"a,b\n1;2,3\n", ","),
        (b"a;b\n1,2;3\n", ";"),
        (b"a\tb\n1,2\t3\n", "\t"),
        (b"text\na;b\n", ","),
        (b"", ","),
        (b'\n\r\n"a;b",c\n', ","),
        (b'\xef\xbb\xbf"a,""x"";\nb";c\r\n', ";"),
        (b'a;"b,\tc"\n', ";"),
        (b"a;b", ";"),
        (b'12" pipe,x\n1;2,"3\t"\n', ","),
    ],
)
def test_what_parts_cells_is_what_stands_in_the_first_line_outside_of_quotes(head: bytes, delimiter: str) -> None:
    assert dialect_of(head, ()).delimiter == delimiter


@pytest.mark.parametrize(
    ("head", "readings"),
    [
        ("Länge, cm;Preis\n", ['"Länge", "cm;Preis"', '"Länge, cm", "Preis"']),
        ("a;b\tc\n", ['"a", "b\tc"', '"a;b", "c"']),
    ],
)
def test_a_first_line_that_can_be_read_in_two_ways_is_refused_with_both(head: str, readings: list[str]) -> None:
    with pytest.raises(Unguessable) as refused:
        dialect_of(head.encode(), ())
    assert all(reading in str(refused.value) for reading in readings)
    assert 'Say which: delimiter="' in str(refused.value)
    assert dialect_of(head.encode(), (), SaidDialect(";")).delimiter == ";"
    assert dialect_of(head.encode(), (), SaidDialect(",")) == PLAIN


def test_who_says_that_decimals_begin_with_a_comma_says_that_it_parts_no_cells() -> None:
    decimal = SaidDialect(None, ",")
    assert dialect_of("Länge, cm;Preis\n".encode(), (), decimal).delimiter == ";"
    assert dialect_of(b"x\n12,5\n", (), decimal) == Dialect(";", ",")
    with pytest.raises(Unguessable, match="not both"):
        dialect_of(b"a,b\n", (), SaidDialect(",", ","))


@pytest.mark.parametrize(
    ("text", "semicolons", "tabs"),
    [
        ("12", "", ""),
        ("-3e5", "", ""),
        ("12,5", ",", ","),
        (",5", ",", ","),
        ("0,125", ",", ","),
        ("1234,567", ",", ","),
        ("12.5", ".", "."),
        ("0.125", ".", "."),
        ("1.2345", ".", "."),
        ("1e-3", "", ""),
        ("1.5e3", ".", "."),
        ("1.234", "?", "?"),
        ("1,234", ",", "?"),
        ("1.234,5", ",", ","),
        ("1.234.567", ",", ","),
        ("1\u00a0234,5", ",", ","),
        ("1,234.5", None, None),
        ("1,234,567", None, None),
        ("31.12.2026", None, None),
        ("12 kg", None, None),
        ("١٢,٥", None, None),
        ("", None, None),
    ],
)
def test_a_number_shows_its_sign_unless_it_has_none_or_may_have_either(
    text: str, semicolons: str | None, tabs: str | None
) -> None:
    assert (sign_of(text, ";"), sign_of(text, "\t")) == (semicolons, tabs)


def test_the_first_number_that_shows_a_sign_decides_and_none_is_guessed() -> None:
    assert decimal_of([("a", "1.234"), ("b", "x"), ("a", "2,5"), ("a", "3.5")], ";") == ","
    assert decimal_of([("a", "1.234"), ("a", "2.5")], ";") == "."
    assert (decimal_of([("a", "7")], ";"), decimal_of([], "\t")) == (",", ".")
    for cells, sentence in (
        ([("a", "12"), ("a", "1.234")], '1.234 in "a" is 1234 if a point parts thousands, and 1.234 if decimals begin'),
        ([("a", "1,234")], '1,234 in "a" is 1234 if a comma parts thousands, and 1.234 if decimals begin with it.'),
    ):
        with pytest.raises(Unguessable) as refused:
            decimal_of(cells, "\t")
        assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12,5", "12.5"),
        ("-1.234,5", "-1234.5"),
        ("1.234", "1234"),
        ("1\u202f234", "1234"),
        ("1,5e3", "1.5e3"),
        ("12.5", ""),
        ("0.125", ""),
        ("1.23,5", ""),
        ("01.234", ""),
    ],
)
def test_numbers_with_a_decimal_comma_are_those_with_a_point(text: str, number: str) -> None:
    assert Dialect(";", ",").number(text) == number
    assert Dialect(";", ".").number(text) == PLAIN.number(text) == text


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("31.12.2026", "2026-12-31"),
        ("1.2.2026", "2026-02-01"),
        ("1.2.2026 7:05", "2026-02-01T07:05"),
        ("01.02.2026 17:05:09", "2026-02-01T17:05:09"),
        ("1.2.26", "1.2.26"),
        ("2026-02-01", "2026-02-01"),
    ],
)
def test_a_day_stands_first_where_points_part_a_date(text: str, date: str) -> None:
    assert Dialect(";").date(text) == Dialect("\t", ".").date(text) == date
    assert PLAIN.date(text) == text


def test_letters_of_windows_are_those_of_western_europe_or_none() -> None:
    assert dialect_of("Größe;b\n1;2\n".encode("cp1252"), ()).encoding == "cp1252"
    assert dialect_of(b"a;b\n", [b"1;M\xc3", b"\xbcnchen\n"]).encoding == "utf-8"
    assert dialect_of(b"a;b\n", [b"1;M\xc3"]).encoding == "cp1252"
    for text in ("Größe ÄÖÜäöüß", "l’été à Orléans – 5 €", "Perché no?", "¿Qué?", "smørrebrød", "naïve œuvre", "25 °C"):
        assert is_western(text.encode("cp1252").decode("cp1252"))
    for text, encoding in (
        ("Москва", "cp1251"),
        ("Αθήνα", "cp1253"),
        ("Stanisław", "cp1250"),
        ("東京", "cp932"),
        ("München", "cp850"),
        ("Bär", "mac_roman"),
    ):
        assert not is_western(text.encode(encoding).decode("cp1252", "replace")), text


def test_columns_of_numbers_say_what_decimals_begin_with_and_others_do_not() -> None:
    semicolons = Dialect(";", ",")
    lines = [["a", "b", "c"], ["1.5", "1.2.3", "x"], ["2", "4.5", "7,5"], ["", "k", "?"]]
    assert with_decimal(lines, semicolons, SAID_NOTHING).decimal == "."
    assert with_decimal([*lines, ["3", "", "8"]], semicolons, SAID_NOTHING, leave_out=["a"]).decimal == ","
    assert with_decimal(lines, PLAIN, SAID_NOTHING) == PLAIN
    said = SaidDialect(None, ",")
    two = [["a", "b"], ["1.5", "2,5"], ["no data", "3"]]
    assert with_decimal(two, semicolons, said, ["no data"]) == semicolons
    assert with_decimal(two, semicolons, SAID_NOTHING).decimal == ","
    with pytest.raises(Unguessable, match=r'a comma in "b" \(2,5\), a point in "a" \(1.5\)'):
        with_decimal(two, semicolons, SAID_NOTHING, ["no data"])


def test_what_is_not_as_usual_is_said() -> None:
    assert PLAIN.sentence == ""
    assert Dialect(";", ",").sentence == "Cells are parted by semicolons; numbers have a decimal comma."
    assert Dialect("\t", ".", "cp1252").sentence == (
        "Cells are parted by tabs; numbers have a decimal point. Letters are read as Windows-1252."
    )
