"""Each remedy has words at each door, which are those of calls, methods and verbs that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from service.cli.app import VERBS
from service.client import Client, RemoteModel
from service.contract.keys import SCOPES
from service.remedies import DELETE_CLASS, LEARN, PROMOTE, REMEDIES, UNKNOWN, Door, Remedy, found, listed, worded
from service.web.words import Words

SERVICE = Path(__file__).parents[1] / "service"
VALUES = {
    "model": "digits",
    "version": 3,
    "batch": "bat_1",
    "batches": listed(["bat_1", "bat_2"]),
    "dispute": "dis_1",
    "name": "a/4, b",
    "what": "move",
    "one": ",",
    "other": ";",
    "mark": ",",
    "word": "no data",
    "column": "house no",
}
BY_HAND = re.compile(
    r"\b(?:POST|PUT|PATCH|DELETE) (?:/v1/\S*$|\{|\.\.\.)|\bGET /v1/\S*$|\"(?:expect|erase|new_classes)\": "
    r"|\b(?:gaps|leave_out|decimal|delimiter|dates|encoding|target)=\""
)
"""What a sentence that is made of values says of a call, or of a member of a body."""
OWN_DOORS = ("client", "cli", "web")


def places(words: str) -> dict[str, object]:
    return {name: VALUES[name] for name in re.findall(r"<(\w+)>", words)}


def each(remedy: Remedy) -> str:
    return f"{remedy.do}: {remedy.http}"


@pytest.mark.parametrize("remedy", REMEDIES, ids=each)
def test_a_remedy_is_found_as_data_in_its_own_words_and_said_at_each_door(remedy: Remedy) -> None:
    values = places(remedy.http)
    said = {name: str(value) for name, value in values.items()}
    http, python = (remedy.said(said, door) for door in (Door.HTTP, Door.PYTHON))
    assert remedy(**values) == http
    for words in (http, python):
        [one] = found(f"Something is wrong: {words}. Nothing was stored.")
        assert (one.remedy.do, one.text) == (remedy.do, words)
        assert one.values == {name: said[name] for name in places(remedy.python if words is python else remedy.http)}
    for door in Door:
        sentence = f"It is wrong. Do it: {http}."
        assert worded(sentence, door) == f"It is wrong. Do it: {remedy.said(said, door)}."
    assert worded(worded(http, Door.PYTHON), Door.TERMINAL) == worded(http, Door.TERMINAL), "of a refusal of the client"
    assert Words("en").said(http) == remedy.said(said, Door.PAGE)


@pytest.mark.parametrize("remedy", REMEDIES, ids=each)
def test_the_words_of_a_door_name_what_is_there(remedy: Remedy) -> None:
    for method, path in re.findall(r"\b(GET|POST|DELETE)\b[^/]*(/v1/\S+)", remedy.http):
        routes = {re.sub(r"\{[^}]+\}", "<>", route): methods for route, methods in SCOPES.items()}
        assert method in routes[re.sub(r"<\w+>", "<>", path)]
    for call in re.findall(r"client\.(\w+)\((?!\"<model>)", remedy.python):
        assert callable(getattr(Client, call))
    for call in re.findall(r'model\("<model>"\)\.(\w+)\(', remedy.python):
        assert callable(getattr(RemoteModel, call))
    for words in (remedy.python, remedy.terminal, remedy.page):
        assert not re.search(r"\b(GET|POST|PUT|PATCH|DELETE)\b|\b(true|false|null)\b", words), "that is HTTP"
    for call in re.findall(r'model\("<model>"\)\.(\w+)\(', remedy.terminal + remedy.page):
        assert callable(getattr(RemoteModel, call))
    for verb in re.findall(r"tsuika ([\w-]+)", remedy.terminal):
        assert any(verb in group for group in VERBS.values())


def test_a_list_is_said_once_where_its_words_are_the_same() -> None:
    calls = ", ".join(DELETE_CLASS(model=UNKNOWN, name=name) for name in ("three", "a/4, b"))
    sentence = f"Remove the names, which would stay known ({calls})."
    assert "(see Classes)" in worded(sentence, Door.PAGE)
    assert "(tsuika delete-class digits three, tsuika delete-class digits 'a/4, b')" in worded(
        sentence, Door.TERMINAL, "digits"
    )
    assert "tsuika delete-class MODEL three" in worded(sentence, Door.TERMINAL)


def test_numbers_and_batches_are_data() -> None:
    sentence = f"{PROMOTE(model='digits', version=3)} or {LEARN(model='m', batches=listed(['bat_1']))}."
    assert [one.data() for one in found(sentence)] == [
        {"do": "promote", "text": PROMOTE(model="digits", version=3), "model": "digits", "version": 3},
        {"do": "learn", "text": LEARN(model="m", batches='["bat_1"]'), "model": "m", "batches": ["bat_1"]},
    ]


def test_a_sentence_without_a_remedy_stays_as_it_is() -> None:
    for sentence in ("", "POST it again.", 'There is no model "POST".', "Old: POST .../retractions."):
        assert [*found(sentence)] == []
        assert {worded(sentence, door) for door in Door} == {sentence}


def test_no_sentence_names_a_call_by_hand() -> None:
    """Else a terminal, Python and pages would show what is sent over HTTP."""
    named = list[str]()
    for path in SERVICE.rglob("*.py"):
        if path.relative_to(SERVICE).parts[0] in (*OWN_DOORS, "remedies.py"):
            continue
        tree = ast.parse(path.read_text())
        parts = (part for made in ast.walk(tree) if isinstance(made, ast.JoinedStr) for part in made.values)
        for part in parts:
            if isinstance(part, ast.Constant) and BY_HAND.search(said := str(part.value)):
                named.append(f"{path.relative_to(SERVICE)}:{part.lineno}: {said}")
    assert named == []
