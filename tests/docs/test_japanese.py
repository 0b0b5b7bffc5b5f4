"""The Japanese README follows the English one: as many headings, the same commands, links to the same pages, and
paragraph by paragraph the same lists, tables and code."""

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


def paragraphs(text: str) -> list[tuple[int, int, set[str]]]:
    """Of each paragraph how many items and lines of a table it has, and what is written as code."""
    text = re.sub(r"^(#+ .*)$", r"\n\1\n", BLOCK.sub("\n\n", text).replace("列名", "COLUMN"), flags=re.M)
    return [
        (len(re.findall(r"^- ", part, re.M)), len(re.findall(r"^\|", part, re.M)), {*re.findall(r"`[^`\n]+`", part)})
        for part in re.split(r"\n\s*\n", text)
        if part.strip()
    ]


def test_it_has_the_same_paragraphs_with_the_same_lists_tables_and_code() -> None:
    for japanese, english in zip(paragraphs(JAPANESE), paragraphs(ENGLISH), strict=True):
        assert japanese == english
