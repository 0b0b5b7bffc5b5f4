"""Rows of a batch get other labels or targets from the terminal: typed, of a file, or as is suggested of suspects."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from service.cli.exits import DONE, USAGE
from service.client import Client
from tests.cli.test_people import Ended, Tsuika, rows, save, tsuika

__all__ = ["tsuika"]  # a fixture

WRONG = range(7, 43, 6)
"""Rows of a file, pears all of them, that are called apples."""


def pushed(tsuika: Tsuika, folder: Path, model: str) -> tuple[Ended, str]:
    """A model that has learned a file with these wrong labels. -> what was said, and the batch"""
    assert tsuika("init", model, save(folder / "first.csv", rows(["apple", "pear"]))).code == DONE
    assert tsuika("push", model, folder / "first.csv", "--method", "ridge").code == DONE
    wrong = rows(["apple", "pear"], seed=1)
    for row in WRONG:
        wrong[row][-1] = "apple"
    said = tsuika("push", model, save(folder / "wrong.csv", wrong), "--method", "ridge")
    return said, tsuika("batches", model, "-n", "1", "--json").json["items"][0]["id"]


def labels(model: str) -> dict[str, int]:
    """Rows of each label of the newest batch."""
    with Client() as client:
        return dict(next(client.model(model).batches()).label_counts)


def test_rows_are_corrected_as_they_are_typed_and_as_a_file_lists_them(tsuika: Tsuika, tmp_path: Path) -> None:
    said, batch = pushed(tsuika, tmp_path, "dale")
    assert f"Correct them: tsuika correct dale {batch} --suspects" in said.out
    slip = tsuika("correct", "dale", batch, "--row", "7=paer", "--row", "13=pear")
    assert (slip.code, slip.out) == (USAGE, "")
    assert "1 label is not a class of dale. Nothing was sent." in slip.err
    assert 'row 7   label "paer"   near: "pear"' in slip.err
    assert slip.err.rstrip().endswith("A new class all the same? --new-classes=paer")
    unseen = tsuika("correct", "dale", batch, "--row", "7=pe\x01ar").err
    assert 'row 7: label "pe\\x01ar": A class name has no control, format or invisible characters.' in unseen
    assert "--new-classes" not in unseen
    listed = save(tmp_path / "right.csv", [["7", "pear"], ["13", "paer"]], ["row", "label"])
    assert 'right.csv, line 3   label "paer"   near: "pear"' in tsuika("correct", "dale", batch, listed).err
    for faulty, line in ((["x", "pear"], 'line 2, column "row": "x" is no number of a row'), (["9", ""], "line 2: ")):
        refused = tsuika("correct", "dale", batch, save(tmp_path / "faulty.csv", [faulty], ["row", "label"]))
        assert (refused.code, f"faulty.csv, {line}" in refused.err) == (USAGE, True), refused.err
    assert "--take-out 9" in refused.err, "an empty cell takes out no row"
    missing = save(tmp_path / "missing.csv", [["7", "pear"], ["900", "pear"]], ["row", "label"])
    refused = tsuika("correct", "dale", batch, missing)
    assert (refused.code, "missing.csv, line 3: Row 900 (counted from 0) of the batch" in refused.err) == (USAGE, True)
    for of in (["nobody"], [batch, "--row", "900=fig"]):
        assert tsuika("correct", "dale", *of, "--row", "1=fig", "--new-classes=fig").code != DONE
    for words in (["--row", "7"], ["--row", "7=pear", "--take-out", "7"], [], ["--suspects", "--row", "7=pear"]):
        assert tsuika("correct", "dale", batch, *words).code == USAGE, words
    asked: list[str] = []
    with pytest.MonkeyPatch.context() as typing:
        typing.setattr("sys.stdin.isatty", lambda: True, raising=False)
        typing.setattr("typer.confirm", lambda question, err: asked.append(question))
        all_of_it = save(tmp_path / "all.csv", [[str(k), "pear"] for k in range(120)], ["row", "label"])
        assert tsuika("correct", "dale", batch, all_of_it, "--reason", "slipped").code == USAGE
    assert asked == [f"This changes 120 of the 120 rows of {batch}: pear (120). Correct them?"]
    assert labels("dale") == {"apple": 66, "pear": 54}, "nothing was changed yet"
    with Client() as client:
        assert client.model("dale").info().classes == ["apple", "pear"], "and no class was added"

    good = save(tmp_path / "good.csv", [[str(row), "pear"] for row in WRONG[:-1]], ["row", "label"])
    done = tsuika("correct", "dale", batch, good, "--take-out", str(WRONG[-1]), "--reason", "looked again")
    assert (done.code, done.out[:17]) == (DONE, "● Live: version 3"), done
    assert labels("dale") == {"apple": 60, "pear": 59}
    new = tsuika("batches", "dale", "-n", "1", "--json").json["items"][0]["id"]
    said = f"Batch {batch} was corrected: 5 rows changed and 1 row taken out. Batch {new} took its rows over."
    assert said in tsuika("updates", "dale").out
    assert said in done.out
    named = tsuika("correct", "dale", new, "--row", "1=quince", "--new-classes=quince", "--reason", "looked", "--json")
    assert (named.json["schema"], labels("dale")) == ("tsuika.correct/1", {"apple": 60, "pear": 58, "quince": 1})
    newest = tsuika("batches", "dale", "-n", "1", "--json").json["items"][0]["id"]
    refused = tsuika("correct", "dale", batch, "--row", "1=apple", "--reason", "looked")
    assert (refused.code != DONE, f"batch {newest} has its rows. Correct that one." in refused.err) == (True, True)
    refused = tsuika("correct", "dale", batch, "--suspects")
    assert (refused.code, refused.out) == (USAGE, ""), "nothing is listed that cannot be corrected"
    assert refused.err.rstrip().endswith(f"Correct that one: tsuika correct dale {newest} --suspects")
    refused = tsuika("push", "dale", tmp_path / "wrong.csv", "--method", "ridge")
    assert (refused.code != DONE, f"batch {newest} has them now" in refused.err) == (True, True), refused.err
    assert f"take {newest} back first (tsuika retract dale {newest})" in refused.err


@pytest.mark.long
def test_a_file_from_another_source_is_learned_and_the_batch_with_the_same_rows_is_named(
    tsuika: Tsuika, tmp_path: Path
) -> None:
    _, batch = pushed(tsuika, tmp_path, "dell")
    told = tsuika("push", "dell", tmp_path / "wrong.csv", "--source", "south", "--method", "ridge")
    assert f"Batch {batch} without a source has the same rows: they count twice." in " ".join(told.out.split())
    more = (tmp_path / "wrong.csv").read_text() + (tmp_path / "first.csv").read_text().partition("\n")[2][:40]
    (tmp_path / "more.csv").write_text(more.rpartition("\n")[0] + "\n")
    told = tsuika("push", "dell", tmp_path / "more.csv", "--method", "ridge")
    south = re.search(r"rows are in batch (bat_\w+), too: they count twice", " ".join(told.out.split()))
    assert south is not None, told.out
    assert f"take {south[1]} back (tsuika retract dell {south[1]})" in " ".join(told.out.split())
    assert tsuika("retract", "dell", south[1]).code == DONE


@pytest.mark.long
def test_suspects_are_listed_and_on_a_terminal_chosen(
    tsuika: Tsuika, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, batch = pushed(tsuika, tmp_path, "vale")
    listed = tsuika("correct", "vale", batch, "--suspects")
    assert listed.code == DONE
    numbers = [int(row) for row in re.findall(r"^ *(\d+) +apple +pear ", listed.out, re.M)]
    assert {*numbers} >= {*WRONG}
    assert f"Correct a row: tsuika correct vale {batch} --row N=LABEL   Take one out: --take-out N" in listed.out
    assert "POST" not in listed.out
    told = tsuika("correct", "vale", batch, "--suspects", "--json").json
    assert (told["schema"], [row["row"] for row in told["items"]][: len(WRONG)]) == (
        "tsuika.suspects/1",
        numbers[: len(WRONG)],
    )
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer, said in (("none", "Nothing was changed."), ("8", "Row 8 is none of those."), ("x", '"x" is no number')):
        monkeypatch.setattr("typer.prompt", lambda question, default, err, answer=answer: answer)
        refused = tsuika("correct", "vale", batch, "--suspects")
        assert (refused.code, said in refused.err) == (USAGE, True), refused.err
    chosen = ", ".join(map(str, WRONG))
    monkeypatch.setattr("typer.prompt", lambda question, default, err: chosen)
    done = tsuika("correct", "vale", batch, "--suspects", "--reason", "looked")
    assert done.code == DONE, done.err
    assert labels("vale") == {"apple": 60, "pear": 60}


def test_of_a_batch_that_was_taken_back_no_suspects_are_listed(tsuika: Tsuika, tmp_path: Path) -> None:
    _, batch = pushed(tsuika, tmp_path, "rill")
    assert tsuika("rollback", "rill", "--reason", "wrong").code == DONE
    done = tsuika("retract", "rill", batch, "--reason", "wrong")
    assert (done.code, "send it: tsuika push rill FILE" in done.out) == (DONE, True), done
    refused = tsuika("correct", "rill", batch, "--suspects")
    assert (refused.code, refused.out) == (USAGE, "")
    assert refused.err.rstrip().endswith("Send the corrected rows as a new batch: tsuika push rill FILE")


@pytest.mark.long
def test_learn_shows_the_suspects_that_push_shows(tsuika: Tsuika, tmp_path: Path) -> None:
    said, batch = pushed(tsuika, tmp_path, "glen")
    assert tsuika("rollback", "glen", "--reason", "to learn it again").code == DONE
    learned = tsuika("learn", "glen", batch, "--method", "ridge")
    table = r"^  (\d+) +(?:\d+ +)?apple +pear +(\S+) %"
    assert re.findall(table, learned.out, re.M) == re.findall(table, said.out, re.M) != []
    assert f"Correct them: tsuika correct glen {batch} --suspects" in learned.out


@pytest.mark.long
def test_targets_are_corrected_with_the_decimals_of_their_file(tsuika: Tsuika, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sizes = random.uniform(20, 90, 120).round(3)
    table = [
        [f"{size}", f"{3 * size + noise:.2f}"] for size, noise in zip(sizes, random.normal(0, 1, 120), strict=True)
    ]
    file = save(tmp_path / "rents.csv", table, ["size", "rent"])
    assert tsuika("init", "rents", file, "--target", "number", "--label", "rent").code == DONE
    assert tsuika("push", "rents", file, "--method", "ridge").code == DONE
    batch = tsuika("batches", "rents", "--json").json["items"][0]["id"]
    right = tmp_path / "right.csv"
    right.write_text("row;rent\n0;101,5\n1;99,25\n")
    listed = tsuika("correct", "rents", batch, "--suspects")
    assert (listed.code, "--row N=TARGET" in listed.out or "No row" in listed.out) == (DONE, True)
    for text in ("many", "nan", "inf", "1e400", "1_0", "١٢", "1;2"):
        assert tsuika("correct", "rents", batch, "--row", f"0={text}").code == USAGE, text
    gaps = tmp_path / "gaps.csv"
    gaps.write_text("row,rent\n0,101.5\n1,NaN\n")
    refused = tsuika("correct", "rents", batch, gaps)
    assert (refused.code, "gaps.csv, line 3: " in refused.err) == (USAGE, True), refused.err
    done = tsuika("correct", "rents", batch, right, "--reason", "measured again")
    assert done.code == DONE, done
    with Client() as client:
        new, old = [batch.target_summary for batch in client.model("rents").batches()]
    changed = 101.5 + 99.25 - float(table[0][1]) - float(table[1][1])
    assert new.mean - old.mean == pytest.approx(changed / 120, rel=1e-3)


@pytest.mark.long
def test_a_label_is_the_class_that_it_looks_like_however_its_accents_are_spelt(tsuika: Tsuika, tmp_path: Path) -> None:
    apart, new = (unicodedata.normalize("NFD", name) for name in ("p\u00eache", "caf\u00e9"))
    called = {"apple": "apple", "pear": apart, "plum": new}
    first = save(tmp_path / "first.csv", [[*cells, called[name]] for *cells, name in rows(["apple", "pear"])])
    assert tsuika("init", "accents", first).code == DONE
    said = tsuika("push", "accents", first, "--method", "ridge")
    assert said.code == DONE, said.err
    batch = tsuika("batches", "accents", "-n", "1", "--json").json["items"][0]["id"]
    assert tsuika("correct", "accents", batch, "--row", f"0={apart}", "--reason", "looked").code == DONE
    second = save(tmp_path / "new.csv", [[*cells, called[name]] for *cells, name in rows(["plum"])])
    said = tsuika("push", "accents", second, f"--new-classes={new}")
    assert said.code == DONE, said.err
