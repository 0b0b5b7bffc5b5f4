"""The Japanese README follows the English one: as many headings, the same commands, links to the same pages."""

from __future__ import annotations

import re

from tests.docs.newcomer import BLOCK
from tests.running import ROOT

ENGLISH, JAPANESE = ((ROOT / name).read_text() for name in ("README.md", "README.ja.md"))


def test_it_has_the_same_commands_and_answers() -> None:
    assert BLOCK.findall(JAPANESE) == BLOCK.findall(ENGLISH)


def test_it_has_the_same_headings_and_links() -> None:
    for pattern in (r"^#+ ", r"^\*\*", r"\]\(([^)]+)\)"):
        english, japanese = (re.findall(pattern, BLOCK.sub("", text), re.M) for text in (ENGLISH, JAPANESE))
        assert [word for word in japanese if word != "README.md"] == [
            word for word in english if word != "README.ja.md"
        ]
