"""docs/terminal.md cannot lie: what it types is typed, against a real service, and prints what stands there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import pytest

from service.cli import main
from service.cli.app import VERBS
from service.client import Client
from tests.running import ROOT, Server

PAGE = (ROOT / "docs" / "terminal.md").read_text()
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```", re.M | re.S)
NAME = "handwritten"
"""What the model is called here: another test has its own "digits" in this service."""
CODE = re.compile(r"\(exit code (\d+)\)")
CHANGES = re.compile(r"(bat|upd|key)_\w+|[−+±]?\d+([.,:-]\d+)*|[-−+±] *#|━+|#")


def commands(block: str) -> Iterator[tuple[str, list[str], int]]:
    """What is typed, the lines that are printed then, and the exit code."""
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
        typed, _, rest = part.partition("\n")
        code = CODE.search(rest)
        yield typed, [line for line in CODE.sub("", rest).splitlines() if line.strip()], int(code[1]) if code else 0


def alike(line: str) -> str:
    """A line without what differs from run to run: numbers, ids, lengths of bars, spaces."""
    return " ".join(CHANGES.sub("", line).split())


@pytest.mark.long
def test_what_is_typed_prints_what_stands_there(
    shared: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TSUIKA_URL", shared.url)
    for language, text in BLOCK.findall(PAGE):
        if language == "python":
            exec(text, {})
            continue
        for typed, due, code in commands(text.replace("digits", NAME)):
            assert main(shlex.split(typed)[1:]) == code, (typed, capsys.readouterr())
            printed = capsys.readouterr()
            lines = iter([*map(alike, printed.err.splitlines()), *map(alike, printed.out.splitlines())])
            for line in due:
                assert alike(line) in lines, (typed, line, printed)


@pytest.mark.long
def test_doctor_says_what_stands_there_of_a_service_with_keys(
    tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    block = re.search(r"^```text\n\$ tsuika doctor\n(.*?)^```", PAGE, re.M | re.S)
    assert block is not None
    with Server(tmp_path, migrated=migrated, key="of-the-operator", worker=False) as server:
        with Client(server.url, "of-the-operator") as operator:
            operator.create_model("wine", {"kind": "vector", "size": 2})
            until = f"{date.today().year + 1}-12-31T00:00:00Z"
            key = {"name": "till", "scopes": ["predict", "learn"], "models": ["wine", "team-a-*"], "expires_at": until}
            made = httpx.post(
                f"{server.url}/v1/keys", json=key, headers={"Authorization": "Bearer of-the-operator"}, timeout=60
            )
        monkeypatch.setenv("TSUIKA_URL", server.url)
        monkeypatch.setenv("TSUIKA_KEY", made.raise_for_status().json()["secret"])
        assert main(["doctor"]) == 0
    shown, printed = (re.sub(r"tsuika_\w+", "tsuika_", text) for text in (block[1], capsys.readouterr().out))
    assert [*map(alike, printed.splitlines())] == [*map(alike, shown.splitlines())]


def test_the_page_names_each_verb() -> None:
    assert [name for verbs in VERBS.values() for name in verbs if f"`tsuika {name}" not in PAGE] == []
