"""How a CSV file is written is read from itself, and what can be read in two ways is refused."""

from __future__ import annotations

import random

import pytest

from service.guessing.csv_files.dates import order_of
from service.guessing.csv_files.dialect import (
    OF_ROWS,
    PLAIN,
    SAID_NOTHING,
    Dialect,
    SaidDialect,
    decimal_of,
    dialect_of,
    guessed_letters,
    sign_of,
    with_decimal,
)
from service.guessing.csv_files.facts import by_cells, facts_of, lines_of
from service.guessing.csv_files.letters import is_western
from service.guessing.csv_files.records import PIECE_BYTES, Pieces
from service.guessing.unguessable import Unguessable


def test_what_parts_cells_is_what_stands_in_the_first_line_outside_of_quotes() -> None:
    for head, delimiter in [
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
    ]:
        assert dialect_of(head).delimiter == delimiter, head


@pytest.mark.parametrize(
    ("head", "readings"),
    [
        ("Länge, cm;Preis\n", ['"Länge", "cm;Preis"', '"Länge, cm", "Preis"']),
        ("a,b\tc\n", ['"a", "b\tc"', '"a,b", "c"']),
    ],
)
def test_a_first_line_that_can_be_read_in_two_ways_is_refused_with_both(head: str, readings: list[str]) -> None:
    with pytest.raises(Unguessable) as refused:
        dialect_of(head.encode())
    assert all(reading in str(refused.value) for reading in readings)
    assert 'Say which: delimiter="' in str(refused.value)
    other = ";" if ";" in head else "\t"
    assert dialect_of(head.encode(), SaidDialect(other)).delimiter == other
    assert dialect_of(head.encode(), SaidDialect(",")) == Dialect(decimal=".")


def test_a_comma_that_begins_decimals_parts_cells_where_nothing_else_does() -> None:
    decimal = SaidDialect(None, ",")
    assert dialect_of("Länge, cm;Preis\n".encode(), decimal).delimiter == ";"
    assert dialect_of(b"x\n12,5\n", decimal) == Dialect(";", ",")
    assert dialect_of(b"a,b\n", decimal) == dialect_of(b"a,b\n", SaidDialect(",", ",")) == Dialect(",", ",")


def test_a_delimiter_that_the_first_line_does_not_have_is_refused_with_the_one_that_it_has() -> None:
    words = r'No comma stands between the names in the first line, and semicolons do: leave out delimiter=","\.'
    with pytest.raises(Unguessable, match=words):
        dialect_of(b"a;b\n1;2\n", SaidDialect(","))
    with pytest.raises(Unguessable, match=r'No tab .* commas do: leave out delimiter="tab"\.'):
        dialect_of(b"a,b\n1,2\n", SaidDialect("\t"))
    assert dialect_of(b'"a;b"\nx\n', SaidDialect(",")) == PLAIN, "of one column nobody can tell"


@pytest.mark.parametrize(
    ("cells", "sign"),
    [
        (["3,6", "12"], ","),
        (["1.234,5", "3"], ","),
        (["3,6", "2.5"], "."),
        (["1,234", "2.5"], "."),
        (["1,234", "1,234,567"], "."),
        (["1,234.5", "1,234"], "."),
        (["12 500", "5"], "."),
    ],
)
def test_numbers_in_quotes_have_a_decimal_comma_where_none_has_a_point(cells: list[str], sign: str) -> None:
    lines = [["x", "label"], *([cell, "a"] for cell in cells)]
    assert by_cells(lines, PLAIN, SAID_NOTHING).decimal == sign
    assert by_cells(lines, OF_ROWS, SAID_NOTHING).decimal == ".", "of what is no CSV file"


def test_where_a_point_may_part_thousands_beside_a_decimal_comma_in_quotes_somebody_is_asked() -> None:
    with pytest.raises(Unguessable, match=r'1\.234 in "x" is 1234 if a point parts thousands'):
        by_cells([["x", "label"], ["1.234", "a"], ["3,6", "b"]], PLAIN, SAID_NOTHING)


def test_where_a_comma_may_part_thousands_and_nothing_shows_the_sign_somebody_is_asked() -> None:
    lines = [["x", "label"], ["1,234", "a"], ["5", "b"]]
    with pytest.raises(Unguessable, match=r'1,234 in "x" is 1234 if a comma parts thousands'):
        by_cells(lines, PLAIN, SAID_NOTHING)
    assert by_cells(lines, PLAIN, SaidDialect(decimal=".")).decimal == "."


def test_a_comma_that_may_part_thousands_is_asked_about_beside_another_column_of_decimals_with_a_comma() -> None:
    lines = [["t", "salary", "label"], ["2,7", "9,895", "a"], ["3,1", "900", "b"]]
    with pytest.raises(Unguessable, match=r'9,895 in "salary" is 9895 if a comma parts thousands'):
        by_cells(lines, PLAIN, SAID_NOTHING)
    lines[1][1] = "9,8"
    assert by_cells(lines, PLAIN, SAID_NOTHING).decimal == ","


@pytest.mark.parametrize(
    ("cells", "sign"), [(["2,5", *"123"], "."), (["2,5", "3,5", *"123"], ","), (["2,5", "3,5", *"123" * 9], ".")]
)
def test_a_few_decimals_with_a_comma_are_slips(cells: list[str], sign: str) -> None:
    assert with_decimal(PLAIN, SAID_NOTHING, [("x", cell) for cell in cells]).decimal == sign


@pytest.mark.parametrize(
    ("written", "read"),
    [("１２３", 123), ("－３．６", -3.6), ("\u22125", -5), ("1２", 12), ("１．２ｅ３", 1200)],
)
def test_full_width_digits_are_numbers(written: str, read: float) -> None:
    assert float(PLAIN.number(written)) == read


def test_full_width_dates_are_dates_and_what_is_no_number_stays_as_it_is() -> None:
    assert PLAIN.date("２０２６／１２／３１") == PLAIN.date("２０２６年１２月３１日") == "2026-12-31"
    assert (PLAIN.number("10²"), PLAIN.date("１組")) == ("10²", "１組")


def test_a_number_shows_its_sign_unless_it_has_none_or_may_have_either() -> None:
    for text, semicolons, tabs in [
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
        ("1,234.5", ".", "."),
        ("1,234,567", ".", "."),
        ("1,23,567", None, None),
        ("1,234.567.8", None, None),
        ("31.12.2026", None, None),
        ("12 kg", None, None),
        ("$5", "", ""),
        ("$5.50", ".", "."),
        ("5,50 €", ",", ","),
        ("$ 5 €", None, None),
        ("١٢,٥", None, None),
        ("", None, None),
    ]:
        assert (sign_of(text, ";"), sign_of(text, "\t")) == (semicolons, tabs), text


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


def test_numbers_with_a_decimal_comma_are_those_with_a_point() -> None:
    for text, number in [
        ("12,5", "12.5"),
        ("-1.234,5", "-1234.5"),
        ("1.234", "1234"),
        ("1\u202f234", "1234"),
        ("1,5e3", "1.5e3"),
        ("12.5", ""),
        ("0.125", ""),
        ("1.23,5", ""),
        ("01.234", ""),
    ]:
        assert Dialect(";", ",").number(text) == number, text
        assert Dialect(";", ".").number(text) == PLAIN.number(text) == text, text


def test_numbers_with_thousands_apart_are_those_without_where_decimals_begin_with_a_point() -> None:
    for text, number in [
        ("1,234", "1234"),
        ("-$12,345,678.90", "-12345678.90"),
        ("1,200円", "1200"),
        ("１，２３４．５", "1234.5"),
        ("1,23", "1,23"),
        ("0,125", "0,125"),
        ("1,2345", "1,2345"),
        ("$5 a day", "$5 a day"),
        ("1,234,56", "1,234,56"),
    ]:
        assert Dialect(";", ".").number(text) == PLAIN.number(text) == number, text


def test_a_date_with_points_or_with_its_year_first_leaves_no_choice() -> None:
    for text, date in [
        ("31.12.2026", "2026-12-31"),
        ("1.2.2026", "2026-02-01"),
        ("1.2.2026 7:05", "2026-02-01T07:05"),
        ("01.02.2026 17:05:09", "2026-02-01T17:05:09"),
        ("1.2.26", "1.2.26"),
        ("2026-02-01", "2026-02-01"),
        ("2026-02-01T07:05+09:00", "2026-02-01T07:05+09:00"),
        ("2026/2/1", "2026-02-01"),
        ("2026/12/31 7:05", "2026-12-31T07:05"),
        ("2026年2月1日", "2026-02-01"),
        ("3/4/2026", "3/4/2026"),
    ]:
        assert Dialect(";").date(text) == Dialect("\t", ".").date(text) == PLAIN.date(text) == date, text


def test_of_dates_with_slashes_one_with_a_day_above_12_decides() -> None:
    for cells, order in (
        (["3/4/2026", "31/12/2026"], "day-first"),
        (["3/4/2026", "12-31-2026 5:30", "31/12/2026"], "month-first"),
        (["3/3/2026"], "day-first"),
        (["2026/4/3", "31.12.2026", "13/13/2026"], None),
    ):
        assert order_of([("tag", cell) for cell in cells]) == order
        assert order is None or Dialect(dates=order).date("12/7/2026") in ("2026-07-12", "2026-12-07")
    with pytest.raises(Unguessable) as refused:
        order_of([("tag", "3/3/2026"), ("tag", "3/4/2026")])
    assert '3/4/2026 in "tag" is 2026-04-03 if the day stands first, and 2026-03-04 if the month does.' in str(
        refused.value
    )
    lines = [["a", "b", "c"], ["3/4/2026", "31/12/2026", "x"], ["5/6/2026", "1/2/2026", "12/31/2026"]]
    assert by_cells(lines, PLAIN, SAID_NOTHING).dates == "day-first"
    facts = facts_of([["a", "b"], ["12/31/2026 5:30 PM", "31.12.26 17:30"], ["2026-11-01", "1.11.2026"]])
    assert [fact.doubt for fact in facts.values()] == [("date", "12/31/2026 5:30 PM"), ("date", "31.12.26 17:30")]
    facts = facts_of(lines, dialect=Dialect(dates="day-first"))
    assert [fact.dates for fact in facts.values()] == [True, True, False]


def test_letters_of_windows_are_those_of_western_europe_or_none() -> None:
    assert guessed("Größe;b\n1;2\n".encode("cp1252")) == ("cp1252", "Größe")
    assert guessed(b"a;b\n", b"1;M\xc3", b"\xbcnchen\n") == ("utf-8", "")
    assert guessed(b"x,price\n", b"A,a price of 5\x80 or less\n") == ("cp1252", "5€")
    assert guessed(b"x" * 100 + "ÄÖÜ".encode("cp1252") + b"y" * 100) == ("cp1252", f"{'x' * 20}ÄÖÜ{'y' * 18}")
    for text in (
        "5µm ±£5 10¹² £½ ££ ¥¥¥ 1½ §§ 5 25°±2 ···",
        "©Name Nestlé® «été» ¿¡Qué! Nº 2ª été¹",
        "Größe ÄÖÜäöüß",
        "l’été à Orléans – 5 €",
        "Perché no?",
        "¿Qué?",
        "smørrebrød",
        "naïve œuvre",
        "25 °C",
        "gal·lès «à»",
    ):
        assert is_western(text.encode("cp1252").decode("cp1252"))
    for text, encoding in (
        ("Москва", "cp1251"),
        ("Αθήνα", "cp1253"),
        ("Stanisław", "cp1250"),
        ("東京", "cp932"),
        ("München", "cp850"),
        ("Bär", "mac_roman"),
        ("Łódź", "cp1250"),
        *(("東京", "euc_jp"), ("はい", "euc_jp"), ("北京", "gb18030"), ("台北", "big5"), ("是", "big5")),
        *(("서울", "cp949"), ("ﾀﾅｶ", "cp932"), ("男", "euc_jp"), ("否", "gb18030"), ("대", "cp949"), ("差", "big5")),
        *(("ｻﾄｳ", "cp932"), ("да", "cp1251"), ("güneş", "cp1254")),
    ):
        assert not is_western(text.encode(encoding).decode("cp1252", "replace")), text


def guessed(*pieces: bytes) -> tuple[str, str]:
    return guessed_letters(pieces, SAID_NOTHING)


def test_how_letters_are_stored_does_not_depend_on_where_pieces_are_cut() -> None:
    chance = random.Random(0)
    words = [
        "it’s",
        "né",
        "“a”",
        "5 €",
        "東京",
        "男",
        "商品ABC",
        "aébéc",
        "ééaé",
        "x" * 30 + "ÄÖ" + "y" * 30 + "é",
        "a",
    ]
    for encoding in 40 * ("cp1252", "cp932", "mac_roman"):
        there = [word for word in words if word.encode(encoding, "replace").decode(encoding) == word]
        line = chance.choice([" ", ",", ""]).join(chance.choices([*there, "it", "x,y"], k=chance.randint(1, 9)))
        content = (line + chance.choice(["\n", "\r\n", "\r"])).encode(encoding)
        whole = guessed(content)
        for size in range(1, 8):
            assert guessed(*(content[k : k + size] for k in range(0, len(content), size))) == whole, (content, size)
        for cut in range(1, len(content)):
            assert guessed(content[:cut], content[cut:]) == whole, (content, cut)
    long = b"x" * (PIECE_BYTES - 3) + b" it\x92s\n"
    assert guessed(*Pieces(long)) == guessed(long) == ("cp1252", "it’s")


def test_how_letters_are_stored_is_what_the_bytes_look_like() -> None:
    for text, encoding, due in [
        ("住所,価格\n東京,12\n", "cp932", "cp932"),
        ("age,sex\n1,男\n2,女\n", "cp932", "cp932"),
        ("x,name\n1,ﾀﾅｶ\n3,山田\n", "cp932", "cp932"),
        ("品番AB,x\n商品ABC,1\n", "cp932", "cp932"),
        ("x\ty\n東京\t1\n", "utf-16", "utf-16"),
        ("a;b\rMüller;Köln\r", "mac_roman", "mac_roman"),
        ("préférée;x\nété;y\n", "cp1252", "cp1252"),
        ("préférée\npréférée\n", "cp1252", "cp1252"),
        ("ÄÖ,Maß\n“a”,it’s\n", "cp1252", "cp1252"),
        ("ort\nŁódź\n", "cp1250", "cp1252"),
        ("x,price\nA,5 €\nB,€ 7\n", "cp1252", "cp1252"),
    ]:
        content = text.encode(encoding)
        assert guessed(content)[0] == due, text
        assert guessed_letters([content], SaidDialect(encoding=encoding)) == (encoding, ""), text


def test_a_file_of_utf8_with_a_broken_letter_is_one_and_is_refused_as_such() -> None:
    for content in (b"M\xc3\xbcller,M\xfcller\n", b"a,b\n1,M\xc3\xbc\xc3", b"a,b\n1,\xe2\x82"):
        assert guessed(content) == ("utf-8", "")
        with pytest.raises(Unguessable, match="is not UTF-8: a byte of line"):
            list(lines_of([content]))


def test_letters_of_iso_2022_jp_are_not_taken_for_those_of_ascii() -> None:
    content = "a,b\n1,東京\n".encode("iso2022_jp")
    with pytest.raises(Unguessable, match="is not UTF-8: a byte of line 2"):
        list(lines_of([content]))
    assert list(lines_of([content], Dialect(encoding="iso2022_jp"))) == [["a", "b"], ["1", "東京"]]
    assert list(lines_of([b"a\n\x1b[31mred\x1b[0m $\n"])) == [["a"], ["\x1b[31mred\x1b[0m $"]]


def test_columns_of_numbers_say_what_decimals_begin_with_and_others_do_not() -> None:
    semicolons = Dialect(";", ",")
    lines = [["a", "b", "c"], ["1.5", "1.2.3", "x"], ["2", "4.5", "7,5"], ["", "k", "?"]]
    assert by_cells(lines, semicolons, SAID_NOTHING).decimal == "."
    assert by_cells([*lines, ["3", "", "8"]], semicolons, SAID_NOTHING, leave_out=["a"]).decimal == ","
    assert by_cells(lines, PLAIN, SAID_NOTHING) == PLAIN
    said = SaidDialect(None, ",")
    two = [["a", "b"], ["1.5", "2,5"], ["no data", "3"]]
    assert by_cells(two, semicolons, said, ["no data"]) == semicolons
    assert by_cells(two, semicolons, SAID_NOTHING).decimal == ","
    with pytest.raises(Unguessable, match=r'a comma in "b" \(2,5\), a point in "a" \(1.5\)'):
        by_cells(two, semicolons, SAID_NOTHING, ["no data"])


def test_what_is_not_as_usual_is_said() -> None:
    assert PLAIN.sentence == ""
    assert Dialect(";", ",").sentence == "Cells are parted by semicolons; numbers have a decimal comma."
    assert Dialect("\t", ".", "cp1252").sentence == (
        "Cells are parted by tabs; numbers have a decimal point. Letters are read as Windows-1252."
    )
    dates = Dialect(encoding="cp932", dates="month-first", word="東京")
    assert dates.sentence == (
        'The month stands first in dates. Letters are read as Shift_JIS, as in "東京"; if that is wrong, say another '
        "encoding."
    )
    assert SaidDialect.of(dates.said) == SaidDialect(encoding="cp932", dates="month-first")
