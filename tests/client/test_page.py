"""The page on Python cannot lie: its snippets are run, in order, against a service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import tsuika
from service.client.errors import ClientError
from tests.cli.test_terminal_page import alike
from tests.client.conftest import KEY
from tests.running import ROOT

PAGE = (ROOT / "docs" / "client.md").read_text()


@pytest.mark.long
def test_the_snippets_run_as_they_stand(
    service_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # one of them writes a file
    monkeypatch.setenv("TSUIKA_URL", service_url)
    monkeypatch.setenv("TSUIKA_KEY", KEY)
    names: dict[str, Any] = {}
    printed = guessed = ""
    for language, text in re.findall(r"^```(python|text)\n(.*?)^```", PAGE, re.M | re.S):
        if language == "python":
            exec(compile(text, "docs/client.md", "exec"), names)
            said, noted = capsys.readouterr()
            printed, guessed = printed + said, guessed + noted
        else:
            assert [*map(alike, said.splitlines())] == [*map(alike, text.splitlines())]
    assert "New model digits: rows of 64 numbers; predicts classes." in guessed
    assert "● Live: version 2. It knows 8 and 9;" in printed
    assert "Rejected: the labels look shuffled." in printed


def test_every_error_is_in_the_table() -> None:
    errors = {
        name
        for name in tsuika.__all__
        if isinstance(getattr(tsuika, name), type) and issubclass(getattr(tsuika, name), ClientError)
    }
    listed = set(re.findall(r"`(\w+)`", PAGE.partition("## Errors")[2].partition("All are")[0]))
    assert errors - {"ClientError", "Refused"} <= listed
