"""What a verb proposes to do next can be done, and what cannot be done is not proposed."""

from __future__ import annotations

import os
import re
from pathlib import Path

import httpx
import pytest

from service.cli.exits import DONE, ERROR, HELD, USAGE
from service.client import Client
from tests.cli.test_people import CENTRES, HEADER, Tsuika, rows, save, tsuika

__all__ = ["tsuika"]  # a fixture


def taught(tsuika: Tsuika, folder: Path, model: str, files: int = 2) -> None:
    """A model with so many versions, each live when it was made, which waits for a person from now on."""
    for seed in range(files):
        file = save(folder / f"{seed}.csv", rows(["apple", "pear"], 30, seed))
        assert seed or tsuika("init", model, file).code == DONE
        assert tsuika("push", model, file, "--method", "ridge").code == DONE
    with Client() as client:
        client.model(model).configure(promotion="manual")


def promotion(model: str) -> str:
    with Client() as client:
        return client.model(model).info().promotion


def page(path: str) -> str:
    """What a page of a model shows."""
    return httpx.get(f"{os.environ['TSUIKA_URL']}/models/{path}", timeout=60).raise_for_status().text


def test_later_versions_go_live_again_whatever_is_live(tsuika: Tsuika, tmp_path: Path) -> None:
    taught(tsuika, tmp_path, "heath")
    for name in ("heath@2", "heath", "heath@live"):
        done = tsuika("promote", name, "--auto")
        assert (done.code, promotion("heath")) == (DONE, "auto"), done
        assert done.out.startswith(
            "● New versions go live by themselves once they pass every check.\n  Version 2 stays"
        )
        with Client() as client:
            client.model("heath").configure(promotion="manual")
    assert tsuika("promote", "heath").code == USAGE, "nothing would change"
    elsewhere = tsuika("promote", "heath", "--auto", "--if-live", "1")
    assert (elsewhere.code, promotion("heath")) == (ERROR, "manual"), elsewhere
    by_hand = tsuika("promote", "heath@1", "--reason", "better")
    assert "New versions wait until you promote them. To let them go live: tsuika promote heath --auto" in by_hand.out
    lacking, command = re.findall(r"It lacks 1 batch, which waits: (\S+)\n  Have it learned: (.+)", by_hand.out)[0]
    assert command == f"tsuika learn heath {lacking}"
    told = tsuika("promote", "heath", "--auto", "--json").json
    assert (told["model"], told["version"], told["promotion"]) == ("heath", 1, "auto")


@pytest.mark.long
def test_of_a_ready_version_that_was_promoted_the_report_says_so(tsuika: Tsuika, tmp_path: Path) -> None:
    taught(tsuika, tmp_path, "lea")
    held = tsuika("push", "lea", save(tmp_path / "next.csv", rows(["apple", "pear"], 30, 5)), "--method", "ridge")
    assert held.code == HELD
    assert "\nReady: version 3 passed every check and waits for you." in tsuika("report", "lea@3").out
    assert tsuika("promote", "lea@3", "--reason", "looked").code == DONE
    report = tsuika("report", "lea@3").out
    assert "\nLive: version 3. It passed every check and was promoted by hand.\n" in report
    assert "waits for you" not in report
    shown = page("lea/versions/3")
    assert "live by order (ready: it passed every check)" in shown
    assert ("It passed every check and was promoted by hand." in shown, "waits for you" in shown) == (True, False)


@pytest.mark.long
def test_a_rollback_that_is_refused_names_the_version_that_it_would_go_to(tsuika: Tsuika, tmp_path: Path) -> None:
    taught(tsuika, tmp_path, "moor")
    held = tsuika("push", "moor", save(tmp_path / "held.csv", rows(["apple", "pear"], 30, 5)), "--method", "ridge")
    assert held.code == HELD
    with Client() as client:
        client.model("moor").configure(promotion="auto")
    bad = save(tmp_path / "bad.csv", rows(["apple", "pear"], 30, 6))
    batch = tsuika("push", "moor", bad, "--method", "ridge", "--json").json["batches"][0]
    corrected = tsuika("correct", "moor", batch, "--row", "0=pear", "--reason", "looked")
    assert (corrected.code, "Undo: tsuika correct moor bat_" in corrected.out) == (DONE, True), corrected.out
    refused = tsuika("rollback", "moor", "--to", "4", "--reason", "to see it")
    said = rf"Version 4 learned batch {batch}, which was corrected\. To go back, (tsuika rollback moor --to 2)\.$"
    assert refused.code == ERROR
    assert re.search(said, refused.err.rstrip()), refused.err
    back = tsuika("rollback", "moor", "--reason", "without the version that was printed")
    assert (back.code, "Live again: version 2." in back.out) == (DONE, True), back
    assert "Passed over, since it may not go live: 4." in back.out


@pytest.mark.long
def test_rows_of_a_table_with_categories_are_taken_out_as_it_is_proposed(tsuika: Tsuika, tmp_path: Path) -> None:
    header = [*HEADER[:-1], "market", "label"]

    def table(seed: int) -> list[list[str]]:
        return [[*row[:-1], "south" if k % 3 else "north", row[-1]] for k, row in enumerate(rows([*CENTRES], 40, seed))]

    first, wrong = save(tmp_path / "first.csv", table(0), header), table(1)
    assert "market (category)" in tsuika("init", "wold", first).out
    assert tsuika("push", "wold", first, "--method", "ridge").code == DONE
    for row in range(9, 45, 6):
        wrong[row][-1] = "pear"
    second = save(tmp_path / "second.csv", wrong, header)
    batch = tsuika("push", "wold", second, "--method", "ridge", "--json").json["batches"][0]
    listed = tsuika("correct", "wold", batch, "--suspects")
    way = f"tsuika correct wold {batch} --row N=LABEL   Take one out: --take-out N\n"
    assert (listed.code, way in listed.out) == (DONE, True), listed.out
    empty = tsuika("correct", "wold", batch, save(tmp_path / "right.csv", [["9", ""]], ["row", "label"]))
    assert (empty.code, "leave it out here and say --take-out 9" in empty.err) == (USAGE, True), empty.err
    assert "each gets what is right, or is taken out." in page(f"wold/batches/{batch}")
    taken = tsuika("correct", "wold", batch, "--take-out", "9", "--reason", "looked", "--json")
    assert (taken.code, taken.json["corrected"]["taken_out"]) == (DONE, 1), taken.err


@pytest.mark.long
def test_no_command_names_a_batch_that_was_taken_back(tsuika: Tsuika, tmp_path: Path) -> None:
    taught(tsuika, tmp_path, "croft", 1)
    named = [dict(zip(HEADER[:-1], map(float, row), strict=False)) for row in rows(["apple", "pear"], 60, seed=9)]
    with Client() as client:
        good = client.model("croft").add_batch(named[:60], ["apple", "pear"] * 30)
        gone = client.model("croft").add_batch(named[60:], ["apple", "pear"] * 30)
    assert tsuika("learn", "croft", "--method", "ridge").code == HELD
    assert tsuika("retract", "croft", gone.id, "--reason", "not mine").code == DONE
    again = tsuika("rebase", "croft@2")
    assert (again.code, gone.id in again.out) == (HELD, False), again.out
    [back] = re.findall(r"Take the rows back: tsuika (retract croft \S+)", again.out)
    assert back.endswith(good.id)
    assert tsuika(*back.split(), "--reason", "as it was printed").code == DONE


@pytest.mark.long
def test_a_batch_that_the_gate_stopped_alone_is_learned_with_others_only_where_that_is_said(
    tsuika: Tsuika, tmp_path: Path
) -> None:
    taught(tsuika, tmp_path, "fen")
    with Client() as client:
        fen = client.model("fen")
        fen.configure(promotion="auto")
        renamed = [[*row[:-1], row[-1].title()] for row in rows(["apple", "pear"], 30, 7)]
        file = save(tmp_path / "renamed.csv", [*renamed, *rows(["apple", "pear"], 30, 8)])
        held = tsuika("push", "fen", file, "--new-classes=Apple,Pear", "--json")
        assert held.code == HELD, held
        [bad] = held.json["batches"]
        only = tsuika("learn", "fen")
        assert (only.code, f"tsuika learn fen {bad}   Take it back: tsuika retract fen {bad}" in only.err) == (
            USAGE,
            True,
        ), only
        cells = [dict(zip(HEADER[:-1], map(float, row[:-1]), strict=True)) for row in rows(["apple", "pear"], 30, 9)]
        good = fen.add_batch(cells, ["apple", "pear"] * 30)

        fen.configure(promotion="manual")
        fen.rollback("to see it", to=1)
        again = tsuika("promote", "fen@2", "--reason", "seen")
        assert "  2 batches wait that version 2 has not learned. Have them learned: tsuika learn fen " in again.out
        assert "2 more batches wait that it has not learned" in page("fen/versions/1/promote")
        unsaid = page("fen/versions/3/promote")
        assert f'class="button primary" href="/models/fen/batches/{bad}/retract"' in unsaid, "the gate stopped it"
        fen.configure(promotion="auto")

        both = tsuika("learn", "fen", "--all")
        assert (both.code, f"Of its batches {bad} was stopped alone before." in both.out) == (HELD, True), both
        assert f"Learn the others: tsuika learn fen {good.id} " in both.out
        assert f"Take the rows back: tsuika retract fen {bad} " in both.out
        shown = page("fen/batches")
        assert f'name="batches" value="{good.id}"' in shown, "on the page, too"

        learned = tsuika("learn", "fen")
        assert (learned.code, f"Left out: {bad} of 120 rows (held or rejected, version 3)." in learned.err) == (
            DONE,
            True,
        )
        assert [batch.id for batch in fen.batches(waiting=True)] == [bad]
        assert tsuika("learn", "fen", bad).code == HELD, "it was named"
