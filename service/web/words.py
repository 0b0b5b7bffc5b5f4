"""Sentences of pages in English and Japanese: one catalogue a language, `catalogue/LANGUAGE.toml`.

A key names a sentence with placeholders in braces, as `str.format` has them. Where the count `n` changes the words, a
key names a table of `one` and `other`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

from service.contract import figures
from service.contract.figures import amount
from service.errors import KINDS
from service.remedies import Door, worded
from service.web.catalogue.said import said

LANGUAGES = {"en": "English", "ja": "日本語"}
"""What they call themselves, by their code."""
OWN = "en"
"""The language of the service."""
FOLDER = Path(__file__).parent / "catalogue"

Sentence = str | Mapping[str, str]
PLURAL = {"one", "other"}
SPACE = "\N{NO-BREAK SPACE}"
SMALL = 0.001
"""A smaller chance is as good as none to people."""
MANY = 8
"""More names than this are counted, not listed."""


@cache
def catalogue(language: str) -> dict[str, Sentence]:
    """Sentences by their key, "model.title"."""
    return dict(_flat(tomllib.loads((FOLDER / f"{language}.toml").read_text())))


def _flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Sentence]]:
    return [
        pair
        for name, value in table.items()
        for pair in (
            [(prefix + name, value)]
            if isinstance(value, str) or PLURAL.issuperset(value)
            else _flat(value, f"{prefix}{name}.")
        )
    ]


class Words:
    """The sentences of one language: `words("models.live", version=3)`."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._sentences = catalogue(language)

    def __call__(self, key: str, /, **values: Any) -> str:
        """The sentence of a key; a list of names becomes "8 and 9"."""
        sentence = self._sentences[key]
        if not isinstance(sentence, str):
            sentence = sentence["one" if values["n"] == 1 and "one" in sentence else "other"]
        shown = {name: self.listed(value) if isinstance(value, list) else value for name, value in values.items()}
        return sentence.format(**shown)

    def __contains__(self, key: str) -> bool:
        """Whether the catalogue has a sentence of that key."""
        return key in self._sentences

    def takes(self, key: str) -> set[str]:
        """Names of the placeholders of a sentence that has no plural."""
        return {name for _, name, _, _ in Formatter().parse(str(self._sentences[key])) if name}

    def refusal(self, slug: str) -> str:
        """What a refusal of that kind means, and what helps."""
        return self(f"refusal.{slug}") if f"refusal.{slug}" in self else self("refusal.error")

    def failure(self, title: str) -> str:
        """What the title of an update's error means: that of a kind of error, which has a sentence."""
        slug = next((slug for slug, kind in KINDS.items() if kind.title == title), "learning-failed")
        return self.refusal(slug)

    def lacks(self, scopes: Sequence[Sequence[str]]) -> str:
        """What a key may not do. scopes: of each call, those of which one is enough."""
        each = [self.either(of) for of in scopes]
        return self("frame.lacks", n=len(each), scopes=self.listed(each))

    def either(self, names: Sequence[str]) -> str:
        """["learn", "promote"] -> "learn or promote"."""
        return self("list.either").join(names)

    def named(self, kind: str, name: str) -> str:
        """What a rule or a phase (`kind`) is called: its own name where a newer service has one that we do not know."""
        return self.own(f"{kind}.{name}", name)

    def done(self, phase: str, done: int, total: int) -> str:
        """How far a phase is, of what it counts; in steps where that has no name."""
        unit = phase if f"done.{phase}" in self else "steps"
        return self(f"done.{unit}", done=done, total=total)

    def own(self, key: str, sentence: str) -> str:
        """The sentence of a key; where the catalogue has none, as that of English has, the service's own."""
        return self(key) if key in self else sentence

    def said(self, sentence: str) -> str:
        """What the service said in its own language, in this one; "" where there are no words for it."""
        return worded(sentence, Door.PAGE) if self.language == OWN else said(sentence, self.language)

    def figure(self, value: float, limit: float | None) -> str:
        """`plain`; what is nearly nothing as less than a thousandth, or than a `limit` that is smaller still."""
        least = min(SMALL, abs(limit or SMALL))
        return self("figure.less", limit=plain(least)) if 0 < value < least else plain(value)

    def listed(self, names: Sequence[str]) -> str:
        """["8", "9"] -> "8 and 9"; many names are counted."""
        if len(names) > MANY:
            return self("list.many", n=len(names))
        if len(names) < 2:
            return "".join(names)
        return self("list.two", first=self("list.comma").join(names[:-1]), last=names[-1])


def spoken(wishes: Sequence[str | None]) -> str:
    """The first language that is wished for and that we speak, else English."""
    return next((wish for wish in wishes if wish in LANGUAGES), "en") or "en"


def accepted(header: str) -> list[str]:
    """ "ja-JP;q=0.8, en" -> ["en", "ja"]: the languages of Accept-Language, the most wanted first."""
    weighed = []
    for place, wish in enumerate(header[:500].split(",")):
        name, _, weight = wish.strip().partition(";q=")
        try:
            weighed.append((-float(weight or 1), place, name.partition("-")[0].lower()))
        except ValueError:
            continue
    return [name for weight, _, name in sorted(weighed) if weight]


def percent(share: float) -> str:
    """0.974 -> "97.4 %"."""
    return figures.percent(share).replace(" ", SPACE)


def round_percent(share: float) -> str:
    """0.95 -> "95 %", for the ticks of an axis."""
    return f"{round(100 * share, 2):g}{SPACE}%"


def round_amount(value: float) -> str:
    """1.5 -> "1.5", for the ticks of an axis, which are round."""
    return amount(value) if abs(value) >= 100 else f"{value:.3g}".replace("-", "−", int(value < 0))


def plain(value: float) -> str:
    """`amount`; what is small without a power of ten: 1.2e-5 -> "0.000012"."""
    return f"{Decimal(f'{value:.3g}'):f}".replace("-", "−") if 0 < abs(value) < SMALL else amount(value)


def moment(at: datetime) -> str:
    """The time as all readers of a page share it: "2026-11-30 11:42 UTC"."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
