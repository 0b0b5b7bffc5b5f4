"""Near matches of a typo: the name that was meant, whatever the vocabulary, in a bounded number of steps."""

from __future__ import annotations

import random
from difflib import SequenceMatcher, get_close_matches

import pytest

from service.intake import near
from service.intake.near import STEPS, near_matches

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def typo(word: str, chance: random.Random) -> str:
    """A word with one letter left out, put in, changed, or swapped."""
    k, letter = chance.randrange(1, len(word)), chance.choice(LETTERS)
    before, behind = word[:k], word[k:]
    return chance.choice(
        [before + behind[1:], before + letter + behind, before + letter + behind[1:], swapped(word, k)]
    )


def swapped(word: str, k: int) -> str:
    return word[: k - 1] + word[k] + word[k - 1] + word[k + 1 :]


def words(count: int, chance: random.Random, letters: str = LETTERS, shortest: int = 5, longest: int = 14) -> list[str]:
    return ["".join(chance.choices(letters, k=chance.randint(shortest, longest))) for _ in range(count)]


def test_of_a_usual_vocabulary_it_finds_what_difflib_finds() -> None:
    chance = random.Random(0)
    known = words(300, chance)
    unknown = [typo(word, chance) for word in known[:10]]
    assert near_matches(unknown, known) == {name: get_close_matches(name, known, 3, 0.7) for name in unknown}


def test_another_word_is_not_near_and_a_slip_in_three_letters_is() -> None:
    near = near_matches(["models", "student", "aeg", "helpp"], ["desk", "resident", "age", "help"])
    assert near == {"models": [], "student": [], "aeg": ["age"], "helpp": ["help"]}


@pytest.mark.parametrize(
    ("slip", "known", "near"),
    [
        ("桃", ["桜", "犬", "魚", "松"], ["桜", "松"]),
        ("犬", ["大", "猫", "桜"], ["猫"]),
        ("海", ["桜", "犬"], []),
        ("e", ["é", "a"], ["é"]),
        ("ne", ["né", "no"], ["né"]),
        ("東京部", ["東京都", "大阪府"], ["東京都"]),
        ("桜桃", ["桜花", "紅梅", "梅"], ["桜花"]),
        ("紅葉", ["桜花", "桃"], []),
        ("ネゴ", ["イヌ", "ネコ"], ["ネコ"]),
        ("さば", ["さけ", "さは"], ["さは"]),
        ("강", ["감", "말"], ["감"]),
        ("ab", ["ac"], []),
    ],
)
def test_a_slip_in_a_short_name_of_ideographs_or_syllables_is_near(
    slip: str, known: list[str], near: list[str]
) -> None:
    assert near_matches([slip], known) == {slip: near}


def test_what_differs_in_case_alone_is_the_nearest() -> None:
    assert near_matches(["PARIS"], ["Parish", "Lyon", "Paris"]) == {"PARIS": ["Paris", "Parish"]}
    many = [*words(10_000, random.Random(0)), "Paris"]
    assert near_matches(["PARIS", "paris"], many)["PARIS"][0] == "Paris"
    assert near_matches(["stra\u00dfe"], ["STRASSE"]) == {"stra\u00dfe": ["STRASSE"]}


def test_of_ten_thousand_names_each_typo_is_told_with_what_was_meant() -> None:
    chance = random.Random(0)
    known = words(10_000, chance)
    meant = known[:10]
    unknown = [typo(word, chance) for word in meant]
    near = near_matches(unknown, known)
    assert [near[name][0] for name in unknown] == meant


@pytest.mark.parametrize("letters", ["ab", LETTERS])
def test_its_steps_are_bounded(monkeypatch: pytest.MonkeyPatch, letters: str) -> None:
    """Ten names of 199 letters against ten thousand, one letter's change from some, or all made of the same two."""
    chance, steps = random.Random(0), 0

    class Counting(SequenceMatcher[str]):
        def ratio(self) -> float:
            nonlocal steps
            steps += len(self.a) * len(self.b)
            return super().ratio()

    monkeypatch.setattr(near, "SequenceMatcher", Counting)
    known = words(10_000, chance, letters, 199, 199)
    matches = near_matches([typo(word, chance)[:199] for word in known[:10]], known)
    assert 0 < steps <= 2 * STEPS
    if letters == LETTERS:
        assert [names[0] for names in matches.values()] == known[:10]
