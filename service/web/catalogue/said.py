"""Sentences that the service says in English alone, in another language: found by the pattern that each was made of.

`said.LANGUAGE.toml` has pairs. The English pattern has {name} for what varies, {rest} for sentences that are
said in the same way, {other} for those that need not be, and [one|other] where a word varies that means the same. What
no pattern fits stays English.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

FOLDER = Path(__file__).parent
VARIES = re.compile(r"\[([^\[\]|]*)\|([^\[\]|]*)\]")
PLACE = re.compile(r"\{([a-z]+)\}")
REST, OTHER = "rest", "other"
"""Places of whole sentences; no other place holds the end of one."""
NAMES = re.compile(r'"[^"]*"(?:, "[^"]*")*(?: and "[^"]*")?')
"""Names in quotes, as the service lists them."""
MORE = re.compile(r'(.*") and ([\d,]+) more')
"""The first of many names."""
LONGEST, MOST = 4000, 12
"""Characters and sentences of what is looked up; what is longer stays English."""
SENTENCES = re.compile(r"(?<=[.?!]) (?=\S)")


@dataclass(frozen=True)
class Pattern:
    """literals: what stands before, between and after the `names` of what varies · said: the sentence."""

    literals: tuple[str, ...]
    names: tuple[str, ...]
    said: str

    @classmethod
    def of(cls, english: str, said: str) -> Iterator[Pattern]:
        """One for each choice of words."""
        pieces = VARIES.split(english)
        fixed, choices = pieces[::3], zip(pieces[1::3], pieces[2::3], strict=True)
        for chosen in product(*choices):
            text = "".join(part for pair in zip(fixed, (*chosen, ""), strict=True) for part in pair)
            parts = PLACE.split(text)
            yield cls(tuple(parts[::2]), tuple(parts[1::2]), said)

    def figures(self, sentence: str) -> dict[str, str] | None:
        """What stands in the places of the sentence, the least that may; None where it is of another pattern."""
        first, *between = self.literals
        if not between:
            return {} if sentence == first else None
        if not sentence.startswith(first):
            return None
        values, at = list[str](), len(first)
        for k, literal in enumerate(between):
            last = k == len(between) - 1
            end = len(sentence) - len(literal) if last else sentence.find(literal, at + 1)
            if end <= at or not sentence.endswith(literal if last else ""):
                return None
            values.append(sentence[at:end])
            at = end + len(literal)
        figures = dict(zip(self.names, values, strict=True))
        ends = (SENTENCES.search(value) for name, value in figures.items() if name not in (REST, OTHER))
        return None if any(ends) else figures


@cache
def patterns(language: str) -> list[Pattern]:
    """Those of a beginning and a rest come first, then those with most words of their own: one for everything of a kind
    comes last."""
    pairs: Mapping[str, str] = tomllib.loads((FOLDER / f"said.{language}.toml").read_text())
    made = [pattern for english, said in pairs.items() for pattern in Pattern.of(english, said)]
    return sorted(made, key=lambda pattern: (REST not in pattern.names, -sum(map(len, pattern.literals))))


def said(sentence: str, language: str) -> str:
    """What the service said, in that language; "" where nothing is known to say all of it."""
    if len(sentence) > LONGEST:
        return ""
    pieces = SENTENCES.split(sentence)
    spoken, at = list[str](), 0
    while at < len(pieces) <= MOST:
        for end in range(len(pieces), at, -1):
            if one := _one(" ".join(pieces[at:end]), language):
                spoken.append(one)
                at = end
                break
        else:
            return ""
    return "".join(spoken)


def _one(sentence: str, language: str) -> str:
    for pattern in patterns(language):
        figures = pattern.figures(sentence)
        if figures is None:
            continue
        if REST in figures:
            figures[REST] = said(figures[REST], language)
            if not figures[REST]:
                continue
        spoken = pattern.said.format(**{name: _listed(value) for name, value in figures.items()})
        return spoken.replace("」 ", "」").replace(" 「", "「")
    return ""


def _listed(value: str) -> str:
    """Names in quotes as Japanese quotes them; all else as it is."""
    if many := MORE.fullmatch(value):
        return f"{_listed(many[1])}ほか {many[2]} 個"
    if not NAMES.fullmatch(value):
        return value
    return value.replace('", "', "」、「").replace('" and "', "」と「").replace('"', "「", 1)[:-1] + "」"
