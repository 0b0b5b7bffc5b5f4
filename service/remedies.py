"""What a sentence says to do, as data: a call with its model, version, batch ..., in the words of whoever reads it.

A sentence of the service holds a remedy as it is sent over HTTP: `PROMOTE(model="digits", version=3)` writes
'POST {"version": 3} to /v1/models/digits/deployments'. The words that wrote it find it again, in a stored sentence too:
`found` gives it as data, and `worded` says it as it is typed in a terminal, called in Python or found on a page. A new
remedy is one record of this file, with words for each of these doors.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import quote, unquote

UNKNOWN = "…"
"""Stands for the model where a sentence is made by what does not know its name."""
NO_NUMBER = "VERSION"
"""Stands for a version that the reader chooses."""
_PLACE = re.compile(r"(?P<before>.?)<(?P<name>\w+)>")
_HELD = {"version": rf"\d+|{NO_NUMBER}", "batches": r'"pending"|\[[^\]]*\]'}
_JSON = re.compile(r'\d+|"pending"|\[.*\]')
_HELD_BEHIND = {"/": r"[^\s/,)]*[^\s/,).]", '"': r'[^"]+'}
"""What a place holds, by its name, else by what stands before it: of a path, of a string; else words."""


REMEDIES: list[Remedy] = []
"""All of them, in the order of this file."""


class Door(StrEnum):
    """Where a sentence is read."""

    HTTP = "http"
    PYTHON = "python"
    TERMINAL = "terminal"
    PAGE = "page"


@dataclass(frozen=True)
class Remedy:
    """Something to do, and the words for it at each door, with <places> for what varies. What cannot be done at a door
    is said there with the door at which it can be."""

    do: str
    http: str
    python: str
    terminal: str
    page: str

    def __post_init__(self) -> None:
        REMEDIES.append(self)

    def __call__(self, **values: object) -> str:
        """What a sentence of the service says."""
        return self.said({name: str(value) for name, value in values.items()}, Door.HTTP)

    def said(self, values: dict[str, str], door: Door) -> str:
        """The words of a door."""

        def put(place: re.Match[str]) -> str:
            value = values[place["name"]]
            if place["before"] == "/":  # a point at the end would end the sentence
                value = value if value == UNKNOWN else re.sub(r"\.$", "%2E", quote(value, safe=""))
            elif door is Door.TERMINAL and place["before"] != "'":
                value = _typed(value)
            return f"{place['before']}{value}"

        return _PLACE.sub(put, getattr(self, door)).rstrip()

    def read(self, text: str) -> dict[str, str]:
        """The values in words that are those of HTTP or of Python. Raises ValueError for any others."""
        for words in (self.http, self.python):
            if (places := re.fullmatch(_pattern(words), text)) is not None:
                return {name: unquote(value) for name, value in places.groupdict().items()}
        raise ValueError(text)


class Found(NamedTuple):
    """A remedy in a sentence, where it says `text`."""

    remedy: Remedy
    text: str
    values: dict[str, str]

    def data(self) -> dict[str, object]:
        """As a refusal tells it: numbers as numbers, batches as a list."""
        read = {name: json.loads(value) if _JSON.fullmatch(value) else value for name, value in self.values.items()}
        return {"do": self.remedy.do, "text": self.text, **read}


def found(sentence: str) -> Iterator[Found]:
    """The remedies that a sentence names, in their order."""
    for several in _LISTED.finditer(sentence):
        for place in _ONE.finditer(several[0]):
            remedy = REMEDIES[int((place.lastgroup or "")[1:])]
            yield Found(remedy, place[0], remedy.read(place[0]))


def worded(sentence: str, door: Door, model: str = UNKNOWN) -> str:
    """A sentence of the service with the words of that door in it; of a list that are the same, once. model: the one
    that is meant where the sentence does not say which."""

    def said(places: re.Match[str]) -> str:
        each = found(places[0])
        return ", ".join(dict.fromkeys(one.remedy.said(_of_model(one.values, door, model), door) for one in each))

    return _LISTED.sub(said, sentence)


NAMED = 3
"""More batches than this are not named in a sentence: they are counted."""


def listed(ids: Iterable[str]) -> str:
    """Batches by their ids, as a remedy names them."""
    return json.dumps(list(ids))


def _of_model(values: dict[str, str], door: Door, model: str) -> dict[str, str]:
    if values.get("model") != UNKNOWN:
        return values
    return {**values, "model": "MODEL" if (model, door) == (UNKNOWN, Door.TERMINAL) else model}


def _typed(value: str) -> str:
    """As arguments of a command: batches one after the other, and none for all that waits."""
    if value == '"pending"':
        return ""
    return " ".join(re.findall(r'"([^"]*)"', value)) if value.startswith("[") else shlex.quote(value)


def _pattern(words: str, named: bool = True) -> str:
    pieces, at = list[str](), 0
    for place in _PLACE.finditer(words):
        name, before = place["name"], place["before"]
        held = _HELD.get(name) or _HELD_BEHIND.get(before, ".+?")
        pieces += [re.escape(words[at : place.start()] + before), f"(?P<{name}>{held})" if named else f"(?:{held})"]
        at = place.end()
    return "".join([*pieces, re.escape(words[at:])])


_AT, _OF = "/v1/models/<model>", 'client.model("<model>").'
GAPS_FIELD = "into the field for words that mean an unknown value"

MAKE = Remedy(
    "make_model",
    'POST {"name": "<model>", "input": {...}} to /v1/models',
    'client.create_model("<model>", {...})',
    "tsuika init <model> FILE",
    "see “New model”",
)
MAKE_ALIKE = Remedy(
    "make_model",
    "make a model with its input",
    *["import it under a name that no model has: that makes one with its input"] * 3,
)
PROMOTE = Remedy(
    "promote",
    f'POST {{"version": <version>}} to {_AT}/deployments',
    f"{_OF}promote(<version>)",
    "tsuika promote <model>@<version>",
    "see its page",
)
REBASE = Remedy(
    "rebase",
    f'POST {{"version": <version>, "rebase": true}} to {_AT}/deployments',
    f"{_OF}rebase(<version>)",
    "tsuika rebase <model>@<version>",
    "see its page",
)
ROLL_BACK = Remedy(
    "roll_back",
    f'POST {{"to": <version>}} to {_AT}/rollback',
    f"{_OF}rollback(to=<version>)",
    "tsuika rollback <model> --to <version>",
    "see “Roll back…”",
)
RESTORE = Remedy(
    "restore", f"POST {_AT}/restore", f"{_OF}restore()", f"{_OF}restore() in Python", f"{_OF}restore() in Python"
)
LEARN = Remedy(
    "learn",
    f'POST {{"batches": <batches>}} to {_AT}/updates',
    f"{_OF}update(batches=<batches>)",
    "tsuika learn <model> <batches>",
    "see Batches",
)
SEND = Remedy(
    "send",
    f"POST rows to {_AT}/updates",
    f"{_OF}push(rows, labels)",
    "tsuika push <model> FILE",
    "see “Send a file…”",
)
MERGE = Remedy(
    "merge",
    f"POST the ledger to {_AT}/merges",
    f"{_OF}merge(ledger)",
    f"{_OF}merge(ledger) in Python",
    f"{_OF}merge(ledger) in Python",
)
CORRECT = Remedy(
    "correct",
    f"POST {_AT}/batches/<batch>/corrections",
    f'{_OF}correct("<batch>", {{...}})',
    "tsuika correct <model> <batch>",
    "see the page of the batch",
)
RETRACT = Remedy(
    "retract",
    f'POST {{"batches": <batches>}} to {_AT}/retractions',
    f"{_OF}retract(<batches>)",
    "tsuika retract <model> <batches>",
    "see its page",
)
ERASE = Remedy("erase", 'send "erase": true', "say erase=True", "say --erase", "choose “Erase it…”")
SETTLE = Remedy(
    "settle",
    f"POST {_AT}/disputes/<dispute>/settle",
    f'{_OF}settle_dispute("<dispute>", ...)',
    "see its page, /models/<model>/disputes/<dispute>",
    "see its page",
)
DELETE_CLASS = Remedy(
    "delete_class",
    f"DELETE {_AT}/classes/<name>",
    f'{_OF}delete_class("<name>")',
    "tsuika delete-class <model> <name>",
    "see Classes",
)
DECLARE = Remedy(
    "declare",
    f'POST {{"names": ["<name>"]}} to {_AT}/classes',
    f'{_OF}declare("<name>")',
    "say --new-classes <name>",
    "see Classes",
)
NEW_CLASSES, NEW_CLASSES_OF_FILE = (
    Remedy("new_classes", said, 'say new_classes="allow"', "say --new-classes", "tick them as new classes")
    for said in ('send "new_classes": "allow"', "send new_classes=allow, in the address: ?new_classes=allow")
)
IN_PYTHON = 'say new_values="take" in Python'
NEW_VALUES, NEW_VALUES_OF_FILE = (
    Remedy("new_values", said, 'say new_values="take"', IN_PYTHON, IN_PYTHON)
    for said in ('send "new_values": "take"', "add ?new_values=take to the address")
)
EXPECT = Remedy("expect", 'with "expect": "<what>"', 'with expect="<what>"', "with --expect <what>", "again as such")
LIST_VERSIONS = Remedy(
    "list_versions", f"GET {_AT}/versions", f"{_OF}versions()", "tsuika versions <model>", "the list of versions"
)
LIST_ALIASES = Remedy(
    "list_aliases", f"GET {_AT}/aliases", f"{_OF}aliases()", "tsuika versions <model>", "the list of versions"
)
REPORT_LISTS = Remedy(
    "list_new_values",
    "the report lists them (batch.new_values)",
    "the report lists them (batch.new_values)",
    "the report lists them with --json",
    "the report lists them",
)
LIST_KEYS = Remedy("list_keys", "GET /v1/keys", "tsuika keys list", "tsuika keys list", "the page of keys")

WITHOUT_BACKBONE = Remedy(
    "without_backbone",
    "Leave out the weights of a pretrained backbone, as GET .../weights does without whole=true",
    "Leave out the weights of a pretrained backbone, as weights() does without whole=True",
    "Leave out the weights of a pretrained backbone: tsuika export MODEL -o FILE.safetensors, without --whole",
    "Leave out the weights of a pretrained backbone, as tsuika export does without --whole",
)
WHOLE_FILE = Remedy(
    "whole_file",
    "Send the whole file, as GET .../weights?whole=true gives it",
    "Send the whole file, as weights(whole=True) gives it",
    "Take the whole file: tsuika export MODEL -o FILE.safetensors --whole, where the model is",
    "Take the whole file, as tsuika export --whole writes it",
)
SEND_KEY = Remedy(
    "send_key",
    "Send the header Authorization: Bearer and the key",
    'Set TSUIKA_KEY, or say Client(key="...")',
    "Set TSUIKA_KEY to one",
    "Sign in with one",
)

# How a file is read: Python says it as HTTP.


def _of_file(do: str, said: str, typed: str, chosen: str) -> Remedy:
    return Remedy(do, said, said, typed, chosen)


DELIMITERS = _of_file(
    "delimiter",
    'Say which: delimiter="<one>" or delimiter="<other>"',
    "Say which: --delimiter '<one>' or --delimiter '<other>'",
    "Choose here what parts cells",
)
DATES = _of_file(
    "dates",
    'Say which: dates="<one>" or dates="<other>"',
    "Say which: --dates '<one>' or --dates '<other>'",
    "Choose here what stands first",
)
DECIMALS = _of_file(
    "decimal",
    'decimal="<one>" or decimal="<other>"',
    "--decimal '<one>' or --decimal '<other>'",
    "a comma or a point",
)
NO_DELIMITER = _of_file(
    "delimiter", 'leave out delimiter="<mark>"', "leave out --delimiter '<mark>'", "choose nothing here"
)
DECIMAL = _of_file(
    "decimal", 'say decimal="<mark>"', "say --decimal '<mark>'", "choose <mark> as what decimals begin with"
)
ENCODING = _of_file(
    "encoding",
    'say how its letters are stored, such as encoding="<name>"',
    "say how its letters are stored, such as --encoding <name>",
    "choose here how its letters are stored",
)
GAPS = _of_file("gaps", 'say gaps="<word>"', "say --gaps <word>", f'write "<word>" {GAPS_FIELD}')
WHICH_TARGET = _of_file("target", 'say which, target="NAME"', "say which, --label NAME", "say which")
TARGET = _of_file("target", 'target="<column>"', "--label <column>", '"<column>"')
LEAVE_OUT_ANY = _of_file(
    "leave_out",
    'Leave out what is no input: leave_out="COLUMN"',
    "Leave out what is no input: --leave-out COLUMN",
    "Leave out what is no input",
)
LEAVE_OUT_INPUT = _of_file(
    "leave_out",
    'Leave out what is no input: leave_out="<column>"',
    "Leave out what is no input: --leave-out <column>",
    'Leave out what is no input, such as "<column>"',
)
LEAVE_OUT = _of_file("leave_out", ': leave_out="<column>"', ": --leave-out <column>", "")
PREDICT_NUMBERS = Remedy(
    "predict_numbers",
    'make the model with "target": {"kind": "number"}',
    'make the model with target={"kind": "number"}',
    "make the model with --target number",
    "choose “A number” as what is predicted",
)
MANY_VALUES = Remedy(
    "many_values",
    'make a model whose column <column> has "many": true',
    'make a model whose column <column> has "many": True',
    'make a model whose column <column> has "many": True, in Python',
    "choose “category of many values” for column <column>",
)

_ONE = re.compile(
    "|".join(
        f"(?P<r{k}>{'|'.join(_pattern(words, named=False) for words in dict.fromkeys((each.http, each.python)))})"
        for k, each in enumerate(REMEDIES)
    )
)
_SAME = re.sub(r"\?P<r\d+>", "?:", _ONE.pattern)
_LISTED = re.compile(f"(?:{_SAME})(?:, (?:{_SAME}))*")
