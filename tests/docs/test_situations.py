"""The pages by situation do what they say: every command of theirs is run, in order, against a real service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.newcomer import Newcomer, sitting
from tests.docs.typed import SITUATIONS, page

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Newcomer]:
    with sitting(tmp_path_factory.mktemp("situations"), migrated) as newcomer:
        newcomer.types("sh", "tsuika serve")
        yield newcomer


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_situation_ends_as_its_page_says(newcomer: Newcomer, name: str) -> None:
    assert sum(language == "sh" for language, _, _ in newcomer.follows(page(name))) > 0
