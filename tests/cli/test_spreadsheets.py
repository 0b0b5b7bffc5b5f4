"""Files as a spreadsheet of Germany, France or Italy saves them, in the terminal: guessed, said, learned and asked."""

from __future__ import annotations

import csv
import io
import re
import shlex
from pathlib import Path

import httpx
import pytest

from service.cli.exits import DONE, USAGE, WrongUsage
from service.cli.files.guess import guess
from service.cli.files.readers import open_file
from service.client import Client
from service.client.result import Result
from service.client.rows.guess import guess as guess_of_rows
from service.guessing.csv_files.dialect import SaidDialect
from tests.cli.test_people import HEADER, Tsuika, rows, save, tsuika
from tests.running import Server

__all__ = ["tsuika"]

SAID = "Cells are parted by semicolons; numbers have a decimal comma."


def saved(path: Path, table: list[list[str]], header: list[str], encoding: str = "cp1252") -> Path:
    """The table as such a spreadsheet saves it, dates with the day first."""
    lines = [[re.sub(r"(\d{4})-(\d\d)-(\d\d)", r"\3.\2.\1", cell).replace(".5", ",5") for cell in row] for row in table]
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=";").writerows([header, *lines])
    return path


TABLE = [[f"{k}.5", f"2026-11-{k % 28 + 1:02}", "Köln" if k % 3 else "Ulm", "xy"[k % 2]] for k in range(40)]
COLUMNS = ["größe", "tag", "ort", "label"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_what_a_spreadsheet_saves_is_the_model_that_a_plain_file_is(encoding: str, tmp_path: Path) -> None:
    plain = guess(open_file(save(tmp_path / "plain.csv", TABLE, COLUMNS)), None, None)
    guessed = guess(open_file(saved(tmp_path / "x.csv", TABLE, COLUMNS, encoding)), None, None)
    assert guessed.body == plain.body
    assert [column["kind"] for column in guessed.body["input"]["columns"]] == ["number", "date", "category"]
    assert guessed.lines[1].startswith(SAID)
    assert [guessed.lines[0], *guessed.lines[2:]] == [line.replace("plain", "x") for line in plain.lines]
    prices = [[*row[:3], f"1.{600 + k},5"] for k, row in enumerate(TABLE)]
    target = guess(open_file(saved(tmp_path / "y.csv", prices, COLUMNS, encoding)), None, None).body["target"]
    assert target == {"kind": "number", "names": ["label"]}


@pytest.mark.parametrize(
    ("text", "sentence", "said"),
    [
        (
            "a, b;c;label\n1;2;x\n3;4;y\n",
            'parted by semicolons it names "a, b", "c", "label". Say which',
            {"delimiter": ";"},
        ),
        ("a;label\n1.234;x\n5;y\n", '1.234 in "a" is 1234 if a point parts thousands', {"decimal": ","}),
        ('a,label\n"1,234",x\n5,y\n', '1,234 in "a" is 1234 if a comma parts thousands', {"decimal": "."}),
        ("a,label\n3/4/2026,x\n5/6/2026,y\n", '3/4/2026 in "a" is 2026-04-03 if the day', {"dates": "day-first"}),
        ("a;b;label\n1,5;2.5;x\n2;3;y\n", 'a comma in "a" (1,5), a point in "b" (2.5)', {"decimal": ","}),
    ],
)
def test_what_can_be_read_in_two_ways_is_asked_about(
    text: str, sentence: str, said: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "x.csv"
    file.write_text(text)
    with pytest.raises(WrongUsage) as refused:
        guess(open_file(file), None, None)
    assert str(refused.value).startswith("x.csv: ")
    assert sentence in str(refused.value)
    assert re.search(r"--(delimiter|decimal|dates) '.+'", str(refused.value))
    assert guess(open_file(file, said=SaidDialect.of(said)), None, None).body["classes"] == ["x", "y"]


def test_a_nul_and_another_kind_of_file_are_seen_before_anything_is_sent(tmp_path: Path) -> None:
    for content, sentence in (
        (b"a,label\n1,x\n2,y\0\n", "Line 3 has a NUL character: this is no text."),
        (b"\x1f\x8b\x08\x00", "This file is packed by gzip, and a CSV file is due. Unpack it first."),
        (b'{"a": 1, "label": "x"}\n{"a": 2, "label": "y"}\n', "This file is JSON lines"),
    ):
        (tmp_path / "x.csv").write_bytes(content)
        with pytest.raises(WrongUsage, match=re.escape(sentence)):
            guess(open_file(tmp_path / "x.csv"), None, None)


def test_words_among_numbers_are_gaps_which_are_said(tmp_path: Path) -> None:
    cells = ["no data" if k == 7 else "unknown" if k == 9 else str(k % 6) for k in range(40)]
    save(tmp_path / "x.csv", [[cell, "ab"[k % 2]] for k, cell in enumerate(cells)], ["age", "label"])
    guessed = guess(open_file(tmp_path / "x.csv"), None, None, "tsuika init m x.csv {}")
    number = {"name": "age", "kind": "number"}
    assert guessed.body["input"] == {"kind": "table", "columns": [number], "gaps": ["no data", "unknown"]}
    assert guessed.lines[2:] == [
        '"no data" in "age" is taken for a gap: nothing is known there.',
        '"unknown" in "age" is taken for a gap: nothing is known there.',
        'If "age" is a category: tsuika init m x.csv --category age',
    ]
    as_category = guess(open_file(tmp_path / "x.csv"), None, None, categories=["age"])
    assert (as_category.body["input"]["columns"][0]["kind"], as_category.gaps) == ("category", [])
    told = guess(open_file(tmp_path / "x.csv", gaps=["no data", "unknown"]), None, None)
    assert (told.body["input"]["columns"], len(told.lines)) == ([number], 2)
    prices = [["no data" if k == 7 else str(1500 + k), str(k % 5)] for k in range(40)]
    file = save(tmp_path / "y.csv", prices, ["price", "rooms"])
    target = guess(open_file(file), "price", None)
    assert (target.body["target"]["kind"], target.gaps) == ("number", ["no data"])
    assert "1 row has no number: line 9." in target.lines
    few = save(tmp_path / "z.csv", [["low" if k % 4 else str(k), "ab"[k % 2]] for k in range(40)], ["age", "label"])
    assert len(guess(open_file(few), None, None).lines) == 2


def test_a_doubt_says_the_command_to_repeat_before_one_that_teaches(tsuika: Tsuika, tmp_path: Path) -> None:
    cells = ["no data" if k == 7 else str(k % 6) for k in range(40)]
    table = [[str(k), cell, f"n{k}", "ab"[k % 2]] for k, cell in enumerate(cells)]
    file = save(tmp_path / "rents.csv", table, ["nr", "age", "name", "label"])
    dry = tsuika("init", "mieten", file, "--target", "class", "--dry-run", "--leave-out", "name")
    assert f"leave it out: tsuika init mieten {file} --target class --leave-out name --leave-out nr\n" in dry.out
    slip = save(tmp_path / "slip.csv", [["12 kg" if k == 7 else str(k), "ab"[k % 2]] for k in range(40)], ["age", "y"])
    refused = tsuika("init", "mieten", slip).err
    assert refused.rstrip().endswith(f"tsuika init mieten {slip} --category age"), "nothing was made: no --replace"
    made = tsuika("init", "mieten", file)
    [command] = re.findall(r"All of this at once: tsuika (.*)", made.out)
    assert command == f"init mieten {file} --leave-out nr --leave-out name --replace", "one command undoes no other"
    assert made.out.count("--replace") == 2, "the other one makes a category of what has a word among numbers"
    assert f"If all of this is right, teach it: tsuika push mieten {file}\n" in made.out
    anew = tsuika(*shlex.split(command))
    assert f"teach it: tsuika push mieten {file}\n" in anew.out, "the model remembers its words for gaps"
    assert tsuika("push", "mieten", file).code == DONE
    asked = save(tmp_path / "asked.csv", [["no data"], ["3"]], ["age"])
    assert len(tsuika("predict", "mieten", asked).out.splitlines()) == 3
    assert tsuika("predict", "mieten", "--row", "age=no data").code == DONE
    assert 'age takes a number, and this is "some"' in tsuika("predict", "mieten", "--row", "age=some").err


def test_a_push_of_words_among_numbers_says_the_option_and_names_the_file_once(tsuika: Tsuika, tmp_path: Path) -> None:
    table = [[str(k % 6), "ab"[k % 2]] for k in range(40)]
    assert tsuika("init", "ages", save(tmp_path / "good.csv", table, ["age", "label"])).code == DONE
    table[7][0] = "no data"
    pushed = tsuika("push", "ages", save(tmp_path / "rents.csv", table, ["age", "label"]))
    assert (pushed.code, pushed.err.count("rents.csv: Line 9, column")) == (USAGE, 1)
    assert "rents.csv: rents.csv" not in pushed.err
    assert "leave the cell empty, or say --gaps 'no data' if it says that nothing is known." in pushed.err
    unclear = save(tmp_path / "two.csv", [[str(k), *row] for k, row in enumerate(table)], ["nr", "age", "kind"])
    refused = tsuika("push", "ages", unclear)
    assert 'ages does not know "nr", "kind". "nr" only numbers rows: --leave-out nr. Or make it' in refused.err
    assert f"tsuika init ages {unclear} --replace" in refused.err
    sold = [[str(k % 6), "ab"[k % 2], f"{k}.5"] for k in range(60)]
    sales = save(tmp_path / "sales.csv", sold, ["age", "town", "units_sold"])
    assert tsuika("init", "sales", sales).code == DONE
    lacking = save(tmp_path / "next.csv", [row[:2] for row in sold], ["age", "town"])
    assert 'next.csv: "units_sold" is missing, which sales predicts. If' in tsuika("push", "sales", lacking).err
    renamed = save(tmp_path / "near.csv", [[*row, "x"] for row in sold], ["age", "town", "unit_sold", "note"])
    assert 'predicts. Is "unit_sold" meant as "units_sold"? If' in tsuika("push", "sales", renamed).err


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sep=;\na;label\n1;x\n2;y\n", "Line 1 is a note of Excel: remove it."),
        ("a;label;;\n1;x;;\n2;y;;\n", "Columns from 3 on have no name. If all of their cells are empty, delete"),
    ],
)
def test_what_a_spreadsheet_leaves_in_a_file_is_named(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(WrongUsage, match=re.escape(sentence)):
        open_file(tmp_path / "x.csv")
    with pytest.raises(ValueError, match=re.escape(sentence)):
        guess_of_rows(tmp_path / "x.csv")


def test_hints_have_numbers_and_dates_as_the_file_has_them(tmp_path: Path) -> None:
    table = [[f"{k},5 %", f"{k % 9 + 1}/3/26", f"{k % 9},5", "xy"[k % 2]] for k in range(40)]
    text = "".join(";".join(row) + "\n" for row in [["rent", "day", "age", "label"], *table])
    (tmp_path / "x.csv").write_text(text)
    lines = guess(open_file(tmp_path / "x.csv"), None, None).lines
    assert any("If it is a number, write 12500 or 12,5, without" in line for line in lines)
    assert any("If it is a date, write 29.11.2026. Years have four digits" in line for line in lines)
    (tmp_path / "y.csv").write_text(text.replace("39,5 €;", "x39;").replace(" €", ""))
    with pytest.raises(WrongUsage, match="Write numbers as 12500 or 12,5, without"):
        guess(open_file(tmp_path / "y.csv"), "rent", None)


def test_a_file_of_a_spreadsheet_is_learned_asked_and_compared(tsuika: Tsuika, tmp_path: Path) -> None:
    table = rows(["apple", "pear"])
    german = [[cell.replace(".", ",") for cell in row] for row in table]

    def file(name: str, table: list[list[str]], header: list[str] = HEADER) -> Path:
        with (tmp_path / name).open("w", newline="") as opened:
            csv.writer(opened, delimiter=";").writerows([header, *table])
        return tmp_path / name

    first = file("first.csv", german)
    made = tsuika("init", "semicolons", first)
    assert (made.code, SAID in made.out) == (DONE, True), made
    pushed = tsuika("push", "semicolons", first, "--method", "ridge")
    assert (pushed.code, SAID in pushed.err) == (DONE, True), pushed
    same = tsuika("push", "semicolons", save(tmp_path / "plain.csv", table), "--json")
    assert (same.code, same.json["version"]) == (DONE, None), "the same rows are the same batch"
    asked = file("asked.csv", [row[:-1] for row in german[:6]], HEADER[:-1])
    answers = [tsuika("predict", "semicolons", path, *more) for path, more in ((asked, ()), (asked, ("--gaps", "NA")))]
    assert SAID in answers[0].err
    answered = list(csv.DictReader(io.StringIO(answers[0].out), delimiter=";"))
    assert [row["class"] for row in answered] == ["apple", "pear"] * 3
    assert all(re.fullmatch(r"[01],\d+", row["score"]) for row in answered), "as the file is written"
    assert answers[1].out == answers[0].out
    compared = tsuika("compare", "semicolons@1", "semicolons@1", first)
    assert "Right: 100.0 % and 100.0 %." in compared.out
    thousands = file("thousands.csv", [["1.234", "1", "3", "5"]], HEADER[:-1])
    for verb in ("predict", "compare"):
        named = ["semicolons"] if verb == "predict" else ["semicolons@1", "semicolons@1"]
        doubted = tsuika(verb, *named, thousands)
        assert (doubted.code, "--decimal ','" in doubted.err) == (USAGE, True), doubted
        assert tsuika(verb, *named, thousands, "--decimal", ",").code == DONE


def test_a_column_is_not_named_and_left_out(tsuika: Tsuika, tmp_path: Path) -> None:
    file = save(tmp_path / "x.csv", rows(["apple", "pear"]))
    for words in (
        ("init", "both", file, "--label", "label"),
        ("push", "both", file, "--label", "label"),
        ("predict", "both", file, "--label", "label"),
    ):
        ended = tsuika(*words, "--leave-out", "label")
        assert (ended.code, ended.err) == (
            USAGE,
            '✕ "label" is named by --label and by --leave-out: say one of them.\n',
        )


@pytest.mark.long
def test_rows_that_were_taken_back_are_learned_again_and_it_is_said(
    tsuika: Tsuika, shared: Server, tmp_path: Path
) -> None:
    table = rows(["apple", "pear"], 40)
    first, more = save(tmp_path / "a.csv", table), save(tmp_path / "b.csv", rows(["apple", "pear"], 40, seed=1))
    assert tsuika("init", "again", first).code == DONE
    assert tsuika("push", "again", first, "--method", "ridge").code == DONE
    learned = tsuika("push", "again", more, "--method", "ridge", "--json").json
    assert learned["report"]["batch"]["taken_back_at"] is None
    assert tsuika("retract", "again", learned["batches"][0], "--reason", "wrong till").code == DONE
    told = tsuika("push", "again", more, "--method", "ridge")
    assert re.search(r"These rows were taken back on \d{4}-\d\d-\d\d \d\d:\d\d UTC; they are learned again\.", told.out)
    with Client() as client:
        result = Result(next(client.model("again").updates()), "")
    assert any("they are learned again" in note for note in result.notes)
    assert result.report.batch.taken_back_at is not None
    for language, words in (("en", "they are learned again."), ("ja", "もう一度学習しました。")):
        shown = httpx.get(f"{shared.url}/updates/{result.update.id}", headers={"accept-language": language}, timeout=60)
        assert words in shown.text


def test_where_the_last_column_was_taken_for_the_labels_the_way_to_another_one_is_named(
    tsuika: Tsuika, tmp_path: Path
) -> None:
    table = [[str(k % 7), "left" if k % 3 else "stays", ["Köln", "Ulm", ""][k % 3]] for k in range(60)]
    file = save(tmp_path / "customers.csv", table, ["calls", "status", "town"])
    way = 'If another column is to be predicted, such as "status": --label COLUMN'
    assert f"{way}\n" in tsuika("init", "customers", file, "--dry-run").out, "nothing is made, so nothing is replaced"
    made = tsuika("init", "customers", file).out
    assert f"{way} --replace\n" in made
    assert "If all of this is right, teach it" in made
    anew = tsuika("init", "customers", file, "--label", "status", "--replace").out
    assert 'from "status" (as asked).' in anew
    assert "another column" not in anew
    assert "another column" not in tsuika("init", "named", save(tmp_path / "n.csv", table, ["a", "b", "label"])).out
    in_python = guess_of_rows(file)
    assert 'If another column is to be predicted, such as "status": target="COLUMN".' in in_python.sentence
    assert in_python.otherwise.startswith("This model keeps its columns")
    named_rows = [dict(zip(["calls", "status", "town"], row, strict=True)) for row in table]
    assert 'such as "status": target="COLUMN".' in guess_of_rows(named_rows).sentence
    assert "another column" not in guess_of_rows(file, columns=["status"]).sentence
