"""The command line: quick, helpful, and honest with its exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from types import ModuleType
from typing import Any

import pytest
from click import Command, Context

from service.cli import connection, main
from service.cli.app import VERBS, verb_named
from service.cli.connection import batches_that_begin
from service.cli.exits import DONE, ERROR, INTERRUPTED, USAGE
from service.errors import NotFound
from service.settings import Settings
from service.worker.parent.child_process import WarmChild

NAMES = [name for verbs in VERBS.values() for name in verbs]


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **variables})


def test_the_version_is_told_at_once() -> None:
    assert run("--version").stdout.startswith("tsuika ")


def test_reading_the_command_line_imports_nothing_heavy() -> None:
    heavy = "torch numpy fastapi sqlalchemy httpx scipy"
    code = f"""
import contextlib, io, sys
from service.cli import app
there = lambda heavy: [m for m in heavy.split() if m in sys.modules]
with contextlib.redirect_stdout(io.StringIO()):
    app.main(["--version"])
    app.main(["--help"])
print(there("{heavy} rich pydantic"))
for verbs in app.VERBS.values():
    for verb in verbs:
        with contextlib.redirect_stdout(io.StringIO()):
            app.main([verb, "--help"])
        assert not there("{heavy}"), (verb, there("{heavy}"))
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.long
def test_who_operates_does_not_wait_for_torch(migrated: Path, tmp_path: Path) -> None:
    shutil.copy(migrated, tmp_path / "tsuika.db")
    code = f"""
import contextlib, io, os, sys, time
from service.cli import app
time.sleep = lambda seconds: None  # between tries to reach a service
os.environ |= {{"TSUIKA_DATA": "{tmp_path}", "TSUIKA_URL": "http://127.0.0.1:9"}}
for line in ("settings", "doctor", "keys list", "audit verify", "gc", "fsck --repair", "backup {tmp_path}/copy"):
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = app.main(line.split())
    assert code == (line == "doctor"), (line, said.getvalue())
    assert "torch" not in sys.modules, line
os.environ["TSUIKA_DATA"] = "{tmp_path}/restored"
assert app.main(["restore", "{tmp_path}/copy"]) == 0
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_verb_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in NAMES:
        assert main([verb, "-h"]) == DONE, verb
        assert f"Usage: tsuika {verb}" in capsys.readouterr().out, verb


def test_every_verb_that_ends_by_itself_answers_programs() -> None:
    commands: dict[str, Any] = {}
    for verb in {*NAMES} - {"demo", "serve", "work"}:
        command: Any = verb_named(verb)
        commands |= getattr(command, "commands", {verb: command})
    assert len(commands) > 25
    options = {name: {option for of in command.params for option in of.opts} for name, command in commands.items()}
    assert [name for name, those in options.items() if "--json" not in those] == []


def test_the_help_lists_every_verb_in_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == DONE
    text = capsys.readouterr().out
    assert all(f"\n{group}:" in text for group in VERBS)
    assert all(f"\n  {name} " in text for name in NAMES)


def test_wrong_usage_is_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in [[], ["fly"], ["serve", "--port", "many"], ["verify", "digits"]]:
        assert main(arguments) == USAGE, arguments
        assert "Usage: tsuika" in capsys.readouterr().err, arguments
        if arguments:
            assert main([*arguments, "--json"]) == USAGE
            assert json.loads(capsys.readouterr().out)["schema"] == "tsuika.problem/1"


def test_a_shell_completes_verbs_and_their_options() -> None:
    asked = {"_TSUIKA_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    assert run(**asked, COMP_WORDS="tsuika verif").stdout.split() == ["verify"]
    asked["COMP_CWORD"] = "2"
    assert run(**asked, COMP_WORDS="tsuika fsck --rep").stdout.split() == ["--repair"]


class _Models(BaseHTTPRequestHandler):
    """A service that has two models, one with versions and batches, and takes one key."""

    def do_GET(self) -> None:
        known = self.headers["Authorization"] == "Bearer secret"
        items = {
            "/v1/models": [{"name": "digits"}, {"name": "rents"}],
            "/v1/models/digits/versions": [{"number": 12}, {"number": 11}, {"number": 2}],
            "/v1/models/digits/batches": [{"id": "bat_2b"}, {"id": "bat_1a"}],
        }
        body = json.dumps({"items": items.get(self.path.partition("?")[0], [])}).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.long
def test_a_shell_completes_names_of_models_and_says_nothing_where_it_cannot() -> None:
    asked = {"_TSUIKA_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    with ThreadingHTTPServer(("127.0.0.1", 0), _Models) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        there = {**asked, "TSUIKA_URL": f"http://127.0.0.1:{server.server_port}"}
        named = run(**there, TSUIKA_KEY="secret", COMP_WORDS="tsuika promote di")
        assert (named.stdout.split(), named.stderr) == (["digits"], "")
        server.shutdown()
    nobody = run(**there, TSUIKA_KEY="secret", COMP_WORDS="tsuika promote di")
    assert (nobody.stdout.strip(), nobody.stderr) == ("", "")


@pytest.mark.long
@pytest.mark.parametrize(
    ("place", "line", "names"),
    [
        ("4", "rollback digits --to 1", ["12", "11"]),
        ("3", "retract digits bat_", ["bat_2b", "bat_1a"]),
        ("3", "learn rents bat_", []),
        ("3", "correct digits bat_1", ["bat_1a"]),
    ],
)
def test_a_shell_completes_versions_and_batches(place: str, line: str, names: list[str]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Models) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        there = {"_TSUIKA_COMPLETE": "complete_bash", "TSUIKA_URL": f"http://127.0.0.1:{server.server_port}"}
        of = run(**there, COMP_CWORD=place, TSUIKA_KEY="secret", COMP_WORDS=f"tsuika {line}")
        assert (of.stdout.split(), of.stderr) == (names, "")
        server.shutdown()


class _Anything(BaseHTTPRequestHandler):
    """Something else at that address: what it answers is no list of names, may be run by a shell, or never ends."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        model = self.path.removeprefix("/v1/models/").partition("/")[0]
        if model == "endless":
            with contextlib.suppress(OSError):
                while not ENDED.wait(0.01):
                    self.wfile.write(b" ")
        self.wfile.write(ODD.get(model, "{}").encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


ENDED = Event()
"""Set once nobody waits for what never ends."""
ODD = {
    "numbers": '{"items": [1, 2]}',
    "nothing": '{"items": null}',
    "others": '{"items": [{"name": "x"}]}',
    "texts": '{"items": "bat_1"}',
    "list": '[{"id": "bat_1"}]',
    "shell": json.dumps(
        {"items": [{"id": odd} for odd in ("bat_1", "bat_0-A_z", "$(id)", "\\$(id)", "b\nls", "b c", None)]}
    ),
}


@pytest.mark.parametrize("model", ["endless", *ODD])
def test_whatever_answers_a_shell_it_neither_waits_nor_fails_nor_is_told_what_it_may_run(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "COMPLETED_SECONDS", 0.5 if model == "endless" else 30.0)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Anything) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("TSUIKA_URL", f"http://127.0.0.1:{server.server_port}")
        line = Context(Command("learn"))
        line.params["model"] = model
        assert batches_that_begin(line, "") == (["bat_1", "bat_0-A_z"] if model == "shell" else [])
        ENDED.set()
        server.shutdown()


def test_impossible_settings_are_exit_2_and_say_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", "0.0.0.0"]) == USAGE
    said = capsys.readouterr().err
    assert "TSUIKA_KEY" in said
    assert "--open" in said


def test_a_data_folder_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TSUIKA_DATA", str(tmp_path / "file" / "data"))
    assert main(["serve", "--port", "0"]) == USAGE
    assert "TSUIKA_DATA" in capsys.readouterr().err


def _verb(monkeypatch: pytest.MonkeyPatch, raised: BaseException) -> None:
    def fail() -> int:
        raise raised

    module = ModuleType("service.cli.upkeep.gc")
    module.run = fail  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "service.cli.upkeep.gc", module)


def test_a_told_error_is_one_line_and_exit_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _verb(monkeypatch, NotFound("There is no model x."))
    assert main(["gc"]) == ERROR
    assert capsys.readouterr().err == "tsuika gc: There is no model x.\n"


def test_what_a_refusal_quotes_of_a_file_moves_no_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pets.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cats/\x1b]0;title\x07\u202e1.png", b"no picture")
    assert main(["init", "pets", str(path)]) == 2
    assert "cats/\\x1b]0;title\\x07\\u202e1.png is no picture" in capsys.readouterr().err
    assert main(["init", "pets", str(tmp_path / "\x9b2J.csv")]) == 2
    assert "There is no file " in (said := capsys.readouterr().err)
    assert "/\\x9b2J.csv" in said


def test_a_reader_that_leaves_is_no_fault() -> None:
    left, printed_to = os.pipe()
    os.close(left)
    ran = subprocess.run(
        [sys.executable, "-m", "service.cli", "settings"],
        stdout=printed_to,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(printed_to)
    assert (ran.returncode, ran.stderr) == (ERROR, "")


def test_ctrl_c_is_exit_130(monkeypatch: pytest.MonkeyPatch) -> None:
    _verb(monkeypatch, KeyboardInterrupt())
    assert main(["gc"]) == INTERRUPTED


def test_a_worker_answers_metrics_where_it_is_told_a_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from service.server.metrics_port import answering

    asked: list[tuple[int | None, object]] = []
    started: list[WarmChild] = []

    def work(settings: Settings, *beside: object, child: WarmChild) -> None:
        assert started[-1] is child, "it loads its libraries while the worker does"
        asked.append((settings.metrics_port, beside))

    monkeypatch.setenv("TSUIKA_DATA", str(tmp_path))
    monkeypatch.setattr(WarmChild, "warm", lambda child: started.append(child))
    monkeypatch.setattr("service.worker.parent.worker_process.work", work)
    assert [main(["work"]), main(["work", "--metrics-port", "9100"])] == [DONE, DONE]
    assert asked == [(None, ()), (9100, (answering,))]
