"""Pages that are made from code say what the code says today."""

from __future__ import annotations

import pytest

from tests.docs.pages import COMMAND, PAGES, text_of
from tests.running import ROOT


@pytest.mark.parametrize("path", PAGES)
def test_a_made_page_is_as_the_code_has_it(path: str) -> None:
    assert (ROOT / path).read_text() == text_of(path), f"{path} is stale. Renew it: {COMMAND}"
