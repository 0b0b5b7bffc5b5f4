"""Lines of the log: ids of what is at work, and nothing that may quote data."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import sys
from typing import Any

import pytest

from service.telemetry import logs
from service.telemetry.logs import Formatter


def record(message: str, error: BaseException | None = None, **fields: Any) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "tsuika", "levelno": 20, "levelname": "INFO", "msg": message})
    made.exc_info = (type(error), error, error.__traceback__) if error is not None else None
    if fields:
        made.fields = fields
    return made


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def test_a_line_of_json_has_time_ids_and_fields() -> None:
    with logs.at_work(request_id="r1", model="digits"):
        line = json.loads(Formatter("json", "serve").format(record("two\nlines", status=404)))
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "tsuika",
        "process": "serve",
        "message": "two\nlines",
        "request_id": "r1",
        "model": "digits",
        "status": 404,
    }


def test_a_line_of_text_names_the_ids_that_it_does_not_say() -> None:
    with logs.at_work(update_id="upd_1", model="digits"):
        line = Formatter("text", "work").format(record("update upd_1 begins"))
    assert line.endswith("INFO tsuika: update upd_1 begins [model=digits]")
    assert Formatter("text", "work").format(record("idle")).endswith("tsuika: idle")


@pytest.mark.parametrize("form", ["text", "json"])
def test_of_an_exception_the_frames_are_written_and_not_what_may_quote_data(form: Any) -> None:
    error = raised(KeyError("a class of theirs"), raised(ValueError("could not read: 3.1337")))
    text = Formatter(form, "serve").format(record("it failed", error))
    assert "theirs" not in text
    assert "3.1337" not in text
    assert text.index("builtins.ValueError") < text.index("builtins.KeyError")
    assert "test_logs.py" in text
    assert " raised" in text


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError(2, "No such file", "/data/store"), RuntimeError("out of memory: 3 GiB"), MemoryError("of rows")],
)
def test_what_the_system_says_is_written(error: BaseException) -> None:
    assert str(error) in Formatter("text", "serve").format(record("it failed", raised(error)))


def test_of_a_database_what_failed_is_written_and_not_what_a_statement_held() -> None:
    locked, unique = sqlite3.OperationalError("disk I/O error"), sqlite3.IntegrityError("UNIQUE: cat")
    text = Formatter("text", "serve").format(record("it failed", raised(unique, raised(locked))))
    assert "sqlite3.OperationalError: disk I/O error" in text
    assert "cat" not in text


def test_tasks_at_work_beside_each_other_keep_their_ids() -> None:
    async def request(name: str) -> tuple[str, str]:
        logs.name_work(request_id=name)
        await asyncio.sleep(0)
        return name, (await asyncio.to_thread(logs.ids_at_work))["request_id"]

    async def both() -> list[tuple[str, str]]:
        return await asyncio.gather(request("r1"), request("r2"))

    assert asyncio.run(both()) == [("r1", "r1"), ("r2", "r2")]
    assert logs.ids_at_work() == {}


def test_an_error_that_nobody_caught_is_a_line_of_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr("threading.excepthook", None)
    levels = {name: logging.getLogger(name).level for name in logs.QUIET}
    try:
        logs.set_up("json", "learning")
        error = raised(ValueError("a row of theirs"))
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        logging.captureWarnings(False)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["process"]) == ("critical", "learning")
    assert [each["type"] for each in line["error"]] == ["builtins.ValueError"]
