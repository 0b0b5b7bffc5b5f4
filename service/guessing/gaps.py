"""Which words stand where nothing is known: one rule for the terminal, the client and the pages, that is said."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.contract.names import LONGEST_NAME, has_unseen
from service.guessing.column_facts import ColumnFacts, input_of

TAKEN = '"{word}" in {columns} is taken for a gap: nothing is known there.'
WIDE = 'Full-width digits in {columns} are read as numbers, as in "{cell}".'
Look = Callable[[Collection[str]], dict[str, ColumnFacts]]
"""Looks at all rows: what each column holds, where these words stand for nothing."""


@dataclass(frozen=True)
class Looked:
    """facts: what each column holds · gaps: words that stand where nothing is known -> the columns that have them ·
    guessed: columns of numbers in which other words stand, a guess -> these words · wide: columns of numbers or dates
    in full-width digits -> a cell that has such"""

    facts: dict[str, ColumnFacts]
    gaps: Mapping[str, Sequence[str]] = field(default_factory=dict)
    guessed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    wide: Mapping[str, str] = field(default_factory=dict)

    def sentences(self, quoted: Callable[[Sequence[str]], str]) -> list[str]:
        """What is taken for a gap, a sentence a word, and for numbers or dates."""
        wide = [WIDE.format(columns=quoted([*self.wide]), cell=cell) for cell in [*self.wide.values()][:1]]
        return [*(TAKEN.format(word=word, columns=quoted(names)) for word, names in self.gaps.items()), *wide]


def look_through(
    look: Look,
    labels: Callable[[Mapping[str, ColumnFacts]], Sequence[str]],
    categories: Collection[str] = (),
    of_classes: bool = False,
) -> Looked:
    """Looks at rows, and once more where words in columns of numbers are taken for gaps. labels: which columns hold
    labels or targets; beside numbers that are no target a word is the name of a class, and none is taken for a gap.
    categories: columns that are such. of_classes: somebody says that labels are names of classes, all of them."""
    first = facts = look(())
    named = labels(facts)
    classes = {name for label in named if of_classes or facts[label].strange is None for name in _names(facts[label])}
    guessed = {name: _phrases(fact, classes) for name, fact in facts.items() if name not in categories}
    guessed = {name: phrases for name, phrases in guessed.items() if phrases}
    words = dict.fromkeys(word for phrases in guessed.values() for word in phrases)
    if words:
        facts = look([*words])
    inputs = {name: fact for name, fact in facts.items() if name not in named}
    looked_at = named if inputs and input_of(inputs)["kind"] == "text" else facts
    words |= dict.fromkeys(word for name in looked_at for word in facts[name].refused if word not in classes)
    gaps = {word: [name for name in looked_at if first[name].says(word)] for word in words}
    names = {name for name in named if of_classes or not facts[name].measures}
    return Looked(facts, gaps, guessed, wide_in({name: fact for name, fact in facts.items() if name not in names}))


def wide_in(facts: Mapping[str, ColumnFacts]) -> dict[str, str]:
    """Columns of numbers or dates some of which are in full-width digits -> the first that is."""
    return {name: fact.wide for name, fact in facts.items() if fact.wide and (fact.numbers or fact.dates)}


def remembering(spec: Mapping[str, Any], *words: Collection[str]) -> dict[str, Any]:
    """The input of a model that remembers these words where it is a table, since others have no gaps."""
    known = [*dict.fromkeys(word for some in words for word in some)]
    return {**spec, "gaps": known} if known and spec["kind"] == "table" else {**spec}


def _names(label: ColumnFacts) -> list[str]:
    """What may be names of classes in a column of labels."""
    return [*label.values, *(word for word in label.words if word not in label.refused)]


def _phrases(fact: ColumnFacts, classes: Collection[str]) -> list[str]:
    """What a column says in the place of numbers, as far as a model can remember it."""
    return [w for w in fact.phrases if w not in classes and len(w) <= LONGEST_NAME and not has_unseen(w)]
