"""Labels as JSON -> class names, None for null; unknown ones are refused with near matches."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.contract.body_limits import too_many_classes
from service.contract.names import GROUP_NAME, MOST_CLASSES, clean_group_name
from service.errors import InvalidContent, UnknownLabels
from service.intake.near import near_matches
from service.remedies import NEW_CLASSES, PREDICT_NUMBERS

NAMED = 10
"""Unknown labels that an answer names."""
TO_ADD = f"To add new classes, {NEW_CLASSES()}."
NUMBER_MODEL = f"{PREDICT_NUMBERS()}."
NUMBER = re.compile(r"[-+]?([0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)([eE][-+]?[0-9]+)?")
"""A number, with a point or a comma before its decimals."""
LEAST_NUMBERS, DIFFERENT = 20, 0.9
"""From so many labels on, with such a share of different ones, numbers with fractions are no names of classes."""


@dataclass(frozen=True)
class Labels:
    """A summary of the labels of rows. `places`: every name, in order of appearance, with the first row that has it;
    `labelled`: how many rows have a label."""

    places: Mapping[str, int]
    labelled: int

    @classmethod
    def of(cls, labels: Sequence[str | None]) -> Labels:
        """Summarizes a list; the nameless one of numbers is no label. Raises InvalidContent where it has more names
        than a model may have classes."""
        places = {name: row for name, row in first_places(labels).items() if name}
        summary = cls(places, len(labels) - labels.count(None))
        if len(summary.places) > MOST_CLASSES:
            sentence = summary.of_numbers()
            raise InvalidContent.at("/labels", sentence) if sentence else too_many_classes("/labels")
        return summary

    def of_numbers(self) -> str | None:
        """What to say of labels that look like targets: numbers, some with a fraction, that nearly all differ; None of
        others."""
        different = len(self.places)
        if self.labelled < LEAST_NUMBERS or different < DIFFERENT * self.labelled:
            return None
        if not all(map(NUMBER.fullmatch, self.places)):
            return None
        if all(float(name.replace(",", ".")).is_integer() for name in self.places):
            return None
        count = f"All {different:,}" if different == self.labelled else f"{different:,} of {self.labelled:,}"
        return f"{count} labels differ and are numbers. Is a number predicted? Then {NUMBER_MODEL}"


def read_labels(labels: Sequence[Any], rows: int, clean: Callable[[str, str], str]) -> list[str | None]:
    """One name a row: strings, integers and booleans as their JSON text; each cleaned by `clean`(name, pointer).
    None for null, where the label is not known.

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
    cleaned = {name: clean(name, f"/labels/{k}") for name, k in first_places(labels).items()}
    return [None if name is None else cleaned[name] for name in labels]


def read_groups(groups: Sequence[Any] | str | None, rows: int) -> list[str | None] | None:
    """The group of each row by its cleaned name, None for a row in none; None where no row is in any.

    Raises InvalidContent with the pointer of the first fault.
    """
    if groups is None:
        return None
    listed = [groups] * rows if isinstance(groups, str) else groups
    if len(listed) != rows:
        raise InvalidContent.at(
            "/groups",
            f"There {'is 1 row' if rows == 1 else f'are {rows} rows'} and {len(listed)} "
            f"{'group' if len(listed) == 1 else 'groups'}. Name one a row, null for a row in none, or one for all.",
        )
    for k, name in enumerate(listed):
        if name is not None and not isinstance(name, str):
            raise InvalidContent.at(f"/groups/{k}", GROUP_NAME)
    cleaned = {
        name: clean_group_name(name, "/groups" if isinstance(groups, str) else f"/groups/{k}")
        for name, k in first_places(listed).items()
    }
    return [None if name is None else cleaned[name] for name in listed] if cleaned else None


def first_places(labels: Sequence[str | None]) -> dict[str, int]:
    """Every label, in order of appearance, with the first row that has it."""
    places: dict[str, int] = {}
    for k, label in enumerate(labels):
        if label is not None:
            places.setdefault(label, k)
    return places


def text_of(label: Any, pointer: str) -> str:
    """The class name that a JSON value stands for. Raises InvalidContent."""
    if isinstance(label, str):
        return label
    if isinstance(label, bool):
        return "true" if label else "false"
    if isinstance(label, int):
        return str(label)
    if isinstance(label, float):
        raise InvalidContent.at(
            pointer,
            'A label is text or a whole number, no fraction: "2.5" as text, 5 where it says 5.0. '
            f"Where numbers are predicted, {NUMBER_MODEL}",
        )
    raise InvalidContent.at(
        pointer, "A label is text or a whole number: the name of a class. Of a row that has none, send null."
    )


def unknown_labels(
    places: Mapping[str, int], vocabulary: Collection[str], model: str, remedy: str = TO_ADD
) -> UnknownLabels | None:
    """The refusal of labels that the vocabulary does not have; None where it has all. `places`: as of Labels."""
    known = set(vocabulary)
    unknown = [name for name in places if name not in known]
    if not unknown:
        return None
    near = near_matches(unknown[:NAMED], vocabulary)
    errors = [(f"/labels/{places[name]}", _sentence(name, near[name], model)) for name in near]
    more = f" ({len(unknown) - NAMED} more are not listed.)" if len(unknown) > NAMED else ""
    return UnknownLabels(
        f"{errors[0][1]} {remedy}{more}",
        errors,
        unknown=list(near),
        more=len(unknown) - len(near),
        near={name: names for name, names in near.items() if names},
    )


def _sentence(name: str, near: Sequence[str], model: str) -> str:
    sentence = f'"{name}" is not a class of {model}.'
    quoted = ", ".join(f'"{n}"' for n in near)
    return f"{sentence} Near: {quoted}." if near else sentence
