"""Models and their class names: declared, cleaned, removed; names of models stay taken."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.contract.enums import Promotion
from service.contract.requests import MethodChoice, PatchModel
from service.errors import Conflict, InvalidContent, NotFound
from service.registry import models, updates
from service.registry.sql.database import Database
from tests.registry.facts import batch, claim, learn, model


def test_a_model_starts_with_its_declared_classes_cleaned_and_no_version(database: Database) -> None:
    with database.writing() as session:
        digits = model(session, classes=[" zero ", "e\u0301"])
        assert digits.classes == ["zero", "é"]
        resource = models.resources_of(session, [digits], lambda _: None)[0]
        assert (resource.live_version, resource.pending.batches, resource.updates.queued) == (None, 0, 0)


def test_the_vocabulary_grows_and_says_whether_it_did(database: Database) -> None:
    with database.writing() as session:
        digits = model(session, classes=["a"])
        assert models.add_classes(session, digits, ["b", "a", "b"])
        assert not models.add_classes(session, digits, ["a", "b"])
        session.flush()
        session.refresh(digits)
        assert digits.classes == ["a", "b"]


def test_a_class_leaves_only_while_no_unretracted_batch_uses_it(database: Database) -> None:
    with database.writing() as session:
        digits = model(session, classes=["a", "b", "unused"])
        used = batch(session, digits)
        models.remove_class(session, digits, "unused")
        with pytest.raises(Conflict) as refused:
            models.remove_class(session, digits, "a")
        assert refused.value.members == {"batch": used.id}
        used.retracted_at = 1.0
        session.flush()
        models.remove_class(session, digits, "a")
        with pytest.raises(NotFound):
            models.remove_class(session, digits, "a")
        assert digits.classes == ["b"]


def test_a_name_that_cannot_be_shown_is_refused() -> None:
    for name in ["", "   ", "x" * 201, "a\x00b", "a\nb", "\u202eabc", "a\u200db", "\ufeffa", "\ud800", "\x1b[31m"]:
        with pytest.raises(InvalidContent) as refused:
            models.clean_class_names(["fine", name], "/names")
        assert [pointer for pointer, _ in refused.value.errors] == ["/names/1"], name


@given(st.lists(st.text(max_size=8), max_size=6))
def test_whatever_is_taken_is_normal_trimmed_and_once(names: list[str]) -> None:
    try:
        cleaned = models.clean_class_names(names, "/names")
    except InvalidContent:
        return
    assert len(set(cleaned)) == len(cleaned)
    assert set(cleaned) == {unicodedata.normalize("NFC", n).strip() for n in names}
    assert models.clean_class_names(cleaned, "/names") == cleaned


def test_a_name_is_taken_for_ever_by_what_had_rows(database: Database) -> None:
    with database.writing() as session:
        mistaken = model(session)
        with pytest.raises(Conflict, match="is taken"):
            model(session)
        models.archive(session, mistaken)
        digits = model(session)
        assert digits.id != mistaken.id
        assert models.get(session, "digits") is digits
        batch(session, digits)
        models.archive(session, digits)
        session.flush()
        with pytest.raises(Conflict, match="archived"):
            model(session)


def test_an_archived_model_is_gone_and_its_updates_stop(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        running, queued = learn(session, digits), learn(session, digits)
        assert claim(session) is running
        models.archive(session, digits)
        assert (queued.state, running.state, running.cancel_requested) == ("cancelled", "running", True)
        with pytest.raises(NotFound):
            models.get(session, "digits")
        with pytest.raises(NotFound):
            updates.find(session, running.id)
        assert models.page(session, 10, None) == ([], None)


def test_what_is_not_named_in_a_change_stays(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        policy, method = digits.gate, digits.method
        models.patch(session, digits, PatchModel(promotion=Promotion.MANUAL))
        assert (digits.promotion, digits.gate, digits.method) == ("manual", policy, method)
        models.patch(session, digits, PatchModel(method=MethodChoice(name="ridge")))
        assert (digits.promotion, digits.method) == ("manual", {"name": "ridge"})
