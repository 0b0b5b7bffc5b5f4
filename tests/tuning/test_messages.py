"""What crosses between processes: every message comes back as it was, every error of the tree as its kind."""

from __future__ import annotations

import logging

import pytest

from service import errors
from service.errors import AtFields, Busy, TooManyValues
from service.tuning.messages import Done, Progress, Ready, Refused, Saved, end_of, line_of, message_of

log = logging.getLogger("tests.messages")


def test_a_message_is_a_line_and_comes_back_as_it_was() -> None:
    for message in [
        Ready(),
        Progress("training", 1, 2),
        Progress("training", 3, 9, 3, 0.2, 0.25),
        Saved("0" * 64),
        Done({"rows": [1.5, None]}),
    ]:
        line = line_of(message)
        assert line.count("\n") == 1, message
        assert message_of(line.encode()) == message, message


def test_each_kind_of_error_comes_back_as_itself() -> None:
    for slug, kind in errors.KINDS.items():
        message = message_of(line_of(Refused.of(kind("It is so. Do this."))))
        assert isinstance(message, Refused)
        error = message.error()
        assert (type(error), error.slug, error.detail) == (kind, slug, "It is so. Do this.")


def test_fields_and_members_of_an_error_come_along() -> None:
    message = message_of(line_of(Refused.of(TooManyValues("Too many.", [("/inputs/0", "one more")], column="city"))))
    assert isinstance(message, Refused)
    error = message.error()
    assert isinstance(error, AtFields)
    assert (error.errors, error.members) == ([("/inputs/0", "one more")], {"column": "city"})


def test_work_ends_with_its_result_its_refusal_or_a_crash_that_the_log_has(caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> dict[str, int]:
        raise Busy("Not now.")

    def crash() -> dict[str, int]:
        raise ZeroDivisionError("division by zero")

    assert end_of(lambda: {"rows": 1}, log, "it failed") == Done({"rows": 1})
    assert end_of(refuse, log, "it failed") == Refused("busy", "Not now.", [], {})
    assert not caplog.records
    failed = Refused("learning-failed", "ZeroDivisionError: division by zero", [], {})
    assert end_of(crash, log, "it failed") == failed
    assert [(record.message, record.exc_info is not None) for record in caplog.records] == [("it failed", True)]
