"""What the service says, in its own language, to whoever reads it on a page: where one clicks stands in the place of
what is sent over HTTP or typed in a terminal."""

from __future__ import annotations

import re

CLICKED = (
    (re.compile(r"\(DELETE /v1/models/…/classes/[^)]*\)"), "(under Classes)"),
    (re.compile(r"\(the page of their batch, or POST \S+/corrections\)"), "(on the page of their batch)"),
    (re.compile(r"\(tsuika delete-class, or DELETE \S+/classes/[^)]*\)"), "(under Classes)"),
    (re.compile(r': POST \{"batches": [^}]*\} to \S+/updates'), " (under Batches)"),
    (re.compile(r"(: | \()POST \.\.\./retractions\)?"), ""),
    (re.compile(r'learn (it|them) with "expect": "\w+"'), r"learn \1 again as such"),
)
"""Patterns of what the service says -> the same on a page."""


def on_page(sentence: str) -> str:
    """The sentence as a page has it."""
    for said, clicked in CLICKED:
        sentence = said.sub(clicked, sentence)
    return sentence
