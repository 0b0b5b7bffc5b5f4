"""Labels as JSON -> class names, or none for null; those that a vocabulary does not have, with near matches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from difflib import get_close_matches
from typing import Any

from service.errors import InvalidContent, UnknownLabels

NAMED = 10
"""Unknown labels that an answer names."""


def read_labels(labels: Sequence[Any], rows: int, clean: Callable[[str, str], str]) -> list[str | None]:
    """One name a row: strings, integers and booleans as their JSON text; each cleaned by `clean`(name, pointer).
    None where null says that nobody knows.

    Raises InvalidContent with the pointer of the first fault.
    """
    if len(labels) != rows:
        raise InvalidContent.at(
            "/labels",
            f"There {'is 1 row' if rows == 1 else f'are {rows} rows'} and {len(labels)} "
            f"{'label' if len(labels) == 1 else 'labels'}. Each row needs one, or null.",
        )
    if not set(map(type, labels)) <= {str}:
        labels = [None if label is None else text_of(label, f"/labels/{k}") for k, label in enumerate(labels)]
    cleaned = {name: clean(name, f"/labels/{k}") for name, k in _first_places(labels).items()}
    return [None if name is None else cleaned[name] for name in labels]


def _first_places(labels: Sequence[str | None]) -> dict[str, int]:
    """Every label with the row that has it first."""
    last = len(labels) - 1
    return {label: last - k for k, label in enumerate(reversed(labels)) if label is not None}


def text_of(label: Any, pointer: str) -> str:
    """The name that a JSON value gives a class. Raises InvalidContent."""
    if isinstance(label, str):
        return label
    if isinstance(label, bool):
        return "true" if label else "false"
    if isinstance(label, int):
        return str(label)
    if isinstance(label, float):
        raise InvalidContent.at(
            pointer, 'A label is text or a whole number, no fraction: "2.5" as text, 5 where it says 5.0.'
        )
    raise InvalidContent.at(
        pointer, "A label is text or a whole number: the name of a class. Of a row that has none, send null."
    )


def unknown_labels(labels: Sequence[str | None], vocabulary: Collection[str], model: str) -> UnknownLabels | None:
    """The refusal of labels that the vocabulary does not have; None when it has them all."""
    known, place = set(vocabulary), _first_places(labels)
    unknown = [name for name in dict.fromkeys(labels) if name is not None and name not in known]
    if not unknown:
        return None
    near = {name: get_close_matches(name, vocabulary, n=3) for name in unknown[:NAMED]}
    errors = [(f"/labels/{place[name]}", _sentence(name, near[name], model)) for name in near]
    more = f" ({len(unknown) - NAMED} more are not listed.)" if len(unknown) > NAMED else ""
    return UnknownLabels(
        f'{errors[0][1]} To add new classes, send "new_classes": "allow".{more}',
        errors,
        unknown=list(near),
        near={name: found for name, found in near.items() if found},
    )


def _sentence(name: str, near: Sequence[str], model: str) -> str:
    told = f'"{name}" is not a class of {model}.'
    quoted = ", ".join(f'"{n}"' for n in near)
    return f"{told} Near: {quoted}." if near else told
