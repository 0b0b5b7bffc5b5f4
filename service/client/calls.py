"""What the service says is sent over HTTP -> the call of a client that sends it."""

from __future__ import annotations

import re
from functools import partial
from urllib.parse import unquote

EXPECT = re.compile(r'"expect": "(\w+)"')
OF_A_MODEL = [
    (re.compile(said), call)
    for said, call in (
        (r'(?P<before>To go back, )send \{"to": (?P<of>\d+)\}', "rollback(to={of})"),
        (r"(?P<before>Version (?P<of>\d+) is not on .*)POST /v1/models/[^/\s]+/deployments", "promote({of})"),
        (r"(?P<before>)DELETE (\.\.\.|/v1/models/…)/classes/(?P<of>[^\s,)]+)", 'delete_class("{of}")'),
        (
            r'(?P<before>)POST \{"batches": (?P<of>"pending"|\[[^\]]*\])\} to /v1/models/[^/\s]+/updates',
            "update(batches={of})",
        ),
        (r"(?P<before>)POST \.\.\./batches/(?P<of>[^\s/]+)/corrections", 'correct("{of}", {{...}})'),
        (r"(?P<before>)(?P<of>)POST a batch first, or send rows with the update", "push(rows, labels) sends some"),
        (r"(?P<before>)(?P<of>)POST \.\.\./corrections", "correct(batch, {{...}})"),
        (r"(?P<before>)(?P<of>)POST \.\.\./classes", "declare(name)"),
        (r"(?P<before>)(?P<of>)POST \.\.\./retractions", "retract(batch)"),
    )
]


def as_calls(sentence: str, model: str) -> str:
    """A sentence of the service about a model, with calls in the place of what is sent over HTTP."""
    sentence = EXPECT.sub(r'expect="\1"', sentence)
    for said, call in OF_A_MODEL:
        sentence = said.sub(partial(_called, model, call), sentence)
    return sentence


def _called(model: str, call: str, at: re.Match[str]) -> str:
    return f'{at["before"]}client.model("{model}").{call.format(of=unquote(at["of"]))}'
