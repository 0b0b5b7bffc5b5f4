"""The verbs of people where rows are texts."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from service.cli.exits import DONE, USAGE
from service.client import Client
from tests.cli.test_people import Ended, Tsuika, save, tsuika

__all__ = ["tsuika"]  # a fixture

WORDS = {
    "billing": "invoice charge refund payment euro credit card bank fee amount",
    "shipping": "parcel depot courier address delivery tracking box door van customs",
}


def tickets(each: int = 30, seed: int = 0) -> list[list[str]]:
    """A number, a day, a channel, a text and a topic a row."""
    draw = np.random.default_rng(seed)
    topics = [*WORDS] * each
    texts = [" ".join(draw.permutation(WORDS[topic].split())[:8]) for topic in topics]
    said = zip(texts, topics, strict=True)
    return [[f"T-{k}", f"2026-09-{1 + k % 28:02d}", ["mail", "chat"][k % 2], *row] for k, row in enumerate(said)]


HEADER = ["ticket_id", "created", "channel", "text", "topic"]


@pytest.mark.long
def test_what_export_writes_of_a_text_model_is_taken_in(tsuika: Tsuika, tmp_path: Path) -> None:
    file = save(tmp_path / "week.csv", tickets(), HEADER)
    left_out = "--leave-out ticket_id --leave-out created --leave-out channel"
    assert tsuika("init", "letters", file, *left_out.split()).code == DONE
    assert tsuika("push", "letters", file).code == DONE
    small, whole = tmp_path / "small.safetensors", tmp_path / "whole.safetensors"
    written = tsuika("export", "letters", "-o", small)
    assert written.out.endswith(
        "MB, without the weights of minilm, which any service with it has (with them: --whole).\n"
    )
    assert tsuika("export", "letters", "--whole", "-o", whole).out.endswith(" MB.\n")
    refused = tsuika("import", "letters-copy", whole)
    assert (
        "Leave out the weights of a pretrained backbone: tsuika export MODEL -o FILE.safetensors, without --whole"
        in (refused.err)
    ), refused
    assert "letters-copy" not in tsuika("models").out
    taken = tsuika("import", "letters-copy", small, "--promote", "--reason", "copied")
    assert (taken.code, "It leaves out ticket_id, created, channel." in taken.err) == (DONE, True), taken
    asked = save(tmp_path / "open.csv", [row[:4] for row in tickets(5, 1)], HEADER[:4])
    answers: list[Ended] = [tsuika("predict", name, asked) for name in ("letters", "letters-copy")]
    assert answers[0].code == answers[1].code == DONE, answers
    with Client() as client:
        client.model("letters-copy").configure(leave_out=[])
    several = tsuika("predict", "letters-copy", asked)
    assert (several.code, f"Leave out what is no text: {left_out}." in several.err) == (USAGE, True), several
    assert [line.split(",")[1] for line in answers[0].out.split()] == [
        line.split(",")[1] for line in answers[1].out.split()
    ]


def test_a_file_with_a_column_of_texts_proposes_a_model_of_texts_by_a_command_that_works(
    tsuika: Tsuika, tmp_path: Path
) -> None:
    for columns, without in (([0, 3, 4], []), ([0, 1, 2, 3, 4], ["created", "channel"])):
        table, header = [[row[k] for k in columns] for row in tickets()], [HEADER[k] for k in columns]
        file = save(tmp_path / f"{len(columns)}.csv", table, header)
        said = tsuika("init", "mails", file, "--dry-run")
        [first, *others] = re.findall(r"tsuika (init .*)", said.out)
        assert said.out.splitlines()[2].startswith('Words of "text" are not read: each cell is one value. For a ')
        of_texts = tsuika(*shlex.split(first), "--dry-run", "--json").json["model"]
        assert of_texts["input"]["kind"] == "text"
        tables = [tsuika(*shlex.split(other), "--dry-run", "--json").json["model"] for other in others]
        names = [[column["name"] for column in made["input"]["columns"]] for made in tables]
        assert names == ([without] if without else [])


def test_no_command_leaves_out_all_inputs(tsuika: Tsuika, tmp_path: Path) -> None:
    names = [[f"a{k}", f"b{k}", "xy"[k % 2]] for k in range(30)]
    both = tsuika("init", "names", save(tmp_path / "both.csv", names, ["who", "whose", "label"]), "--dry-run").out
    assert "tsuika init" not in both
    assert "Keep one of them: without all of them nothing is left to predict from." in both
    one = save(tmp_path / "one.csv", [row[1:] for row in names], ["whose", "label"])
    assert "--leave-out" not in tsuika("init", "names", one, "--dry-run").out
    refused = tsuika("init", "names", one, "--leave-out", "whose")
    assert (refused.code, 'so much is left out that no column is left beside "label".' in refused.err) == (USAGE, True)
