"""Somebody who types what a page says, in order, in one folder; what is printed is compared with what is shown."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.running import ROOT, environment, free_port

PORT = re.compile(r'(--port |(?:localhost|127\.0\.0\.1)(?::|", "))800([01])\b')
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
LANGUAGES = {"sh": ["bash", "-eu"], "python": [".venv/bin/python", "-"]}
"""Blocks that are typed, and the program that reads them."""
CODE = re.compile(r"\(exit code (\d+)\)")
SHORT_ID = re.compile(r"\b(bat|key|upd)_(?:…|\.{3})")
SHELL = """
post() { curl -s "http://127.0.0.1:$TSUIKA_PORT/v1/models$1" -H 'Content-Type: application/json' --data-binary "$2"; }
[ ! -e variables.sh ] || . ./variables.sh
set -a
"""
"""Typed before each block: what the blocks before gave names to, and `post PATH BODY`."""
TSUIKA = """#!/bin/sh
case ${1:-} in serve | work) ;; *) exec PYTHON -m service.cli "$@" ;; esac
port=${3:-$TSUIKA_PORT} name=$1-${3:-$TSUIKA_PORT}
if [ -e $name.pid ]; then kill $(cat $name.pid); while [ -e /proc/$(cat $name.pid)/exe ]; do sleep 0.1; done; fi
PYTHON -m service.cli "$@" >> $name.log 2>&1 &
echo $! > $name.pid
[ $1 = serve ] || exit 0
until curl -sf http://127.0.0.1:$port/readyz > ready.json; do
  kill -0 $! || { cat $name.log >&2; exit 1; }
  sleep 0.1
done
"""
"""serve and work go on behind it, each with a log; another of the same port ends the one before."""


@dataclass
class Newcomer:
    """A folder with a `.venv`. `ports`: here, of a service at 8000 and one at 8001. `places`: what else stands here for
    what a page names."""

    folder: Path
    ports: tuple[int, int]
    places: Mapping[str, str] = field(default_factory=dict)
    seen: str = ""

    def __post_init__(self) -> None:
        bin = self.folder / ".venv" / "bin"
        bin.mkdir(parents=True)
        python = shlex.quote(sys.executable)
        scripts = {
            "python": f'#!/bin/sh\nexec {python} "$@"\n',
            "pip": "#!/bin/sh\n",  # another test reads what would be installed
            "tsuika": TSUIKA.replace("PYTHON", python),
        }
        for name, text in scripts.items():
            (bin / name).write_text(text)
            (bin / name).chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        variables = environment(port=self.ports[0], url=f"http://127.0.0.1:{self.ports[0]}")
        path = f"{self.folder / '.venv' / 'bin'}{os.pathsep}{variables.get('PATH', os.defpath)}"
        return {**variables, "PYTHONPATH": str(ROOT), "PATH": path, "DO_NOT_TRACK": "true"}

    def types(self, language: str, text: str, code: int = 0) -> str:
        """-> what it printed; the program must end with that code. A shortened id is the last of its kind that was
        seen."""
        text = PORT.sub(lambda named: f"{named[1]}{self.ports[int(named[2])]}", text)
        for there, here in self.places.items():
            text = text.replace(there, here)
        text = SHORT_ID.sub(lambda short: re.findall(rf"\b{short[1]}_\w+", self.seen)[-1], text)
        whole = f"{SHELL}{text}\nexport -p > variables.sh\n" if language == "sh" else text
        ran = subprocess.run(
            LANGUAGES[language],
            input=whole,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ran.returncode == code, f"{text}\n{ran.stdout}{ran.stderr}"
        self.seen += ran.stdout + ran.stderr
        return ran.stdout

    def follows(self, page: str, given: Mapping[str, str] | None = None) -> Iterator[tuple[str, str, list[Any]]]:
        """Types every block of a page and looks for what it shows among the last answers; a refusal must be shown.
        `given`: what is typed before a block that holds these words; where it sends `body.json`, the block is that.
        -> language, text and what was printed last, after each block"""
        printed, refused = list[Any](), list[Any]()
        for language, text in BLOCK.findall(page):
            before = next((typed for words, typed in (given or {}).items() if words in text), "")
            (self.folder / "body.json").write_text(text)
            typed = list[Any]()
            if before and language != "python":
                typed = answers(self.types("sh", before))
            if language in LANGUAGES:
                typed = answers(self.types(language, before + text if language == "python" else text))
            if typed:
                assert not refused, f"the page shows no such refusal: {refused}"
                printed = typed
                refused = [each for each in typed if isinstance(each, dict) and "/problems/" in str(each.get("type"))]
            if language == "json" and "body.json" not in before:
                for answer in answers(text):
                    assert any(shown(answer, whole) for whole in printed), f"{answer} is not in {str(printed)[:4000]}"
                    refused = [whole for whole in refused if not shown(answer, whole)]
            elif language == "text":
                lines = iter(line for line in printed if isinstance(line, str))
                assert all(any(shown(line.strip(), other) for other in lines) for line in text.splitlines()), (
                    text,
                    printed,
                )
            elif language == "console":
                self.converses(text)
            yield language, text, printed
        assert not refused, f"the page shows no such refusal: {refused}"

    def converses(self, block: str) -> None:
        """Types each line behind a `$`, and looks for the lines below it among those that are printed."""
        for part in re.split(r"^\$ ", block.replace("\\\n", " "), flags=re.M)[1:]:
            typed, _, below = part.partition("\n")
            code = CODE.search(below)
            before = len(self.seen)
            self.types("sh", typed, int(code[1]) if code else 0)
            lines = iter(self.seen[before:].splitlines())
            for line in CODE.sub("", below).split("\n"):
                assert not line.strip() or any(shown(line.strip(), other) for other in lines), (
                    line,
                    self.seen[before:],
                )

    def close(self) -> None:
        """Ends what stays."""
        for file in self.folder.glob("*.pid"):
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(int(file.read_text()))
                process.terminate()
                while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    time.sleep(0.1)


@contextmanager
def sitting(folder: Path, migrated: Path | None = None, places: Mapping[str, str] | None = None) -> Iterator[Newcomer]:
    """A newcomer in that folder. `migrated`: an empty database to begin with, whose folds are those of every run; by
    chance, one fold in a hundred lets shuffled labels look ordered."""
    newcomer = Newcomer(folder, (free_port(), free_port()), places or {})
    if migrated is not None:
        (folder / "tsuika-data").mkdir()
        shutil.copy(migrated, folder / "tsuika-data" / "tsuika.db")
    try:
        yield newcomer
    finally:
        newcomer.close()


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
    """Whether a shortened answer is part of the real one; numbers and digits in sentences may differ; … is anything."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(k in whole and shown(v, whole[k]) for k, v in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and len(part) <= len(whole) and all(map(shown, part, whole))
    if isinstance(part, str) and isinstance(whole, str):
        pattern, line = (re.sub(r"\d+(\.\d+)?", "#", text) for text in (part, whole))
        return re.fullmatch(re.escape(pattern).replace("…", ".*"), line) is not None
    return part == whole or isinstance(part, float)
