"""Somebody who types what a page says, in order, against a real service; answers are compared with those shown."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.running import ROOT, environment, free_port

ADDRESS = "127.0.0.1:8000"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
LANGUAGES = {"sh": ["bash", "-eu"], "python": [".venv/bin/python", "-"]}
"""Blocks that are typed, and the program that reads them."""


@dataclass
class Newcomer:
    """A folder with a `.venv`, and the port of the service."""

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
        path = f"{self.folder / '.venv' / 'bin'}{os.pathsep}{variables.get('PATH', os.defpath)}"
        return {**variables, "PYTHONPATH": str(ROOT), "PATH": path}

    def types(self, language: str, text: str) -> str:
        """-> what it printed; the program must end well"""
        typed = text.replace(ADDRESS, f"127.0.0.1:{self.port}")
        ran = subprocess.run(
            LANGUAGES[language],
            input=typed,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == 0, f"{text}\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def follows(self, page: str, compare: bool = True) -> Iterator[tuple[str, str, list[Any]]]:
        """Types every block of a page and looks for each shown answer among the last ones, unless it shows bodies and
        answers of other calls, too; -> language, text and what was printed last, after each block"""
        printed: list[Any] = []
        for language, text in BLOCK.findall(page):
            if language in LANGUAGES:
                printed = answers(self.types(language, text))
            elif language == "json" and compare:
                for answer in answers(text):
                    assert any(shown(answer, whole) for whole in printed), f"{answer} is not in {str(printed)[:4000]}"
            elif language == "text" and compare:
                lines = iter(line for line in printed if isinstance(line, str))
                assert all(any(shown(line, other) for other in lines) for line in text.splitlines()), (text, printed)
            yield language, text, printed


@contextmanager
def serving(folder: Path, command: str, migrated: Path | None = None) -> Iterator[Newcomer]:
    """A newcomer with the service running as the command starts it. `migrated`: an empty database to begin with, whose
    folds are those of every run; by chance, one fold in a hundred lets shuffled labels look ordered."""
    newcomer = Newcomer(folder, free_port())
    if migrated is not None:
        (folder / "tsuika-data").mkdir()
        shutil.copy(migrated, folder / "tsuika-data" / "tsuika.db")
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(shlex.split(command), cwd=folder, env=newcomer.environment, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 120
        while not _ready(newcomer.port):
            assert process.poll() is None, (folder / "service.log").read_text()
            assert time.monotonic() < until, "the service is not ready"
            time.sleep(0.1)
        yield newcomer
    finally:
        process.terminate()
        process.wait(60)


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
        return isinstance(whole, list) and len(part) <= len(whole) and all(map(shown, part, whole))
    if isinstance(part, str) and isinstance(whole, str):
        return re.sub(r"\d+(\.\d+)?", "#", part) == re.sub(r"\d+(\.\d+)?", "#", whole)
    return part == whole or isinstance(part, float)
