"""What a model of somebody's rows would be."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from service.cli.exits import WrongUsage
from service.cli.files import guess as files
from service.cli.files.readers import open_file
from service.client.rows.guess import guess, target_of
from service.client.rows.values import plain
from service.guessing.column_facts import ColumnFacts
from service.guessing.label_column import column_aside, label_column

TABLE = b"\xef\xbb\xbfcity,postcode,rooms,balcony,since,rent\nOsaka,01234,2,true,2026-01-02,5.5\nKyoto,,,false,,7\n"


def image(mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (6, 4))


def png(mode: str) -> bytes:
    held = io.BytesIO()
    image(mode).save(held, "PNG")
    return held.getvalue()


def test_rows_say_what_they_are() -> None:
    for rows, spec in [
        (np.zeros((3, 64)), {"kind": "vector", "size": 64}),
        ([[1, 2], [3, 4]], {"kind": "vector", "size": 2}),
        ([np.zeros(5), np.zeros(5)], {"kind": "vector", "size": 5}),
        (["a text", "another"], {"kind": "text"}),
        (np.full((2, 3, 4, 6), 200), {"kind": "image", "channels": 3, "height": 4, "width": 6}),
        (
            torch.rand(2, 1, 4, 6),
            {"kind": "image", "channels": 1, "height": 4, "width": 6, "scale": {"range": [0, 1]}},
        ),
        ([image()], {"kind": "image", "channels": 3, "height": 4, "width": 6}),
        ([image("L")], {"kind": "image", "channels": 1, "height": 4, "width": 6}),
        ([png("RGBA")], {"kind": "image", "channels": 4, "height": 4, "width": 6}),
    ]:
        assert guess(rows, ["a", "b"]).input == spec, rows


def test_a_file_says_what_its_columns_are(tmp_path: Path) -> None:
    file = tmp_path / "rents.csv"
    file.write_bytes(TABLE)
    for content in (TABLE, file, str(file)):
        made = guess(content)
        assert (made.target, made.columns) == ({"kind": "number", "names": ["rent"]}, ("rent",))
        assert [(column["name"], column["kind"]) for column in made.input["columns"]] == [
            ("city", "category"),
            ("postcode", "category"),
            ("rooms", "number"),
            ("balcony", "boolean"),
            ("since", "date"),
        ]
    assert guess(TABLE, columns=["city"], leave_out=["rent"]).columns == ("city",)
    several = guess(TABLE, columns=["rent", "rooms"])
    assert several.target == {"kind": "number", "size": 2, "names": ["rent", "rooms"]}
    for empty in (b"", b"a,b,label\n"):
        with pytest.raises(ValueError, match="no row"):
            guess(empty)
    with pytest.raises(ValueError, match="quote that is never closed"):
        guess(b'a,label\n"' + b"x" * 200_000)
    for wrong, sentence in (
        ("ō,label\n".encode() + b"M\xfcnchen,a\n", "not UTF-8: a byte of line 2"),
        (b"city,label\nKob\0e,a\n", "Line 2 has a NUL character"),
        (b"a,a,label\n1,2,b\n", 'called "a"'),
        (b"a,,label\n1,2,b\n", "Column 2"),
        (b"Sales;;\na;b;label\n1;2;b\n", "If it is a title, remove what stands above the names"),
        (b"Sales\na;b;label\n1;2;b\n", "If it is a title, remove what stands above the names"),
        (b"a|label\n1|b\n", "Save it with commas, semicolons or tabs"),
        (b"5.1,3.5,setosa\n4.9,3.0,setosa\n", "first line of this CSV file names no columns"),
        (b"red,small,yes\nblue,small,no\nred,large,yes\n", "it begins the rows, with red"),
        (b'[{"a": 1, "label": "b"}]', "This file is JSON"),
        (b"PK\x03\x04\x14\x00xl/workbook.xml", "a workbook of a spreadsheet"),
        (b"PAR1\x15\x04", "This file is Parquet"),
    ):
        with pytest.raises(ValueError, match=sentence):
            guess(wrong)
    with pytest.raises(ValueError, match='no column "city2"'):
        guess(TABLE, columns=["city2"])


def test_a_row_that_may_be_the_sum_of_the_others_is_asked_about() -> None:
    lines = "".join(f"{('Kyoto', 'Kobe')[k % 2]},{k % 7},{'xy'[k % 2]}\n" for k in range(20))
    assert '"city" says "Total" in one row. If' in guess(f"city,n,label\n{lines}Total,60,\n".encode()).sentence
    assert "Total" not in guess(f"city,n,label\n{lines}Total,60,\nTotal,1,x\n".encode()).sentence


def test_a_file_is_the_same_for_the_client_and_for_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    for lines in [
        ["p0,p1,label", "1,2.5,a", "3,4,b"],
        ["p0,p1,label", "1,,a", "3,4,b"],
        ["width,height,y", *(f"{k},{k}.5,{k}" for k in range(40))],
        ["text,kind", "a sentence with several words,a", "another one that is as long,b"],
        ["size,postcode,opened,sold,last", "1.5,0123,2026-11-29,true,3", "NA,4567,2026-11-30,False,4"],
        [",".join([*(f"name of {k}x" for k in range(223)), "label"]), ",".join(["1"] * 224)],
    ]:
        file.write_text("\n".join(lines))
        one, other = guess(file), files.guess(open_file(file), None, None)
        assert (one.input, one.target, one.columns) == (
            other.body["input"],
            other.body.get("target"),
            (other.label,),
        ), lines


def test_classes_and_likely_slips_are_the_same_for_the_client_and_for_the_terminal(tmp_path: Path) -> None:
    file, rare = tmp_path / "x.csv", [f"slip{k}" for k in range(7)]
    for few, end in ((rare[:1], '"slip0"{} is in one row alone: is it a slip?'), (rare, "")):
        labels = ["a", "b"] * 10 + few
        file.write_text("p0,p1,label\n" + "".join(f"{k},{k % 3},{label}\n" for k, label in enumerate(labels)))
        said, told = guess(file).sentence, files.guess(open_file(file), None, None).lines
        assert "Classes: a (10), b (10), slip0 (1)" in said
        assert "Classes: a (10), b (10), slip0 (1)" in told[1]
        if end:
            assert said.endswith(end.format(" (line 22)"))
            assert told[2] == end.format(" (line 22)")
    assert said.endswith(told[2])
    assert told[2].endswith('"slip3" (line 25), "slip4" (line 26) and 2 more are in one row each: are they slips?')


def test_a_column_that_may_only_number_rows_is_named() -> None:
    frame = pandas.DataFrame({"id": range(30), "age": [k * 7 % 13 for k in range(30)], "label": ["a", "b"] * 15})
    for made in (guess(frame), guess(frame.to_csv(index=False).encode())):
        assert made.doubts == (("numbering", "id", ""),)
        assert made.sentence.endswith(
            'No cell of "id" comes again. If it only numbers rows, leave it out: leave_out="id".'
        )
        assert made.otherwise.endswith("in a push to a model of another name."), "rows are learned by then"
    assert guess(frame, leave_out=["id"]).doubts == ()


def test_whole_numbers_that_rise_with_gaps_may_number_rows_and_amounts_and_days_do_not() -> None:
    rising = [1000 + 3 * k + k % 2 for k in range(60)]
    for numbers, doubtful in (
        (rising, True),
        (rising[:49], False),
        (rising[::-1], False),
        ([*rising[:-1], rising[0]], False),
        ([5 * k + k % 2 for k in range(60)], False),
        ([k + 0.5 for k in rising], False),
        ([20260101 + 100 * (k // 28) + k % 28 for k in range(300)], False),
    ):
        frame = pandas.DataFrame({"n": numbers, "age": [k % 13 for k in range(len(numbers))]})
        frame["label"] = ["ab"[k % 2] for k in range(len(numbers))]
        for made in (guess(frame), guess(frame.to_csv(index=False).encode())):
            assert made.doubts == ((("numbering", "n", ""),) if doubtful else ()), numbers[:9]


def test_numbers_that_may_be_names_by_their_column_are_asked_about() -> None:
    several = [700 + k * 7 % 13 for k in range(30)]
    names = "machine_id", "CustomerID", "Kunden-Nr.", "zip code", "顧客番号", "nr"
    named = dict.fromkeys(
        (*names, "Artikelnr", "Artikelnummer", "SKU", "article_no", "KUNDENNR", "OrderNo", "order number"), several
    )
    others = dict.fromkeys(("acid", "humid", "paid", "age", "casino", "NO", "sku_price"), several) | {
        "gain_id": [0.5 + k for k in several]
    }
    frame = pandas.DataFrame(named | others | {"label": ["a", "b"] * 15})
    for made in (guess(frame), guess(frame.to_csv(index=False).encode())):
        assert made.doubts == tuple(("ids", name, "") for name in named)
        assert (
            'leave it out or make it a category: leave_out="machine_id", or of a frame frame["machine_id"].astype'
        ) in made.sentence
    as_category = frame[["machine_id", "age", "label"]].astype({"machine_id": "category"})
    assert guess(as_category).doubts == ()


def test_a_column_of_names_is_asked_about_and_categories_are_not() -> None:
    for rows, different, doubtful in ((200, 84, True), (200, 190, True), (200, 30, False), (40, 20, False)):
        names = [f"n{k % different}" for k in range(rows)]
        frame = pandas.DataFrame(
            {"name": names, "age": [k % 13 for k in range(rows)], "label": ["a", "b"] * (rows // 2)}
        )
        for made in (guess(frame), guess(frame.to_csv(index=False).encode())):
            assert made.doubts == ((("names", "name", str(different)),) if doubtful else ())
            assert made.sentence.endswith('as of people or orders, leave it out: leave_out="name".') == doubtful


def test_a_column_of_sentences_is_named_whose_words_nobody_reads() -> None:
    says = [f"Order {k % 20} came late again" for k in range(30)]
    japanese = [f"注文{k}が、また遅れました。残念です" for k in range(30)]
    columns = {"says": says, "name": [f"Ada {k % 20}" for k in range(30)], "often": [says[k % 9] for k in range(30)]}
    frame = pandas.DataFrame(columns | {"japanese": japanese, "label": ["a", "b"] * 15})
    for made in (guess(frame), guess(frame.to_csv(index=False).encode())):
        assert made.doubts == (("text", "says", ""), ("text", "japanese", ""))
        assert (
            'Words of "says" are not read: each cell is one value. Make a model of texts of that column alone '
            '(leave_out=["name", "often", "japanese"]), or leave it out: leave_out="says".'
        ) in made.sentence
    with_id = guess(frame[["often", "says", "label"]])
    assert 'texts of that column alone (leave_out=["often"]), or leave it out' in with_id.sentence


def test_numbers_and_dates_that_are_written_otherwise_are_told(tmp_path: Path) -> None:
    for cells, doubt in [
        (["1,5", "2", "3,25"], ("number", "1,5")),
        (["1'200", "300"], ("number", "1'200")),
        (["12 %", "3.5 %"], ("number", "12 %")),
        (["29.11.26", "1.2.26"], ("date", "1.2.26")),
        (["11/29/26", "2026/11/29"], ("date", "11/29/26")),
        (["0123", "4567"], None),
        (["1.2.3", "1.2.4"], None),
        (["a17", "b2"], None),
        (["2026-11-29", ""], None),
        (["1.5", "2"], None),
    ]:
        lines = "".join(f'"{cell}",{k}.5,{"xy"[k % 2]}\n' for k, cell in enumerate(cells * 3))
        found = guess(("a,b,label\n" + lines).encode()).doubts
        assert found == (() if doubt is None else ((doubt[0], "a", doubt[1]),)), cells
        frame = pandas.DataFrame({"a": cells * 3, "label": ["x", "y", "x"] * len(cells)})
        assert guess(frame).doubts == found, cells
        (tmp_path / "x.csv").write_text("a,b,label\n" + lines)
        told = files.guess(open_file(tmp_path / "x.csv"), None, None).lines[2:]
        assert [line[:30] for line in told] == ([] if doubt is None else ['"a" is a category as it is wri']), cells


def test_thousands_and_currencies_are_of_files_alone_and_texts_of_a_frame_are_told() -> None:
    cells, label = ["$1,200.50", "$300", "$2,400"] * 3, ["x", "y", "z"] * 3
    file = "a,label\n" + "".join(f'"{cell}",{name}\n' for cell, name in zip(cells, label, strict=True))
    found = guess(file.encode())
    assert (found.input["columns"], found.doubts) == ([{"name": "a", "kind": "number"}], ())
    of_frame = guess(pandas.DataFrame({"a": cells, "label": label}))
    assert of_frame.input["columns"] == [{"name": "a", "kind": "category"}]
    assert of_frame.doubts == (("number", "a", "$1,200.50"),)


def test_a_price_that_is_no_number_makes_no_classes_of_prices(tmp_path: Path) -> None:
    for third in ["1502 EUR", "15O2"]:
        cells = [third if k == 2 else str(1500 + k) for k in range(40)]
        file = "rooms,price\n" + "".join(f"{k % 5},{cell}\n" for k, cell in enumerate(cells))
        with pytest.raises(ValueError, match=r'Values of "price" look like numbers, and ".*" is none'):
            guess(file.encode())
        (tmp_path / "a.csv").write_text(file)
        with pytest.raises(WrongUsage, match=r'a.csv, line 4: values of "price" look like numbers, and ".*" is none'):
            files.guess(open_file(tmp_path / "a.csv"), None, None)
        assert len(files.guess(open_file(tmp_path / "a.csv"), None, "class").body["classes"]) == 40, third
        assert guess(file.replace(third, "1502").encode()).target == {"kind": "number", "names": ["price"]}, third


def test_a_slip_among_numbers_or_dates_of_an_input_is_asked_about(tmp_path: Path) -> None:
    for cells, slip, why, sentence in [
        (
            ["2.3", "4.1"],
            "3,3b",
            "slip",
            '"3,3b" is no number, and nearly all other cells of "a" are. Write it as 12500',
        ),
        ([str(k) for k in range(17)], "12 kg", "slip", '"12 kg" is no number'),
        (["2.3", "14.1"], "1.2.3", "slip", '"1.2.3" is no number'),
        (["2026-11-29", "2026-12-01"], "2O26-12-02", "date_slip", '"2O26-12-02" is no date, and nearly all'),
        (["29.11.2026", "13.1.2026"], "7.1.2O24", "date_slip", '"7.1.2O24" is no date'),
        (["0123", "4567"], "12a", "", ""),
    ]:
        rows = (cells * 20)[:34]
        rows[6] = slip
        path = tmp_path / "x.csv"
        path.write_text("a;b;label\n" + "".join(f"{cell};{k};{'xy'[k % 2]}\n" for k, cell in enumerate(rows)))
        frame = pandas.DataFrame({"a": rows, "label": ["x", "y"] * 17})
        if not why:
            assert ("a" in {column["name"] for column in guess(path).input["columns"]}, guess(frame).doubts) == (
                True,
                (),
            )
            continue
        assert guess(frame).doubts == ((why, "a", slip),), cells
        assert f'na_values="{slip}".' in guess(frame).sentence, cells
        with pytest.raises(ValueError, match="^x.csv: Line 8: " + re.escape(sentence)) as refused:
            guess(path)
        assert f'gaps=["{slip}"]. If these are categories, say it first: client.create_model(' in str(refused.value), (
            cells
        )
        with pytest.raises(WrongUsage, match=re.escape(f"x.csv, line 8: {sentence}")) as asked:
            files.guess(open_file(path), None, None, "init {}")
        assert str(asked.value).endswith("If these are categories: init --category a"), cells
        said = files.guess(open_file(path), None, None, "init {}", ["a"])
        assert said.body["input"]["columns"][0]["kind"] == "category", cells
        assert not any('"a"' in line for line in said.lines), cells
        kind = guess(path, gaps=[slip]).input["columns"][0]["kind"]
        assert kind == ("number" if why == "slip" else "date"), cells
        assert files.guess(open_file(path, gaps=[slip]), None, None).body["input"]["columns"][0]["kind"] == kind, cells


def test_a_column_of_numbers_or_dates_with_many_other_cells_is_a_category_that_may_be_none() -> None:
    for numbers, others, doubts in [
        (["2", "3"], [f"{k + 10} kg" for k in range(14)], (("mixed", "a", "10 kg"),)),
        (["2026-11-29", "2026-12-01"], [f"7.1.2O{k}" for k in range(12)], (("mixed_dates", "a", "7.1.2O0"),)),
        (["2", "3"], ["0123", *(f"4567{k}a" for k in range(12))], ()),
        (["2", "3"], [f"A{k}" for k in range(50)], (("names", "a", "52"),)),
    ]:
        cells = [*numbers * 20, *others]
        guessed = guess(pandas.DataFrame({"a": cells, "label": [f"{k % 2}" for k in range(len(cells))]}))
        assert (guessed.input["columns"], guessed.doubts) == ([{"name": "a", "kind": "category"}], doubts), numbers
        mixed = any(why.startswith("mixed") for why, *_ in doubts)
        assert ("is a category as it is written: most of its cells" in guessed.sentence) == mixed, numbers


def test_a_value_that_comes_often_among_numbers_is_no_slip() -> None:
    rows = ["3+" if k % 12 == 0 else str(k % 3) for k in range(120)]
    frame = pandas.DataFrame({"children": rows, "label": ["x", "y"] * 60})
    assert (guess(frame).doubts, guess(frame.to_csv(index=False).encode()).doubts) == ((), ())


def test_a_category_before_a_last_column_of_prices_is_asked_about(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"Category": ["a", "b"] * 20, "size": range(40), "Price": [k + 0.5 for k in range(40)]})
    path = tmp_path / "x.csv"
    frame.to_csv(path, index=False)
    for rows in (frame, path):
        with pytest.raises(ValueError, match='Say which: target="Category" or target="Price"'):
            guess(rows)
        assert guess(rows, columns=["Price"]).columns == ("Price",)
    with pytest.raises(WrongUsage, match="Say which: --label Category or --label Price"):
        files.guess(open_file(path), None, None)
    assert files.guess(open_file(path), "Category", None).label == "Category"
    assert guess(frame.rename(columns={"Category": "label"})).columns == ("label",)


def test_prices_that_come_again_are_numbers_and_numbers_of_classes_are_none() -> None:
    def file(labels: list[str]) -> bytes:
        return "".join(["size,last\n", *(f"{k},{label}\n" for k, label in enumerate(labels))]).encode()

    prices = [str(95_000 + 1_500 * (k * k % 67)) for k in range(80)]  # 34 prices, most of which come again
    assert guess(file(prices)).target == {"kind": "number", "names": ["last"]}
    assert target_of([int(price) for price in prices]) == {"kind": "number"}
    with pytest.raises(ValueError, match='Values of "last" look like numbers, and "98o00" is none'):
        guess(file([*prices, "98o00"]))
    close = [k * k % 67 for k in range(80)]  # 34 of 67 classes
    assert guess(file([str(k) for k in close])).target is target_of(close) is None
    ages = [20.0 + k % 50 for k in range(300)]
    for asked in (lambda: guess(file([f"{age}" for age in ages])), lambda: target_of(ages)):
        with pytest.raises(ValueError, match=r'50 different whole numbers.* Say predicts="number"'):
            asked()
    assert guess(file([f"{age}" for age in ages]), predicts="number").target == {"kind": "number", "names": ["last"]}
    assert guess(file([f"{age}" for age in ages]), predicts="class").target is target_of(ages, "class") is None
    assert target_of(ages, "number") == {"kind": "number"}
    with pytest.raises(ValueError, match='look like numbers, and "4O" is none'):
        guess(file([*(f"{age}" for age in ages), "4O"]))


def test_a_column_of_texts_is_texts_in_a_frame_or_alone() -> None:
    frame = pandas.DataFrame({"id": ["T-1", "T-2"], "text": ["where is my order?", "I was charged twice for it"]})
    frame = pandas.concat([frame] * 15).assign(label=["a", "b"] * 15)
    for made in (guess(frame, leave_out=["id"]), guess(frame["text"], frame["label"]), guess(frame["text"].to_numpy())):
        assert made.input == {"kind": "text"}
    assert guess(frame).input["kind"] == "table", "two columns"


def test_frames_and_dicts_are_tables() -> None:
    frame = pandas.DataFrame({"age": [31, None], "label": ["a", "b"]})
    made = guess(frame)
    assert (made.columns, made.target) == (("label",), None)
    assert made.input == {"kind": "table", "columns": [{"name": "age", "kind": "number"}]}
    assert made.sentence == 'a table of age (number); predicts classes from column "label". Classes: a (1), b (1).'
    assert guess([{"age": 1}], [2.5]).settings == {"target": {"kind": "number"}}


def test_classes_of_rows_are_counted_and_slips_have_their_row() -> None:
    labels = ["a", "b"] * 10 + ["slip"]
    counted = 'Classes: a (10), b (10), slip (1). "slip" (row 20, counted from 0) is in one row alone: is it a slip?'
    for made in (
        guess(pandas.DataFrame({"age": range(21), "label": labels})),
        guess([{"age": k % 5} for k in range(21)], labels),
        guess(np.zeros((21, 3)), np.array(labels)),
        guess(["a text"] * 21, labels),
    ):
        assert counted in made.sentence
    slip = guess(np.zeros((21, 3)), ["seven", "eight"] * 10 + ["sevne"]).sentence
    assert slip.endswith('"sevne" (row 20, counted from 0), in 1 row, is like "seven", in 10: is it a slip?')
    assert guess(np.zeros((4, 3)), [1, None, True, 2.0]).classes == {"1": 1, "true": 1, "2": 1}
    assert guess(np.zeros((40, 3)), np.arange(40) / 2).classes == {}
    with pytest.raises(ValueError, match='"label" is the target and left out: say one of them'):
        guess(TABLE, columns=["label"], leave_out=["label"])


def test_words_among_numbers_are_gaps_that_are_said_and_remembered_in_whatever_form_rows_come(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"age": [*(k % 7 for k in range(29)), "k.A."], "label": ["a", "b"] * 15})
    file, number = frame.to_csv(index=False).encode(), {"name": "age", "kind": "number"}
    (tmp_path / "x.csv").write_bytes(file)
    said = '"k.A." in "age" is taken for a gap: nothing is known there.'
    for rows in (frame, frame.to_dict("records"), file):
        made = guess(rows)
        assert made.input == {"kind": "table", "columns": [number], "gaps": ["k.A."]}
        assert (said in made.sentence, made.doubts) == (True, ())
    told = files.guess(open_file(tmp_path / "x.csv"), None, None)
    assert (told.body["input"], said in told.lines) == (made.input, True)
    assert guess(file, gaps=["k.A."]).input == made.input
    assert said not in guess(file, gaps=["k.A."]).sentence
    assert guess(frame.astype({"age": str})).doubts == (("gap", "age", "k.A."),), "texts of a frame are categories"
    assert "read the file with na_values" in guess(frame.astype({"age": str})).sentence


def test_a_word_that_may_be_a_class_is_no_gap(tmp_path: Path) -> None:
    """Beside digits it is the name of a class; beside prices it says that nothing is known."""
    digits, prices = ([*(str(k % 5 if few else 1500 + k) for k in range(39)), "unknown"] for few in (True, False))
    for cells, gaps, classes in ((digits, (), 6), (prices, ("unknown",), 0)):
        file = "rooms,price\n" + "".join(f"{k % 5},{cell}\n" for k, cell in enumerate(cells))
        assert (guess(file.encode()).gaps, len(guess(file.encode()).classes)) == (gaps, classes)
        (tmp_path / "a.csv").write_text(file)
        told = files.guess(open_file(tmp_path / "a.csv"), None, None)
        assert (told.gaps, len(told.body.get("classes", ()))) == ([*gaps], classes)
    assert len(files.guess(open_file(tmp_path / "a.csv"), None, "class").body["classes"]) == 40


def test_a_word_that_another_column_of_rows_has_may_be_a_value_there() -> None:
    rows = [{"age": k, "country": "NA" if k % 2 else "DE", "label": "ab"[k % 2]} for k in range(40)]
    rows[3]["age"] = "NA"
    assert "gaps" not in guess(rows).input


def test_the_column_of_labels_has_a_usual_name_or_is_the_one_left() -> None:
    for names, inputs, column in [
        (["x", "Label", "target"], (), "Label"),
        (["x", "正解", "z"], (), "正解"),
        (["x", "y", "z"], (), "y"),
        (["a", "b"], (), "b"),
        (["a", "b"], ("a",), "b"),
        (["a", "b", "c"], ("a",), None),
        (["label", "b"], ("label",), "b"),
        (["a"], ("a",), None),
    ]:
        assert label_column(names, inputs) == column, names


def test_what_is_no_input_of_rows_to_be_predicted_is_left_aside_or_nobody_can_tell() -> None:
    ids, few, words = range(5, 30), [7, 9] * 13, [f"a text of row {k}" for k in range(25)]
    known, short = ["a", "b"] * 13, [f"w{k}" for k in range(25)]
    cases: list[tuple[dict[str, Iterable[object]], bool, tuple[str | None, bool]]] = [
        ({"id": few, "p0": ids, "p1": few}, False, ("id", False)),
        ({"p0": ids, "p1": few, "kind": short}, False, ("kind", False)),
        ({"p0": ids, "p1": few, "kind": known}, False, ("kind", True)),
        ({"id": ids, "size": few, "age": few}, False, ("id", False)),
        ({"size": few, "age": few, "kind": known}, False, ("kind", True)),
        ({"id": ids, "size": few, "label": short}, False, ("label", True)),
        ({"id": ids, "size": few, "kind": known}, False, (None, False)),
        ({"size": few, "age": few, "id": few}, False, (None, False)),
        ({"ticket": few, "text": words}, True, ("ticket", False)),
        ({"text": short, "ticket": ids}, True, ("ticket", False)),
        ({"text": words, "intent": known}, True, ("intent", True)),
        ({"text": words, "intent": ["B", None] * 13}, True, ("intent", True)),
        ({"text": short, "customer": [*known[1:], "c"]}, True, (None, False)),
        ({"ticket": short, "text": words}, True, (None, False)),
    ]
    for columns, texts, expected in cases:
        facts = {name: ColumnFacts() for name in columns}
        for name, cells in columns.items():
            for cell in cells:
                facts[name].add(cell)
        assert column_aside(facts, texts, ["a", "b"]) == expected, columns


def test_labels_are_classes_unless_they_measure() -> None:
    for labels, target in [
        (["a", 1], None),
        ([1, 2, 1.0, None], None),
        ([True, False], None),
        ([], None),
        (None, None),
        ([0.5, 1], {"kind": "number"}),
        (list(range(20)), {"kind": "number"}),
        ([10**400, 1], {"kind": "number"}),
        (pandas.Series(range(20), dtype="category"), None),
        (np.array([[1.0, 2], [3, 4]]), {"kind": "number", "size": 2}),
    ]:
        assert target_of(labels) == target, labels


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.zeros((2, 40, 60, 3)), "Channels come first"),
        (np.zeros(3), "What do these rows hold"),
        ([b"\xff\xd8\xff..."], "How large"),
    ],
)
def test_what_cannot_be_guessed_is_asked(rows: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        guess(rows)


def test_an_image_of_pil_travels_as_a_png() -> None:
    assert list(plain([image()])[0]) == ["png"]


@pytest.mark.parametrize("unknown", [6, 14])
def test_a_word_that_many_cells_say_beside_amounts_is_a_gap(tmp_path: Path, unknown: int) -> None:
    cells = [*map(str, range(20, 50 - unknown)), *["不明"] * unknown]
    file = ("age,label\n" + "".join(f"{cell},{'xy'[k % 2]}\n" for k, cell in enumerate(cells))).encode()
    (tmp_path / "people.csv").write_bytes(file)
    told = files.guess(open_file(tmp_path / "people.csv"), None, None)
    number = {"kind": "table", "columns": [{"name": "age", "kind": "number"}], "gaps": ["不明"]}
    assert guess(file).input == told.body["input"] == number
    assert '"不明" in "age" is taken for a gap: nothing is known there.' in told.lines


def test_a_word_beside_few_different_numbers_may_be_a_value_and_is_asked_about(tmp_path: Path) -> None:
    cells = ["1", "2", "3", "studio"] * 5
    file = ("rooms,label\n" + "".join(f"{cell},{'xy'[k % 3 % 2]}\n" for k, cell in enumerate(cells))).encode()
    (tmp_path / "flats.csv").write_bytes(file)
    told = files.guess(open_file(tmp_path / "flats.csv"), None, None, "tsuika init flats flats.csv {}")
    assert told.body["input"]["columns"] == [{"name": "rooms", "kind": "category"}]
    said = 'most of its cells are numbers, and others say "studio". If nothing is known there, say so: '
    assert any(said + "tsuika init flats flats.csv --gaps studio" in line for line in told.lines)
    assert f'{said}gaps=["studio"] of a file' in guess(file).sentence
    many = ["31.12.2026", "1.2.2026", "3.2.2026", "unknown"] * 5
    dates = "day,label\n" + "".join(f"{cell},{'xy'[k % 3 % 2]}\n" for k, cell in enumerate(many))
    assert 'most of its cells are dates, and others, such as "unknown", are none' in guess(dates.encode()).sentence


def test_full_width_digits_are_numbers_in_whatever_form_rows_come_and_that_is_said(tmp_path: Path) -> None:
    cells = ["１２", "－３．６", "5", "７"] * 5
    file = ("a,b,label\n" + "".join(f"{c},{k % 7},{'xy'[k % 3 % 2]}\n" for k, c in enumerate(cells))).encode()
    (tmp_path / "a.csv").write_bytes(file)
    told = files.guess(open_file(tmp_path / "a.csv"), None, None)
    frame = pandas.read_csv(io.BytesIO(file))
    mixed = frame.assign(a=[12 if cell == "１２" else cell for cell in frame["a"]])
    said = 'Full-width digits in "a" are read as numbers, as in "１２".'
    for made in (guess(file), guess(frame), guess(mixed), guess(frame.to_dict("records"), frame["label"])):
        assert made.input["columns"][0] == told.body["input"]["columns"][0] == {"name": "a", "kind": "number"}
        assert said.replace("１２", "－３．６" if made == guess(mixed) else "１２") in made.sentence
    assert said in told.lines
    with pytest.raises(ValueError, match='The labels are texts of numbers, such as "１．５"'):
        guess(frame[["b"]], [f"{k}５０．５" if k else "１．５" for k in range(20)])


def test_classes_in_full_width_digits_stay_as_they_are() -> None:
    file = "a,label\n" + "".join(f"{k % 7}.5,{'１２'[k % 3 % 2]}\n" for k in range(20))
    made = guess(file.encode())
    assert (set(made.classes), "Full-width" in made.sentence) == ({"１", "２"}, False)
