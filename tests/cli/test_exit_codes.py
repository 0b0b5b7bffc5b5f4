"""The exit code of every verb of a model where what it names is not there: 1, as docs/terminal.md says."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.cli import main
from service.cli.app import VERBS
from service.cli.exits import ERROR
from tests.cli.test_people import Tsuika, rows, save, tsuika

__all__ = ["tsuika"]  # a fixture

NOBODY = {
    "model": [
        ["push", "nobody", "FILE"],
        ["predict", "nobody", "FILE"],
        ["rollback", "nobody", "--reason", "why"],
        ["versions", "nobody"],
        ["updates", "nobody"],
        ["batches", "nobody"],
        ["report", "nobody"],
        ["report", "nobody@1"],
        ["compare", "nobody@1", "nobody@2"],
        ["watch", "nobody", "--until-idle"],
        ["promote", "nobody@1", "--reason", "why"],
        ["learn", "nobody"],
        ["rebase", "nobody@1"],
        ["retract", "nobody", "bat_0661051f1e3c4b", "--reason", "why"],
        ["retract", "nobody"],
        ["retract", "nobody@1"],
        ["correct", "nobody", "bat_0661051f1e3c4b", "--row", "0=apple", "--reason", "why"],
        ["correct", "nobody", "bat_0661051f1e3c4b", "--suspects"],
        ["delete-class", "nobody", "apple", "--yes"],
        ["export", "nobody@1"],
        ["import", "nobody", "FILE"],
    ],
    "version": [
        ["predict", "somebody@9", "FILE"],
        ["rollback", "somebody", "--to", "9", "--reason", "why"],
        ["report", "somebody@9"],
        ["report", "somebody@stable"],
        ["compare", "somebody@9", "somebody@9"],
        ["promote", "somebody@9", "--reason", "why"],
        ["rebase", "somebody@9"],
        ["retract", "somebody@9"],
        ["export", "somebody@9"],
    ],
    "batch": [
        ["learn", "somebody", "bat_0661051f1e3c4b"],
        ["learn", "somebody", "nosuch"],
        ["correct", "somebody", "bat_0661051f1e3c4b", "--row", "0=apple", "--reason", "why"],
        ["correct", "somebody", "nosuch", "--take-out", "0", "--reason", "why"],
        ["correct", "somebody", "nosuch", "--suspects"],
        ["retract", "somebody", "bat_0661051f1e3c4b", "--reason", "why"],
        ["retract", "somebody", "nosuch", "--reason", "why"],
    ],
    "update": [["retry", "upd_0661051f1e3c4b"], ["retry", "nosuch"]],
    "class": [["delete-class", "somebody", "fig", "--yes"]],
}
"""Commands that name a model, version, batch, update or class that is not there."""
WITHOUT_MODEL = {"demo", "serve", "init", "models", "methods", "settings", "doctor"}
"""Verbs of these groups that name nothing that could be missing; `init` makes what it names."""


def test_every_verb_of_a_model_is_in_the_table() -> None:
    named = {command[0] for commands in NOBODY.values() for command in commands}
    verbs = {verb for group in ("First hour", "Look", "Decide") for verb in VERBS[group]}
    assert verbs - WITHOUT_MODEL == named


def test_what_is_not_there_is_an_error_and_no_wrong_usage(tsuika: Tsuika, tmp_path: Path) -> None:
    file = save(tmp_path / "rows.csv", rows(["apple", "pear"], 20))
    assert tsuika("init", "somebody", file).code == 0
    codes = {}
    for kind, commands in NOBODY.items():
        for command in commands:
            ended = tsuika(*(file if part == "FILE" else part for part in command))
            codes[kind, " ".join(command)] = ended.code
            assert ended.out == "", command
            assert ended.err.strip(), command
            assert "/v1/" not in ended.err, ended.err
    assert {command: code for command, code in codes.items() if code != ERROR} == {}


def test_a_command_that_cannot_be_read_is_wrong_usage() -> None:
    for command in (["push", "nobody"], ["report", "nobody@latest"], ["retry"], ["batches", "nobody", "-n", "0"]):
        with pytest.MonkeyPatch.context() as away:
            away.setenv("TSUIKA_URL", "http://127.0.0.1:9")
            assert main(command) == 2, command
