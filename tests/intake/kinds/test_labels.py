"""Labels: text, whole numbers and booleans become names; a typo does not become a class."""

from __future__ import annotations

from typing import Any

import pytest

from service.contract.names import clean_class_name
from service.errors import InvalidContent
from service.intake.kinds.labels import Labels, first_places, read_labels, unknown_labels


def read(labels: list[Any]) -> list[str | None]:
    return read_labels(labels, len(labels), clean_class_name)


def test_labels_become_names() -> None:
    assert read(["a", 5, True, False, -3]) == ["a", "5", "true", "false", "-3"]
    assert read(["a", None, "null", None]) == ["a", None, "null", None]
    assert read([" cafe\u0301 ", "caf\u00e9"]) == ["caf\u00e9", "caf\u00e9"]


def test_other_labels_are_refused_at_their_place() -> None:
    for label in [5.0, ["a"], {"a": 1}, "", "  ", "a\u0000", "a\u202eb", "x" * 201, "\ufeffa"]:
        with pytest.raises(InvalidContent) as caught:
            read(["fine", label, label])
        assert caught.value.errors[0][0] == "/labels/1", label


def test_as_many_labels_as_rows() -> None:
    with pytest.raises(InvalidContent, match=r"2 rows and 1 label\."):
        read_labels(["a"], 2, clean_class_name)


def test_many_different_labels_are_read_in_one_pass() -> None:
    names = [str(k) for k in range(100_000)]
    assert read_labels(names, len(names), clean_class_name) == names


def test_unknown_labels_are_named_with_near_matches() -> None:
    assert unknown_labels({"seven": 0}, ["seven", "eight"], "digits") is None
    refused = unknown_labels(first_places(["seven", "sevn", "zzz", "sevn"]), ["seven", "eight"], "digits")
    assert refused.errors == [
        ("/labels/1", '"sevn" is not a class of digits. Near: "seven".'),
        ("/labels/2", '"zzz" is not a class of digits.'),
    ]
    assert '"new_classes": "allow"' in refused.detail
    beside_null = unknown_labels(first_places([None, "sevn"]), ["seven"], "digits")
    assert beside_null.errors[0][0] == "/labels/1"
    assert refused.members == {"unknown": ["sevn", "zzz"], "more": 0, "near": {"sevn": ["seven"]}}
    many = unknown_labels(first_places([f"n{k}" for k in range(12)]), ["seven"], "digits")
    assert (len(many.members["unknown"]), many.members["more"]) == (10, 2)
    assert many.detail.endswith("(2 more are not listed.)")


def test_labels_that_are_numbers_with_fractions_and_nearly_all_differ_look_like_targets() -> None:
    prices = [f"{k}.25" for k in range(20)]
    asked = 'Is a number predicted? Then make the model with "target": {"kind": "number"}.'
    assert Labels.of([*prices, None]).of_numbers() == f"All 20 labels differ and are numbers. {asked}"
    assert Labels.of([price.replace(".", ",") for price in prices]).of_numbers() is not None
    assert Labels.of([*prices, "0.25"]).of_numbers() == f"20 of 21 labels differ and are numbers. {asked}"
    with pytest.raises(InvalidContent, match="Is a number predicted"):
        Labels.of([f"{k}.5" for k in range(10_001)])


def test_other_labels_are_names_of_classes() -> None:
    for labels in [
        [f"{k}.25" for k in range(19)],
        [f"{k}.25" for k in range(18)] * 2,
        [str(k) for k in range(200)],
        [f"{k}.0" for k in range(200)],
        [*(f"{k}.25" for k in range(200)), "other"],
        [f"1.2.{k}" for k in range(200)],
    ]:
        assert Labels.of(labels).of_numbers() is None, labels


def test_a_name_that_is_far_too_long_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Putting its marks in order would take the square of their number."""
    monkeypatch.setattr("service.contract.names.unicodedata", None)
    with pytest.raises(InvalidContent, match="1 to 200 characters"):
        read(["a" + "\u0301\u0316" * 100_000])


def test_a_name_may_be_spelt_in_more_characters_than_it_has() -> None:
    spelt = "\u03b1\u0313\u0300\u0345" * 200
    assert read([spelt]) == ["\u1f82" * 200]


def test_labels_come_to_names_and_how_many_rows_have_one() -> None:
    labels = Labels.of(["b", None, "a", "b"])
    assert (dict(labels.places), labels.labelled) == ({"b": 0, "a": 2}, 3)
    with pytest.raises(InvalidContent, match="at most 10,000 classes"):
        Labels.of([str(k) for k in range(10_001)])
