"""The command line: quick, helpful, and honest with its exit codes."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from service.cli import main, parser
from service.cli.exits import DONE, ERROR, INTERRUPTED, USAGE
from service.errors import NotFound

COMMANDS = ("serve", "work", "demo", "migrate", "gc", "fsck", "backup", "restore", "methods", "verify")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "service.cli", *arguments], capture_output=True, text=True, timeout=60)


def test_the_version_is_told_at_once() -> None:
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        output = run("--version").stdout
        seconds.append(time.perf_counter() - began)
    assert output.startswith("tsuika ")
    assert min(seconds) < 0.3


def test_reading_the_command_line_imports_nothing_heavy() -> None:
    heavy = "torch numpy pydantic fastapi sqlalchemy httpx rich"
    code = f"import sys, service.cli; service.cli.parser(); print([m for m in '{heavy}'.split() if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "-h"])
    assert ended.value.code == DONE
    assert f"usage: tsuika {command}" in capsys.readouterr().out


def test_the_help_lists_every_command() -> None:
    text = parser().format_help()
    assert all(f"\n    {command}" in text for command in COMMANDS)


@pytest.mark.parametrize("arguments", [[], ["fly"], ["serve", "--port", "many"], ["verify", "digits"]])
def test_wrong_usage_is_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == USAGE
    assert "usage: tsuika" in capsys.readouterr().err


def test_impossible_settings_are_exit_2_and_say_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", "0.0.0.0"]) == USAGE
    assert "TSUIKA_KEY" in capsys.readouterr().err


def _command(monkeypatch: pytest.MonkeyPatch, raised: BaseException) -> None:
    def fail(arguments: argparse.Namespace) -> int:
        raise raised

    module = ModuleType("service.cli.gc")
    module.run = fail  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "service.cli.gc", module)


def test_a_told_error_is_one_line_and_exit_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _command(monkeypatch, NotFound("There is no model x."))
    assert main(["gc"]) == ERROR
    assert capsys.readouterr().err == "tsuika gc: There is no model x.\n"


def test_a_reader_that_leaves_is_no_fault() -> None:
    ran = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m service.cli methods | true"], capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_ctrl_c_is_exit_130(monkeypatch: pytest.MonkeyPatch) -> None:
    _command(monkeypatch, KeyboardInterrupt())
    assert main(["gc"]) == INTERRUPTED


def test_a_worker_answers_metrics_where_it_is_told_a_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from service.server.metrics_port import answering

    asked: list[tuple[int | None, object]] = []
    monkeypatch.setenv("TSUIKA_DATA", str(tmp_path))
    monkeypatch.setattr(
        "service.worker.parent.loop.work", lambda settings, *beside: asked.append((settings.metrics_port, beside))
    )
    assert [main(("work",)), main(("work", "--metrics-port", "9100"))] == [DONE, DONE]
    assert asked == [(None, ()), (9100, (answering,))]
