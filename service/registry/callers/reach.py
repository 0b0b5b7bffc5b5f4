"""The models that exist for a key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from sqlalchemy import ColumnElement, or_
from sqlalchemy.orm import InstrumentedAttribute

ANY_ENDING = "*"
"""At the end of a word it stands for the rest of the name."""
LAST = "\U0010ffff"
"""Comes behind every character that a name may have."""


@dataclass(frozen=True)
class Reach:
    """Models by name, and all whose names have one of these beginnings, be they there already or not."""

    names: frozenset[str] = frozenset()
    beginnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, words: Iterable[str]) -> Self:
        """What a key lists: names, and beginnings as `team-a-*`."""
        listed = list(words)
        beginnings = tuple(word.removesuffix(ANY_ENDING) for word in listed if word.endswith(ANY_ENDING))
        return cls(frozenset(word for word in listed if not word.endswith(ANY_ENDING)), beginnings)

    def __contains__(self, name: str) -> bool:
        return name in self.names or name.startswith(self.beginnings)

    def __str__(self) -> str:
        return ", ".join(sorted(self.names) + [f"{beginning}{ANY_ENDING}" for beginning in self.beginnings])

    def holds(self, name: InstrumentedAttribute[str]) -> ColumnElement[bool]:
        """Whether a column of names has one of them."""
        ranges = [(name >= beginning) & (name < beginning + LAST) for beginning in self.beginnings]
        return or_(name.in_(sorted(self.names)), *ranges)
