"""The pages by situation do what they say: every command of theirs is run, in order, against a real service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.newcomer import BLOCK, Newcomer, serving
from tests.running import ROOT

pytestmark = pytest.mark.long
SITUATIONS = (
    "new-classes",
    "drift",
    "regions",
    "few-rows",
    "images-and-texts",
    "bad-batch",
    "deletion",
    "not-enrolled",
)

REFERENCE = ("tables", "numbers")
"""Pages whose commands are run, and whose other blocks show bodies and answers of other calls."""


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Newcomer]:
    with serving(tmp_path_factory.mktemp("situations"), ".venv/bin/tsuika serve", migrated) as newcomer:
        yield newcomer


@pytest.mark.parametrize("page", SITUATIONS)
def test_a_situation_ends_as_its_page_says(newcomer: Newcomer, page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    assert sum(language == "sh" for language, _, _ in newcomer.follows(text)) > 0


@pytest.mark.parametrize("page", REFERENCE)
def test_the_commands_of_a_page_of_reference_run(newcomer: Newcomer, page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    printed = [answer for _, _, answers in newcomer.follows(text, compare=False) for answer in answers]
    assert printed
    assert not any(isinstance(answer, dict) and answer.get("status") for answer in printed), "a call was refused"


def test_upkeep_is_done_as_its_page_says(newcomer: Newcomer) -> None:
    """Of this machine: a backup that becomes an installation, then checks and garbage."""
    page = (ROOT / "docs" / "upkeep.md").read_text()
    for folder, here in (("/backup", "backup"), ("/new", "new"), ("/old/", "tsuika-data/")):
        page = page.replace(f" {folder}", f" ./{here}").replace(f"={folder}", f"=./{here}")
    check, copy, _, garbage = [text for language, text in BLOCK.findall(page) if language == "sh"]
    for commands in (copy, check, garbage):
        newcomer.types("sh", commands)
    assert (newcomer.folder / "new" / "tsuika.db").exists()


def test_keys_are_asked_for_once_there_is_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    page = (ROOT / "docs" / "keys.md").read_text().split("## ")[0]
    with serving(tmp_path_factory.mktemp("keys"), ".venv/bin/tsuika serve") as newcomer:
        lines = [str(line) for _, _, printed in newcomer.follows(page) for line in printed]
    assert any(line.startswith("As it was written: ") for line in lines)
