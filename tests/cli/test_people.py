"""The verbs of people, against a real service: a model made of a file, taught, asked, looked at, and put back."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.cli import main
from service.cli.exits import DONE, ERROR, INTERRUPTED, REJECTED, USAGE
from service.cli.files.data_file import DataFile
from service.cli.output import plain
from service.cli.verdicts import print_update
from service.client import Client, InvalidContent
from service.contract.names import csv_cell
from service.contract.resources import Update
from tests.acceptance.service import held
from tests.running import Server

CENTRES = {"apple": (7, 1, 3, 5), "pear": (2, 6, 4, 1), "plum": (4, 3, 9, 8)}
HEADER = ["weight", "sugar", "acid", "colour", "label"]


@dataclass(frozen=True)
class Ended:
    """What a verb left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Tsuika = Callable[..., Ended]


@pytest.fixture
def tsuika(shared: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tsuika:
    """Runs a verb in this process, at the address of the service."""
    monkeypatch.setenv("TSUIKA_URL", shared.url)

    def run(*arguments: str | Path) -> Ended:
        code = main(list(map(str, arguments)))
        return Ended(code, *capsys.readouterr())

    return run


QUOTED = "'\"plum, Opal\"'"
"""A name with a comma, as it is typed."""


def rows(names: Sequence[str], each: int = 60, seed: int = 0) -> list[list[str]]:
    """So many fruits of each kind, in turn."""
    random = np.random.default_rng(seed)
    listed = [name for _ in range(each) for name in names]
    return [[*(f"{number:.3f}" for number in random.normal(CENTRES[name], 0.7)), name] for name in listed]


def save(path: Path, table: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *table])
    return path


def stored(tsuika: Tsuika, model: str) -> tuple[int, int]:
    """How many updates and rows a model has."""
    (info,) = [item for item in tsuika("models", "--json").json["items"] if item["name"] == model]
    return len(tsuika("updates", model, "--json").json["items"]), info["pending"]["rows"]


def refusing(*arguments: Any, **options: Any) -> None:
    raise ValueError("refused")


@pytest.mark.long
def test_a_file_becomes_a_model_that_learns_is_asked_and_goes_back(
    tsuika: Tsuika, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: Server
) -> None:
    first = save(tmp_path / "first.csv", rows(["apple", "pear"]))
    only_said = tsuika("init", "fruits", first, "--dry-run")
    assert only_said.code == DONE
    assert "a table of 4 columns: weight (number), sugar (number)" in only_said.out
    assert 'Classes: apple (60), pear (60), from "label" (by its name).' in only_said.out
    assert [item for item in tsuika("models", "--json").json["items"] if item["name"] == "fruits"] == []

    assert tsuika("init", "fruits", first, "--label", "colour").code == DONE
    taken = tsuika("init", "fruits", first)
    assert (taken.code, "If that model never had rows: --replace." in taken.err) == (1, True)
    assert tsuika("init", "fruits", first, "--replace").code == DONE
    pushed = tsuika("push", "fruits", first, "--method", "ridge")
    assert pushed.code == DONE
    assert pushed.out.startswith("● Live: version 1. It knows apple and pear")
    assert "Report: tsuika report fruits@1   Take the rows back: tsuika retract fruits bat_" in pushed.out
    assert "Undo" not in pushed.out, "there is no version before the first one"
    assert 'first.csv: 120 rows, 4 columns, labels in "label".' in pushed.err
    assert tsuika("init", "meant", first).code == DONE
    with monkeypatch.context() as lacking:
        lacking.setattr("service.client.Client.create_model", refusing)
        assert tsuika("init", "meant", first, "--replace").code == USAGE
    assert "meant" in tsuika("models").out, "what is refused takes the place of nothing"
    kept = tsuika("init", "fruits", first, "--replace")
    assert (kept.code, "fruits has had rows" in kept.err) == (USAGE, True)

    more = save(tmp_path / "more.csv", rows(["plum"], seed=1))
    comma = save(tmp_path / "comma.csv", [[*row[:-1], "plum, Opal"] for row in rows(["plum"], seed=1)])
    assert tsuika("push", "fruits", comma, "--new-classes").err.rstrip().endswith(f"--new-classes={QUOTED}")
    meant = tsuika("push", "fruits", comma, f"--new-classes={shlex.split(QUOTED)[0]}", "--method", "nosuch")
    assert "nosuch" in meant.err, "that is the next thing that is wrong"
    broken = tsuika("push", "fruits", more, "--new-classes=plum\nfig")
    assert (broken.code, "--new-classes: write the names in one line" in broken.err) == (USAGE, True)
    unseen = save(tmp_path / "unseen.csv", [[*row[:-1], "pl\x01um"] for row in rows(["plum"], seed=1)])
    for words in (["push", "fruits", unseen], ["push", "fruits", unseen, "--new-classes"], ["init", "unseen", unseen]):
        refused = tsuika(*words)
        assert (refused.code, "--new-classes" in refused.err) == (USAGE, False), "the service would refuse that name"
        assert 'unseen.csv, line 2: label "pl\\x01um": A class name has no control, format' in refused.err
    renamed = [[*row[:-1], "Apple "] for row in rows(["apple"], 16, seed=1)]
    capital = tsuika("push", "fruits", save(tmp_path / "renamed.csv", renamed))
    mend = 'A slip? Mend it: "Apple" -> "apple" in 16 rows. Capitals count, and blanks around a label do not.'
    assert f"  {mend}\n  A new class all the same? --new-classes=Apple\n" in capital.err
    unnamed = tsuika("push", "fruits", more, "--new-classes")
    assert (unnamed.code, unnamed.out) == (USAGE, "")
    assert "--new-classes=plum" in unnamed.err
    slipped = rows(["plum"], seed=1)
    slipped[6][-1] = "aple"
    slip = tsuika("push", "fruits", save(tmp_path / "slip.csv", slipped))
    assert (slip.code, 'line 8   label "aple"   near: "apple"' in slip.err) == (USAGE, True)
    assert '\n  A slip? Mend it: "aple" -> "apple" in 1 row.\n' in slip.err
    assert slip.err.rstrip().endswith("A new class? --new-classes=plum"), "a slip stands in no command to copy"
    again = tsuika("push", "fruits", more, "--new-classes=plum", "--method", "ridge", "--json", "--source", "north")
    assert (again.code, again.json["schema"], again.json["verdict"]) == (DONE, "tsuika.push/1", "promoted")
    assert "New classes: plum (60 rows)" in again.err

    asked = tsuika("predict", "fruits", save(tmp_path / "asked.csv", rows(["plum", "pear"], 5, seed=2)))
    assert [row["class"] for row in csv.DictReader(io.StringIO(asked.out))] == ["plum", "pear"] * 5
    before = tsuika("predict", "fruits@1", "--row", "weight=7,sugar=1,acid=3,colour=5", "--json").json
    assert (before["version"], before["predictions"][0]["class"]) == (1, "apple")
    for row in ("weight=1.234,50,sugar=1", 'sugar=1,"weight=1.234,50"', "sugar=1,acid=3,weight=7 kg"):
        refused = tsuika("predict", "fruits@1", "--row", row)
        assert (refused.code, refused.out) == (USAGE, "")
        assert "--row: weight takes a number" in refused.err
    assert "weight is there twice" in tsuika("predict", "fruits@1", "--row", "weight=7,weight=8,sugar=1").err
    assert '"wieght" is none of them' in tsuika("predict", "fruits@1", "--row", "weight=7,wieght=1").err
    assert 'this is "7,5"' in tsuika("predict", "fruits@1", "--row", "weight=7,5,sugar=1").err
    assert tsuika("predict", "fruits@1", "--row", "weight=,sugar=1,acid=3,colour=5").code == DONE

    looks = [tsuika(*words) for words in (["models"], ["versions", "fruits"], ["updates", "fruits"])]
    assert all(look.code == DONE and "fruits" in looks[0].out for look in looks)
    assert all(re.search(row, looks[1].out) for row in ("1 +● promoted +–", "2 +● live +● promoted +1"))
    assert re.search(r"● promoted +2 +60 +20", looks[2].out), "as many rows as the file has"
    assert "Live: version 2. It knows plum" in looks[2].out
    batches = tsuika("batches", "fruits").out
    assert re.search(r"\nbat_\w+ +● live +learned +60 +\S+ \S+ +north +plum \(60\)\n", batches), batches
    assert re.search(r"\nbat_\w+ +● live +learned +120 +\S+ \S+ +– +apple \(60\), pear \(60\)\n", batches), batches
    assert batches.rstrip().endswith("Take it back: tsuika retract fruits BATCH")
    assert len(tsuika("batches", "fruits", "-n", "1", "--json").json["items"]) == 1
    report = tsuika("report", "fruits")
    assert report.out.startswith("fruits@2, live, by ridge, learned on version 1\nLive: version 2.")
    assert re.search(r"^ 5 forgets +passed", report.out, re.M), "notes name rules by their numbers"
    then = tsuika("report", "fruits@1").out
    assert "\nWhen it was judged: Live: version 1." in then
    compared = tsuika("compare", "fruits@1", "fruits@2")
    assert "class apple" in compared.out
    asked_both = tsuika("compare", "fruits@1", "fruits@2", tmp_path / "asked.csv").out
    assert "Versions 1 and 2 answer 5 of 10 rows differently. Right: 50.0 % and 100.0 %." in asked_both
    watched = tsuika("watch", "fruits", "--until-idle")
    assert watched.out.endswith("live: version 2\n")
    followed = tsuika("watch", "fruits", "--until-idle", "--json").out.splitlines()
    assert [json.loads(line)["version"] for line in followed] == [1, 2]

    unread = tsuika("rollback", "fruits", "--reason", "to \u202esee")
    assert (unread.code, "reason has no control" in unread.err, "character 4 is U+202E" in unread.err) == (
        2,
        True,
        True,
    )
    with monkeypatch.context() as typing:
        typing.setattr("sys.stdin.isatty", lambda: True, raising=False)
        typing.setattr("typer.prompt", lambda question, err: "to see")
        back = tsuika("rollback", "fruits")
    assert (
        "Version 2 of fruits stops answering, and version 1 answers. 60 rows that version 1 has not learned stay and "
        "wait. New versions will then wait for you, until: tsuika promote fruits --auto"
    ) in back.err
    assert back.out.startswith("● Live again: version 1. Version 2 is kept.")
    assert "tsuika promote fruits@2 --auto" in back.out
    assert "2 of 3 classes" in tsuika("models").out, "so many are in the version that is live"
    ready = tsuika("push", "fruits", save(tmp_path / "later.csv", rows(["apple", "pear"], seed=5)), "--method", "ridge")
    assert "Make it live: tsuika promote fruits@3   with --auto" in ready.out
    assert tsuika("promote", "fruits@2", "--auto").code == DONE, "as it was printed"
    assert [item["promotion"] for item in tsuika("models", "--json").json["items"] if item["name"] == "fruits"] == [
        "auto"
    ]
    on_live = tsuika("rebase", "fruits@3")
    assert (on_live.code, on_live.out[:17]) == (DONE, "● Live: version 4"), "version 3 was made on version 1"
    with Client() as client, held([shared.pid]):  # the second one waits for the first
        fruit = [{"weight": 7, "sugar": 1, "acid": 3, "colour": 5 + k} for k in range(2)]
        queued = [client.model("fruits").update([row], ["apple"], wait=None) for row in fruit]
        client.cancel(queued[-1].id)
    tried = tsuika("retry", queued[-1].id)
    assert (tried.code, queued[-1].id in tsuika("updates", "fruits").out) == (DONE, True)
    assert tsuika("retry", queued[-1].id).code == ERROR, "it has not failed"

    batch = again.json["batches"][0]
    which = tsuika("retract", "fruits", "--reason", "not mine")
    assert (which.code, "Which batch? tsuika batches fruits lists them" in which.err) == (USAGE, True)
    by_version = tsuika("retract", "fruits@2", "--reason", "not mine")
    assert (by_version.code, by_version.err.rstrip().endswith(f"tsuika retract fruits {batch}")) == (USAGE, True)
    taken = tsuika("retract", "fruits", batch, "--reason", "not mine", "--json")
    assert (taken.code, taken.json["report"]["exact"]) == (DONE, True)

    back = tsuika("rollback", "fruits", "--to", "2", "--reason", "to see it")
    assert (back.code, "To go back, tsuika rollback fruits --to 1." in back.err) == (ERROR, True), back

    again = tsuika("retract", "fruits", batch, "--reason", "once more")
    assert again.code != REJECTED, again

    far = tsuika("rollback", "fruits", "--to", "3", "--reason", "to see it", "--json")
    assert (far.code, far.json["detail"].endswith("To make it live, tsuika promote fruits@3.")) == (ERROR, True), far
    idle = tsuika("learn", "fruits")
    assert (idle.code, "Send rows: tsuika push fruits FILE." in idle.err) == (ERROR, True), idle
    with Client() as client:
        client.model("fruits").add_batch([{"weight": 8, "sugar": 1, "acid": 3, "colour": 9}], ["apple"])
    waiting = tsuika("learn", "fruits", "--json")
    assert (waiting.code, waiting.json["kind"], waiting.json["state"]) == (DONE, "learn", "succeeded"), waiting
    named = [dict(zip(HEADER[:-1], map(float, row), strict=False)) for row in rows(["apple", "pear"], 60, seed=9)]
    with Client() as client:
        good = client.model("fruits").add_batch(named[:60], ["apple", "pear"] * 30)
        bad = client.model("fruits").add_batch(named[60:], ["pear", "apple"] * 30)
    stopped = tsuika("learn", "fruits", "--method", "ridge")
    assert (stopped.code, f"Of its batches {bad.id} stands out: " in stopped.out) == (REJECTED, True), stopped
    assert f"Take the rows back: tsuika retract fruits {bad.id} " in stopped.out
    assert re.search(r"Make it live all the same: tsuika promote fruits@\d+ ", stopped.out)
    [others] = re.findall(r"Learn the others: tsuika (learn fruits \S+)", stopped.out)
    assert others.endswith(good.id)
    assert tsuika(*others.split()).code == DONE, "as it was printed"

    file, other = tmp_path / "fruits.safetensors", tmp_path / "fruits.safetensors.part"
    other.write_text("of another export")
    assert tsuika("export", "fruits@1", "-o", file).code == DONE
    assert other.read_text() == "of another export"
    assert {*tmp_path.glob("fruits.*")} == {file, other}
    assert tsuika("init", "copies", first).code == DONE
    assert "version 1 is there" in tsuika("import", "copies", file).out.lower()
    made = tsuika("import", "fruits-made", file)
    assert (made.code, "New model fruits-made, for inputs of kind table, as the file says: " in made.err) == (
        DONE,
        True,
    ), made


@pytest.mark.long
def test_vectors_are_predicted_without_the_columns_that_their_model_leaves_out(tsuika: Tsuika, tmp_path: Path) -> None:
    with Client() as client:
        vector = {"kind": "vector", "size": 4, "scale": {"range": [-9, 20]}}
        client.create_model("numbered", vector, leave_out=["nr"])
    learned = [[str(k), *row] for k, row in enumerate(rows(["apple", "pear"]))]
    first = save(tmp_path / "first.csv", learned, ["nr", *HEADER])
    assert tsuika("push", "numbered", first, "--method", "ridge", "--new-classes=apple,pear").code == DONE
    asked = [[str(k), *row] for k, row in enumerate(rows(["pear", "apple"], 2, seed=3))]
    bare = save(tmp_path / "bare.csv", [row[:-1] for row in asked], ["nr", *HEADER[:-1]])
    whole = save(tmp_path / "whole.csv", asked, ["nr", *HEADER])
    other = save(tmp_path / "other.csv", asked, ["nr", *HEADER[:-1], "kind"])
    for words in ([bare], [whole], [other], [other, "--label", "kind"]):
        answer = tsuika("predict", "numbered", *words)
        assert answer.code == DONE, answer.err
        answered = list(csv.DictReader(io.StringIO(answer.out)))
        assert [(row["nr"], row["class"]) for row in answered] == [(row[0], row[-1]) for row in asked], "to join by"
    assert list(answered[0]) == ["nr", "kind", "class", "score"], "what the file says beside the inputs comes first"
    named = save(tmp_path / "named.csv", asked, ["nr", *HEADER[:-1], "class"])
    left = tsuika("predict", "numbered", named, "--leave-out", "nr").out
    assert left.splitlines()[0] == "nr,given_class,class,score", "left out of the question, not of the answer"
    places = [f"p{k}" for k in range(4)]
    lacks = save(tmp_path / "lacks.csv", [row[1:] for row in asked], ["p0", "p1", "p3", "label"])
    in_its_place = tsuika("predict", "numbered", lacks)
    assert (in_its_place.code, in_its_place.out) == (USAGE, "")
    assert '"p2" is missing in their numbering, and "label" is no part of it: add it' in in_its_place.err
    ids = save(tmp_path / "ids.csv", [["7", *row[1:-1]] for row in asked], ["id", *places])
    for more in ((), ("--gaps", "NA")):
        answer = tsuika("predict", "numbered", ids, *more)
        assert [row["class"] for row in csv.DictReader(io.StringIO(answer.out))] == [row[-1] for row in asked]
        assert (answer.err.count('"id"'), answer.err.count("and left out.")) == (1, 1)
    with Client() as client:
        answered_here = client.model("numbered").predict(ids)
    assert answered_here.classes == [row[-1] for row in asked]
    assert answered_here.notes == ['"id" is no column of numbered, and left out.']
    compared = tsuika("compare", "numbered@1", "numbered@1", ids)
    assert (compared.code, "Right:" in compared.out) == (DONE, False), "an id is no label"
    unclear = save(tmp_path / "unclear.csv", [["7", *row[1:-1]] for row in asked], ["id", *HEADER[:-1]])
    refused = tsuika("predict", "numbered", unclear)
    assert (refused.code, "--leave-out COLUMN" in refused.err) == (USAGE, True), "who is left out, nobody can tell"
    with Client() as client, pytest.raises(InvalidContent, match="takes 4 numbers a row, and there are 5 columns"):
        client.model("numbered").predict(unclear)


def test_bars_show_each_phase_where_somebody_looks(
    tsuika: Tsuika, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save(tmp_path / "a.csv", rows(["apple", "pear"], 40))
    assert tsuika("init", "seen", file).code == DONE
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    looked = tsuika("push", "seen", file, "--method", "ridge")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", looked.err)
    assert "\x1b[" in looked.err
    assert re.search(r"Sending +━+ 80 rows", shown)
    assert re.search(r"(Waiting|Learning|Judging) +━+", shown)
    assert "\x1b[32m● Live:" in looked.out
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in looked.out.splitlines()) <= 60
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in tsuika("models").out


def test_a_slip_in_a_label_of_the_first_file_becomes_no_class_unless_it_is_meant(
    tsuika: Tsuika, tmp_path: Path
) -> None:
    slipped = rows(["apple", "pear"])
    slipped[6][-1] = "aple"
    file = save(tmp_path / "first.csv", slipped)
    refused = tsuika("init", "meadow", file)
    assert (refused.code, refused.out) == (USAGE, "")
    assert "first.csv: 1 label may be a slip of another. Nothing was made." in refused.err
    assert 'line 8   label "aple"   near: "apple"' in refused.err
    assert "A new class all the same? --new-classes=aple" in refused.err
    assert "meadow" not in tsuika("models").out
    for meant in ("--new-classes=aple", "--new-classes"):
        assert "aple (1)" in tsuika("init", "meadow", file, meant, "--dry-run").out
    with Client() as client:
        client.create_model("meadow", {"kind": "vector", "size": 4})
    pushed = tsuika("push", "meadow", file)
    assert (pushed.code, "1 label may be a slip of another. Nothing was sent." in pushed.err) == (USAGE, True)


def test_a_class_that_no_row_has_is_deleted_and_what_changes_is_said(
    tsuika: Tsuika, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save(tmp_path / "hill.csv", rows(["apple", "pear"], 40))
    assert tsuika("init", "hill", file).code == DONE
    assert tsuika("push", "hill", file, "--method", "ridge").code == DONE
    with Client() as client:
        client.model("hill").declare("plum", "aple")
        batch = next(iter(client.model("hill").batches())).id
    held = tsuika("delete-class", "hill", "pear")
    assert (held.code, held.err.rstrip().endswith(f"tsuika retract hill {batch}")) == (ERROR, True), "rows have it"
    assert f'rows carry the label "pear", in batch {batch}: the class stays as long as they do.' in held.err
    unknown = tsuika("delete-class", "hill", "fig")
    assert (unknown.code, 'is not a class of hill. It has "apple", "pear"' in unknown.err) == (ERROR, True)
    gone = tsuika("delete-class", "hill", "aple")
    assert (gone.code, gone.out.startswith('"aple" is no class of hill any more. No row that counts')) == (DONE, True)
    assert "a push of rows that carry it is refused, unless it says --new-classes=aple." in gone.out
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda question, err: asked.append(question))
    assert tsuika("delete-class", "hill", "plum").err.endswith("Nothing was changed.\n")
    assert asked[0].endswith("unless it says --new-classes=plum. Delete it?")
    assert tsuika("delete-class", "hill", "plum", "--yes").code == DONE
    with Client() as client:
        assert client.model("hill").info().classes == ["apple", "pear"]


@pytest.mark.long
def test_a_row_has_one_number_wherever_it_is_shown_and_its_line_beside_it(tsuika: Tsuika, tmp_path: Path) -> None:
    assert tsuika("init", "grove", save(tmp_path / "first.csv", rows(["apple", "pear"]))).code == DONE
    assert tsuika("push", "grove", tmp_path / "first.csv", "--method", "ridge").code == DONE
    wrong = rows(["apple", "pear"], seed=1)
    for row in range(7, 43, 6):
        wrong[row][-1] = "apple"
    file = save(tmp_path / "wrong.csv", wrong)
    with file.open() as lines:
        first, *others = lines.readlines()
    file.write_text("".join([first, "\n", *others]))  # a blank line, which is no row
    pushed = tsuika("push", "grove", file, "--method", "ridge")
    assert "(rows are counted from 0)" in pushed.out
    listed = re.findall(r"^  (\d+) +(\d+) +apple +pear ", pushed.out, re.M)
    assert len(listed) == 5, pushed.out
    assert all(wrong[int(row)][-1] == "apple" and int(line) == int(row) + 3 for row, line in listed)
    assert "1 more: tsuika report grove@2 --all" in pushed.out
    reported = tsuika("report", "grove@2", "--all").out
    (batch, *_) = set(re.findall(r"^(bat_\w+) +\d+ +apple +pear ", reported, re.M))
    numbers = re.findall(rf"^{batch} +(\d+) +apple +pear ", reported, re.M)
    assert set(numbers) > {row for row, _ in listed}
    named = [word for number in numbers for word in ("--row", f"{number}=pear")]
    corrected = tsuika("correct", "grove", batch, *named, "--reason", "looked again", "--json")
    assert (corrected.code, corrected.json["schema"]) == (DONE, "tsuika.correct/1"), "each of these rows was an apple"


def test_a_file_that_is_gone_by_the_verdict_costs_the_lines_alone(
    tsuika: Tsuika, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tsuika("init", "vineyard", save(tmp_path / "first.csv", rows(["apple", "pear"]))).code == DONE
    assert tsuika("push", "vineyard", tmp_path / "first.csv", "--method", "ridge").code == DONE
    wrong = rows(["apple", "pear"], seed=1)
    for row in (7, 13, 19, 25):
        wrong[row][-1] = "apple"
    file = save(tmp_path / "wrong.csv", wrong)

    def once_gone(schema: str, update: Update, as_json: bool, pushed: DataFile, said: str) -> int:
        assert pushed.is_unchanged
        file.write_text("weight\n")
        assert not pushed.is_unchanged
        file.unlink()
        return print_update(schema, update, as_json, pushed, said)

    monkeypatch.setattr("service.cli.people.push.print_update", once_gone)
    pushed = tsuika("push", "vineyard", file, "--method", "ridge")
    assert pushed.code == DONE, pushed.err
    assert "● Live: version 2." in pushed.out
    assert re.findall(r"^  (\d+) +apple +pear ", pushed.out, re.M), pushed.out


@pytest.mark.long
def test_three_mistakes_have_a_sentence_each_and_nothing_is_learned(tsuika: Tsuika, tmp_path: Path) -> None:
    good = rows(["apple", "pear", "plum"], 80)
    assert tsuika("init", "basket", save(tmp_path / "good.csv", good)).code == DONE
    assert tsuika("push", "basket", tmp_path / "good.csv", "--method", "ridge").code == DONE
    before = stored(tsuika, "basket")

    slip = rows(["apple", "pear"], 5, seed=3)
    slip[6][-1] = "aple"
    typed = tsuika("push", "basket", save(tmp_path / "slip.csv", slip))
    assert (typed.code, typed.out) == (USAGE, "")
    assert "slip.csv: 1 label is not a class of basket. Nothing was sent." in typed.err
    assert 'line 8   label "aple"   near: "apple"' in typed.err
    assert "A new class all the same? --new-classes=aple" in typed.err

    lacking = save(tmp_path / "lacking.csv", [[*row[:2], *row[3:]] for row in slip[:5]], [*HEADER[:2], *HEADER[3:]])
    missing = tsuika("push", "basket", lacking)
    assert (missing.code, missing.out) == (USAGE, "")
    assert 'lacking.csv, line 1: "acid" is missing' in missing.err
    headless = tsuika("push", "basket", save(tmp_path / "headless.csv", slip[1:5], slip[0]))
    assert (headless.code, headless.out) == (USAGE, "")
    assert "headless.csv, line 1 names no column of basket:" in headless.err
    number = save(tmp_path / "number.csv", [["7", "1", "many", "5", "apple"]])
    unread = tsuika("push", "basket", number)
    assert (unread.code, unread.out) == (USAGE, "")
    assert 'number.csv: Line 2, column "acid": ' in unread.err
    assert unread.err.endswith("Nothing was stored.\n")
    for file, at_fault in ((tmp_path / "slip.csv", []), (number, [("/inputs/0/acid", 'Line 2, column "acid"')])):
        told = tsuika("push", "basket", file, "--json")
        assert (told.code, told.json["schema"]) == (USAGE, "tsuika.problem/1")
        assert told.json["detail"] in told.err
        errors = told.json.get("errors", [])
        assert [(error["pointer"], error["detail"][:21]) for error in errors] == at_fault
    assert tsuika("push", "nobody", number, "--json").json["status"] == 404
    assert stored(tsuika, "basket") == before

    mixed = rows(["apple", "pear", "plum"], 80, seed=4)
    labels = np.random.default_rng(0).permutation([row[-1] for row in mixed])
    shuffled = save(tmp_path / "shuffled.csv", [[*row[:-1], label] for row, label in zip(mixed, labels, strict=True)])
    refused = tsuika("push", "basket", shuffled, "--method", "ridge")
    assert refused.code == REJECTED
    assert refused.out.startswith("✕ Rejected: the labels look shuffled.")
    assert "tsuika correct" not in refused.out, "other labels of some rows mend nothing"
    assert "--expect relabel" not in refused.out, "it would be rejected again"
    meant = tsuika("push", "basket", shuffled, "--method", "ridge", "--expect", "relabel", "--json")
    assert (meant.code, meant.json["verdict"]) == (REJECTED, "rejected"), "learned again, and shuffled all the same"
    rules = {rule["name"]: rule["why"] for rule in meant.json["report"]["gate"]["rules"]}
    assert rules["contradicts_everything"].endswith("labels change on purpose does not explain it.")
    wrong = tsuika("push", "basket", shuffled, "--expect", "move")
    assert wrong.code == USAGE
    assert 'what it may expect is "relabel"' in wrong.err
    listed = tsuika("versions", "basket", "--json").json["items"]
    assert (listed[-1]["live"], listed[-1]["verdict"], listed[0]["verdict"]) == (True, "promoted", "rejected")


def test_gaps_and_columns_are_named_and_what_was_printed_can_be_typed(tsuika: Tsuika, tmp_path: Path) -> None:
    table = [[str(k), *row] for k, row in enumerate(rows(["apple", "pear"]))]
    table[3][1], table[8][-1] = "NA", "NA"
    file = save(tmp_path / "r.csv", table, ["nr", *HEADER])
    made = tsuika("init", "orchard", file, "--leave-out", "nr")
    assert '"NA" in "weight", "label" is taken for a gap' in made.out
    [command] = re.findall(r"Teach it: tsuika (.*)", made.out)
    assert command == f"push orchard {file}", "the model remembers what it leaves out, and its gaps"
    early = tsuika("predict", "orchard", file)
    assert (early.code, "tsuika push orchard FILE" in early.err) == (ERROR, True)
    more = save(tmp_path / "more.csv", [[*row[:1], "x", *row[1:]] for row in table], ["nr", "till", *HEADER])
    assert 'has no column "till". Leave it out: --leave-out till.' in tsuika("push", "orchard", more).err
    others = [[cell.replace("NA", "N/A") for cell in row] for row in table]
    other = save(tmp_path / "other.csv", others, ["nr", *HEADER])
    unsaid = tsuika("push", "orchard", other, "--leave-out", "nr")
    assert (unsaid.code, "line 10: N/A is not taken as a label." in unsaid.err) == (USAGE, True)
    pushed = tsuika(*command.split(), "--method", "ridge")
    assert (pushed.code, "1 row has no label: line 10." in pushed.err) == (DONE, True)
    asked = save(tmp_path / "q.csv", [row[:-1] for row in others[:5]], ["nr", *HEADER[:-1]])
    assert "or say --gaps N/A" in tsuika("predict", "orchard", asked).err
    assert len(tsuika("predict", "orchard", asked, "--gaps", "N/A").out.splitlines()) == 6
    known = save(tmp_path / "k.csv", [row[:-1] for row in table[:5]], ["nr", *HEADER[:-1]])
    assert len(tsuika("predict", "orchard", known).out.splitlines()) == 6
    both = tsuika("compare", "orchard@1", "orchard@live", file, "--leave-out", "nr")
    assert "answer 0 of 120 rows differently" in both.out


def test_ctrl_c_while_it_learns_says_that_the_update_goes_on(
    tsuika: Tsuika, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save(tmp_path / "a.csv", rows(["apple", "pear"], 40))
    assert tsuika("init", "left", file).code == DONE

    def leave(update: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("service.cli.progress._line", leave)
    left = tsuika("push", "left", file, "--method", "ridge")
    assert left.code == INTERRUPTED
    assert re.search(r"upd_\w+ goes on: tsuika watch left", left.err)
    assert "Live: version 1." in tsuika("watch", "left", "--until-idle").out


def test_what_would_move_the_cursor_is_shown_as_text() -> None:
    assert plain("a\x1b[31m\nb") == r"a\x1b[31m\nb"
    assert plain("ラベル, naïve") == "ラベル, naïve"


def test_no_name_becomes_a_formula_of_a_spreadsheet() -> None:
    names = ['=HYPERLINK("http://x")', "+A1", "@SUM(A1)", "-x", " =1+1"]
    assert [csv_cell(name) for name in names] == [f"'{name}" for name in names]
    assert [csv_cell(cell) for cell in ("-1", "+2.5", "-1e-3", "late", -0.5)] == ["-1", "+2.5", "-1e-3", "late", -0.5]


@pytest.mark.parametrize("name", ["fruits@latest", "fruits:latest"])
def test_latest_is_no_name_of_a_version(tsuika: Tsuika, name: str) -> None:
    ended = tsuika("report", name)
    assert (ended.code, ended.out) == (USAGE, "")
    assert "the latest version may be a rejected one" in ended.err


def test_what_cannot_be_sent_and_what_cannot_be_written_is_wrong_usage(tsuika: Tsuika, tmp_path: Path) -> None:
    file = save(tmp_path / "lone.csv", rows(["apple", "pear"], 40))
    assert tsuika("init", "lone", file).code == DONE
    assert tsuika("push", "lone", file, "--method", "ridge").code == DONE
    for arguments in (
        ("predict", "lone", "--row", '{"weight": 1e999}'),
        ("predict", "lone", save(tmp_path / "bare.csv", []), "--label", "label"),
        ("export", "lone", "--output", tmp_path / "nowhere" / "x.safetensors"),
        ("export", "lone", "--onnx", "--output", tmp_path / "x.safetensors"),
        ("init", "..", tmp_path / "missing" / "x.csv"),
        ("init", "Two Words", save(tmp_path / "named.csv", rows(["apple", "pear"])), "--dry-run"),
    ):
        ended = tsuika(*arguments)
        assert (ended.code, ended.out) == (USAGE, ""), ended
        assert "Traceback" not in ended.err
        assert ended.err.startswith("✕ ")
    os.truncate(file, 2_000_000_000)
    for verb in ("push", "predict"):
        ended = tsuika(verb, "lone", file)
        assert (ended.code, ended.out) == (USAGE, ""), "nobody reads the file to see how large it is"
        assert "lone.csv has 2,000.0 MB, and the service takes" in ended.err


def test_an_address_is_shown_without_what_signs_in(tsuika: Tsuika, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSUIKA_URL", os.environ["TSUIKA_URL"].replace("//", "//reader:hidden@"))
    assert "✓ The service at http://127.0.0.1" in (well := tsuika("doctor")).out
    assert "hidden" not in well.out + well.err + tsuika("settings", "--json").out


def test_a_model_that_is_not_there_and_a_service_that_is_away_are_said(
    tsuika: Tsuika, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = save(tmp_path / "a.csv", rows(["apple"], 2))
    assert f"tsuika init nobody {file}" in tsuika("push", "nobody", file).err
    unnameable = tsuika("push", "お客様", file)
    assert (unnameable.code, "A model's name has lower-case letters" in unnameable.err) == (USAGE, True)
    assert "tsuika init" not in unnameable.err
    well = tsuika("doctor").out
    assert f"✓ The service at {os.environ['TSUIKA_URL']} answers" in well
    assert "✓ It asks nobody for a key.\n" in well
    monkeypatch.setenv("TSUIKA_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    sick = tsuika("doctor", "--json")
    assert not sick.json["well"]
    assert "Is `tsuika serve` running there?" in sick.out


def test_pictures_that_are_refused_are_named_and_said_to_need_a_folder(tsuika: Tsuika, tmp_path: Path) -> None:
    with Client() as client:
        client.create_model("pictured", {"kind": "image", "channels": 1, "height": 8, "width": 8})
    for place in ("cats/1.png", "dogs/1.png"):
        (file := tmp_path / "pets" / place).parent.mkdir(parents=True)
        file.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    refused = tsuika("push", "pictured", tmp_path / "pets")
    assert refused.code == USAGE
    assert "pets, cats/1.png: Row 0 (counted from 0): this PNG cannot be decoded" in refused.err
    loose = tsuika("push", "pictured", tmp_path / "pets" / "cats")
    assert (loose.code, "these pictures stand in no folder" in loose.err) == (USAGE, True)
