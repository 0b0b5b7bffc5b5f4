"""Files of rows: each kind is read the same, faults have their place, and what a file is for is guessed from it."""

from __future__ import annotations

import io
import json
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import polars
import pytest
from PIL import Image

from service.cli.app import main
from service.cli.exits import WrongUsage
from service.cli.files import readers, sizes
from service.cli.files.guess import guess
from service.cli.files.labels import count_labels
from service.cli.files.parquet_size import unpacked_size
from service.cli.files.readers import open_file
from service.cli.people import predict, push
from service.client.kinds.numbers import NumberKind
from service.contract.inputs import TextInput, VectorInput
from service.contract.predictions import ValuePrediction

ROWS = [(1.5, "a", "yes"), (2.0, "b", "no"), (3.5, "a", "yes")]


def write(folder: Path, kind: str) -> Path:
    path = folder / f"rows.{kind}"
    if kind == "csv":
        path.write_text("size,shape,label\n" + "".join(f"{s},{k},{label}\n" for s, k, label in ROWS))
    elif kind == "jsonl":
        path.write_text("".join(json.dumps({"size": s, "shape": k, "label": label}) + "\n" for s, k, label in ROWS))
    else:
        pytest.importorskip("polars").DataFrame(ROWS, ["size", "shape", "label"], orient="row").write_parquet(path)
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_each_kind_of_file_is_the_same_rows(kind: str, tmp_path: Path) -> None:
    file = open_file(write(tmp_path, kind))
    assert file.columns == ("size", "shape", "label")
    assert [(float(record.cells[0]), *record.cells[1:]) for record in file.records()] == ROWS
    assert {name: count.rows for name, count in count_labels(file, "label").counts.items()} == {"yes": 2, "no": 1}
    columns = [{"name": "size", "kind": "number"}, {"name": "shape", "kind": "category"}]
    guessed = guess(file, None, None)
    assert guessed.body == {"input": {"kind": "table", "columns": columns}, "classes": ["yes", "no"]}


def test_arrays_are_vectors_and_pictures_are_images(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.arange(12.0).reshape(4, 3), y=np.array([1, 1, 2, 2]))
    assert guess(open_file(tmp_path / "a.npz"), None, None).body == {
        "input": {"kind": "vector", "size": 3},
        "classes": ["1", "2"],
    }
    data = io.BytesIO()
    Image.new("RGB", (6, 4)).save(data, "png")
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for name in ("cat/1.png", "dog/1.png", "__MACOSX/cat/1.png"):
            archive.writestr(name, data.getvalue())
    file = open_file(tmp_path / "pets.zip")
    assert [(record.place, record.cells[1]) for record in file.records()] == [
        ("cat/1.png", "cat"),
        ("dog/1.png", "dog"),
    ]
    spec = {"kind": "image", "channels": 3, "height": 4, "width": 6}
    guessed = guess(file, None, None)
    assert guessed.body == {"input": spec, "classes": ["cat", "dog"]}
    assert "Classes: cat (1), dog (1), from the names of the folders." in guessed.lines


@pytest.mark.parametrize(
    ("label", "numbers"), [("price", True), ("正解", False), ("kind", False)], ids=["price", "label", "last"]
)
def test_numbers_of_many_values_are_a_target_and_others_are_classes(label: str, numbers: bool, tmp_path: Path) -> None:
    cells = [f"{k}.5" if numbers else str(k % 3) for k in range(40)]
    (tmp_path / "x.csv").write_text(f"p0,p1,{label}\n" + "".join(f"{k},{k}.5,{cell}\n" for k, cell in enumerate(cells)))
    guessed = guess(open_file(tmp_path / "x.csv"), None, None)
    target = {"kind": "number", "names": [label]} if numbers else None
    assert (guessed.label, guessed.body.get("target")) == (label, target)
    assert guessed.body["input"] == {"kind": "vector", "size": 2, "names": ["p0", "p1"]}


def test_words_for_nothing_are_gaps_that_are_said_and_no_classes(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("age,sex\n31,male\nNA,NA\n44,female\n50,\n")
    guessed = guess(open_file(tmp_path / "x.csv"), None, None)
    assert (guessed.body["classes"], guessed.gaps) == (["male", "female"], ["NA"])
    assert guessed.lines[2:] == [
        '"NA" in "age", "sex" is taken for a gap: nothing is known there.',
        "2 rows have no label: lines 3, 5.",
    ]
    told = guess(open_file(tmp_path / "x.csv", gaps=["NA"]), None, None)
    assert (told.body["input"], told.gaps) == ({"kind": "table", "columns": guessed.body["input"]["columns"]}, [])
    assert guessed.body["input"]["gaps"] == ["NA"], "the model remembers it"
    (tmp_path / "x.csv").write_text("age,sex\n31,NA\n44,\n")
    with pytest.raises(WrongUsage, match=r'no row has a label in "sex" \(the last column\).* --label COLUMN'):
        guess(open_file(tmp_path / "x.csv"), None, None)


def test_columns_are_left_out_and_one_that_numbers_rows_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,size,last\n" + "".join(f"{k},{k % 7},{'ab'[k % 2]}\n" for k in range(40)))
    assert guess(open_file(tmp_path / "x.csv"), None, None).lines[-1].endswith("--leave-out id")
    without = guess(open_file(tmp_path / "x.csv", leave_out=["id"]), None, None)
    assert [column["name"] for column in without.body["input"]["columns"]] == ["size"]
    with pytest.raises(WrongUsage, match='no column "nr"'):
        open_file(tmp_path / "x.csv", leave_out=["nr"])


def test_of_a_label_alone_nothing_can_be_learned(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,y\n1,a\n2,b\n")
    with pytest.raises(WrongUsage, match='Beside "y" no column of'):
        guess(open_file(tmp_path / "x.csv", ["id"]), "y", None)


def test_a_file_without_a_header_makes_no_columns_of_its_first_row(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("5.1,3.5,setosa\n4.9,3.0,setosa\n")
    with pytest.raises(WrongUsage, match="line 1: The first line of this CSV file names no columns"):
        guess(open_file(tmp_path / "x.csv"), None, None)


def test_numbers_are_names_of_columns_where_somebody_says_which_is_predicted(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("4,1,2,3,0,kind\n" + "5,6,7,8,9,a\n6,7,8,9,1,b\n" * 3)
    with pytest.raises(WrongUsage, match="say which of them is predicted: --label NAME"):
        guess(open_file(tmp_path / "x.csv"), None, None)
    guessed = guess(open_file(tmp_path / "x.csv"), "kind", None)
    assert guessed.body["input"] == {"kind": "vector", "size": 5, "names": ["4", "1", "2", "3", "0"]}
    with pytest.raises(WrongUsage, match="names no columns"):
        guess(open_file(tmp_path / "x.csv"), "0", None)


@pytest.mark.parametrize(
    ("value", "columns", "first"),
    [
        ([{"a": 1, "label": "x"}, {"a": None}], ("a", "label"), [1, "x"]),
        ({"inputs": [[1, 2], [3, 4]], "labels": ["x", "y"]}, ("x0", "x1", "label"), [1, 2, "x"]),
        ([{" cafe\u0301 ": 1, "label": "x"}, {"label": "y"}], ("caf\u00e9", "label"), [1, "x"]),
        ({"inputs": ["a text", "another"], "targets": [1.5, 2]}, ("text", "label"), ["a text", 1.5]),
    ],
)
def test_rows_in_json_are_read_as_they_are_sent(
    value: Any, columns: tuple[str, ...], first: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "x.json").write_text(json.dumps(value))
    file = open_file(tmp_path / "x.json")
    records = list(file.records())
    assert (file.columns, list(records[0].cells), file.at(records[1].place)) == (
        columns,
        first,
        "row 1 (counted from 0)",
    )


def test_one_column_that_is_asked_about_may_have_marks_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('"What, if any?"\nthe first\n')
    assert open_file(tmp_path / "x.csv", asked=TextInput(kind="text")).columns == ("What, if any?",)
    for asked in (None, VectorInput(kind="vector", size=2)):
        with pytest.raises(WrongUsage, match=r"line 1: This CSV file has one column, What, if any\?"):
            open_file(tmp_path / "x.csv", asked=asked)


def test_numbers_say_how_they_are_predicted(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,last\n" + "".join(f"{k},{k % 25}\n" for k in range(100)))
    assert guess(open_file(tmp_path / "x.csv"), None, None).lines[1].endswith("predicted: --target number.")
    (tmp_path / "x.csv").write_text("a,age\n" + "".join(f"{k},{20 + k % 50}.0\n" for k in range(300)))
    asked = '"age" has 50 different whole numbers: .* Say which. tsuika --target number or tsuika --target class'
    with pytest.raises(WrongUsage, match=asked):
        guess(open_file(tmp_path / "x.csv"), None, None, "tsuika {}")
    for said in ("number", "class"):
        assert ("target" in guess(open_file(tmp_path / "x.csv"), None, said).body) == (said == "number")


def test_what_programs_write_for_nothing_is_a_gap_and_what_begins_with_0_is_no_number(tmp_path: Path) -> None:
    lines = ["size,postcode,opened,sold,label", "1.5,0123,2026-11-29,true,a", "NA,4567,2026-11-30,false,b"]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    kinds = [
        {"name": "size", "kind": "number"},
        {"name": "postcode", "kind": "category"},
        {"name": "opened", "kind": "date", "parts": ["weekday", "year"]},
        {"name": "sold", "kind": "boolean"},
    ]
    assert guess(open_file(tmp_path / "x.csv"), None, None).body["input"] == {
        "kind": "table",
        "columns": kinds,
        "gaps": ["NA"],
    }


def test_a_file_of_two_gigabytes_is_refused_with_the_limit_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,label\n1,x\n")
    os.truncate(path, 2_000_000_000)
    monkeypatch.setattr(sizes, "limit", {"body": 67_108_864.0}.get)
    with pytest.raises(WrongUsage, match=r"x\.csv has 2,000\.0 MB, and the service takes 67\.1 MB at once"):
        sizes.check_size(path)


@pytest.mark.parametrize("verb", [["push"], ["predict"]])
def test_a_file_that_is_read_whole_is_refused_before_it_is_opened(
    verb: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.json"
    path.write_text("no JSON, which nobody finds out")
    os.truncate(path, 2_000_000_000)
    monkeypatch.setattr(sizes, "limit", {"body": 67_108_864.0}.get)
    for part in (push, predict):
        monkeypatch.setattr(part, "connected", lambda: MagicMock())
    assert main([*verb, "digits", str(path)]) == 2
    assert "x.json has 2,000.0 MB, and the service takes 67.1 MB at once" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["json", "npz", "parquet"])
def test_a_file_for_a_model_that_would_be_read_whole_has_a_limit(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{ending}"
    path.write_bytes(b"of no such kind, which nobody finds out")
    os.truncate(path, 2_000_000_000)
    with pytest.raises(WrongUsage, match=r"has 2,000,000,000 bytes\. Such a file is read whole, up to 1,073,741,824"):
        open_file(path)


def test_a_line_without_end_is_refused_before_it_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": "')
    os.truncate(path, 2_000_000_000)
    with pytest.raises(WrongUsage, match=r"x\.jsonl, line 2 has more than 67,108,864 bytes\. A line is a row"):
        list(open_file(path).records())


def test_arrays_that_unpack_to_more_than_is_read_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, X=np.zeros((1000, 64)), y=np.zeros(1000))
    monkeypatch.setattr(readers, "MOST_WHOLE", 100_000)
    with pytest.raises(WrongUsage, match=r"x\.npz unpacks to 520,\d\d\d bytes, and at most 100,000 are read"):
        open_file(path)


@pytest.mark.parametrize(
    ("columns", "size"),
    [
        ({"x": np.zeros(20_000, np.int64), "label": ["a"] * 20_000}, "320,000"),
        ({"x": ["a" * 150_000, "b" * 150_000], "label": ["a", "b"]}, r"300,\d\d\d"),
    ],
    ids=["one value", "long values"],
)
def test_a_parquet_file_that_unpacks_to_more_than_is_read_is_refused_unread(
    columns: dict[str, Any], size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.parquet"
    polars.DataFrame(columns).write_parquet(path)
    assert path.stat().st_size < 5_000
    assert open_file(path).columns == ("x", "label")
    monkeypatch.setattr(readers, "MOST_WHOLE", 100_000)
    monkeypatch.setattr(polars, "read_parquet", lambda _: pytest.fail("it was read"))
    with pytest.raises(WrongUsage, match=rf"x\.parquet unpacks to {size} bytes, and at most 100,000 are read\. Save"):
        open_file(path)


def test_the_end_of_a_parquet_file_is_read_or_refused_whatever_its_bytes_are(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    polars.DataFrame({"x": [1.5, 2.5], "label": ["a", "b"]}).write_parquet(path)
    whole = path.read_bytes()
    for at in range(whole.rindex(b"PAR1") - 4 - int.from_bytes(whole[-8:-4], "little"), len(whole)):
        for byte in (0, 0x1C, 0x7F, 0xFC, 0xFF, whole[at] ^ 1):
            path.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
            with suppress(ValueError):
                unpacked_size(path)
        path.write_bytes(whole[:at])
        with pytest.raises(WrongUsage, match="cannot be read as Parquet"):
            open_file(path)
    for kind in (1, 3, 5, 7, 8, 12):  # a list that says it has 2^42 values, of which none is there
        end = bytes([0x49, 0xF0 | kind, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0])
        path.write_bytes(b"PAR1" + end + len(end).to_bytes(4, "little") + b"PAR1")
        with pytest.raises(ValueError, match="its end is broken"):
            unpacked_size(path)


def test_a_picture_that_unpacks_to_very_many_pixels_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    Image.new("1", (20_000, 20_000)).save(tmp_path / "cats" / "1.png")
    with pytest.raises(WrongUsage, match=r"cats/1\.png.*far too many pixels"):
        guess(open_file(tmp_path), None, None)


def test_a_fault_of_a_file_has_its_line(tmp_path: Path) -> None:
    for text, sentence in [
        (
            "a|b|label\n1|2|x\n",
            "line 1: This CSV file has one column, a|b|label. Save it with commas",
        ),
        ("a,b,a\n1,2,x\n", 'line 1: Columns 1 and 3 of this CSV file are both called "a"'),
        ("a,,label\n1,2,x\n", "line 1: Column 2 of this CSV file has no name"),
        ("a,b,label\n1,2,x\n\n1,2,3,x\n", "line 4: there are 4 cells, and the header has 3"),
        ('a,b,label\n1,"2,x\n', "line 2: a quote is opened here"),
        ("", "is empty"),
        ("a,b,label\n", "no row"),
    ]:
        (tmp_path / "x.csv").write_text(text)
        with pytest.raises(WrongUsage) as refused:
            count_labels(open_file(tmp_path / "x.csv"), None)
        assert sentence in str(refused.value).replace("Line 2", "line 2"), text


def test_a_file_that_is_not_what_its_ending_says_is_refused(tmp_path: Path) -> None:
    for name, content, sentence in [
        ("x.jsonl", b'{"a": 1}\n{"a": "caf\xe9"}\n', "line 2: byte 10 begins no character"),
        ("x.jsonl", b'{"a": ' + b"9" * 5000 + b"}\n", "line 1: a number is too long"),
        ("x.jsonl", b'{"a": ' + b"[" * 100_000 + b"}\n", "line 1: a number is too long, or lists"),
        ("x.npz", b"nothing of the kind", "cannot be read: File is not a zip file"),
        ("x.parquet", b"PAR1 and no more", "cannot be read as Parquet"),
        ("x.json", b'{"a": 1}\n{"a": 2}\n', "is no JSON: Extra data"),
        ("x.json", b'{"a": 1}', "a list of rows is due"),
        ("x.json", b'{"inputs": [[1], [2]], "labels": ["x"]}', "2 inputs and 1 labels"),
        (
            "x.json",
            b'{"inputs": [{"label": 1}], "labels": ["x"]}',
            'Columns 1 and 2 of this .json file are both called "label"',
        ),
        ("x.jsonl", b'{"a": 1, " a": 2}', 'Columns 1 and 2 of this .jsonl file are both called "a"'),
        ("x.json", b"[[1, 2], [3]]", "row 1 (counted from 0): it is not as the first row is"),
        ("x.jsonl", b'{"a": 1}\n{"a": 1, "a": 2}', 'line 2: Columns 1 and 2 of this object are both called "a"'),
        ("x.json", b'[{"a": 1, "a": 2}]', 'Columns 1 and 2 of this object are both called "a"'),
        (
            "x.csv",
            b'[{"a": 1}]',
            "In a terminal tsuika push takes it where its name ends in .json",
        ),
        ("x.csv", b"PK\x03\x04", "This file is a zip archive"),
        ("x.csv", b"a,label\n1,x\n" * 2, "Line 3 names the columns once more, as where two files were joined"),
        ("x.xlsx", b"PK\x03\x04", "is a workbook. Save its sheet as CSV in UTF-8"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WrongUsage) as refused:
            count_labels(open_file(tmp_path / name), None)
        assert str(refused.value).startswith(name), name
        assert sentence in str(refused.value), name


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"X": np.array([[object()]])}, "cannot be read: Object arrays"),
        ({"X": np.ones((2, 2), complex)}, "X is due, numbers"),
        ({"X": np.ones((2, 2)), "y": np.ones((2, 2))}, "y is due as one label a row"),
    ],
)
def test_arrays_that_are_no_rows_and_labels_are_refused(arrays: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(WrongUsage, match=sentence):
        open_file(tmp_path / "x.npz")


def test_a_pipe_is_refused_unread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.csv")
    with pytest.raises(WrongUsage, match="save it as one first"):
        open_file(tmp_path / "x.csv")


def test_a_file_of_another_kind_names_those_that_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.sav").touch()
    with pytest.raises(WrongUsage, match=r"\.csv, \.tsv, \.json, \.jsonl, \.npz, \.parquet"):
        open_file(tmp_path / "x.sav")


def test_a_predicted_number_is_printed_as_short_as_float32_allows() -> None:
    for value, printed in [
        (160.5374755859375, "160.53748"),
        (822035.34375, "822035.344"),
        (-3.0, "-3.0"),
        (0.1, "0.1"),
    ]:
        prediction = ValuePrediction(value=value, interval=(value, value))
        assert list(map(NumberKind.digits, NumberKind().cells(prediction))) == [float(printed)] * 3, value
        assert repr(float(printed)) == printed, value
        assert np.float32(float(printed)) == np.float32(value), value
