"""The words behind each call of a program, in every page."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from tests.docs.newcomer import BLOCK
from tests.docs.typed import DOCS, EVERY, PLACES

TEXTS = {name: (DOCS / f"{name}.md").read_text() for name in EVERY}


def programs(name: str) -> Iterator[list[str]]:
    """The words behind each call of a program of a page, in blocks and in `code`; places that are named are filled."""
    for text in TEXTS.values():
        spans = [code.replace("\n", " ") for code in re.findall(r"`([^`]+)`", BLOCK.sub("", text))]
        lines = [*re.sub(r" *\\\n *", " ", text).splitlines(), *spans]
        for part in (part for line in lines for part in line.split(" && ")):
            if found := re.match(rf"(?:\$ | {{4}})?(?:\w+=\w+ )?(?:\.venv/bin/)?{name} ([^`]+)", part):
                words = re.sub(r" [ #].*|(?<= )\[|\](?= |$)|,?\.\.\.|\|\w+", "", found[1])
                for there, here in (PLACES | {" N": " 1"}).items():
                    words = words.replace(there, here)
                yield shlex.split(words)
