"""What the benchmark of the gate does to rows, and that small losses are stopped on its way."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gate
from benchmarks.columns import SENT, compared
from benchmarks.erosion import ONE_CLASS, SPREAD, eroded
from benchmarks.gate import (
    KINDS,
    LARGEST,
    NEW_NAME,
    Kind,
    base_rows,
    honest,
    input_kinds,
    look_alike,
    most_late,
    none_late,
    one_renamed,
    scattered,
    shuffled,
    two_late,
    two_merged,
)
from benchmarks.long_streams import HARMS, HONEST, Law, course, drawn, report
from benchmarks.running.command import seeds
from benchmarks.streams.known import stream_of
from benchmarks.streams.slips import SLIPS, slips_of
from benchmarks.streams.steps import INK_VECTOR
from benchmarks.streams.stream import Rows
from service.contract.inputs import VectorInput


def rows() -> Rows:
    """Six classes of 50 rows on a line, far apart but for b and c, and a and b."""
    random = np.random.default_rng(0)
    centres = dict(zip("abcdef", (0, 3, 5, 40, 90, 200), strict=True))
    labels = np.repeat(list(centres), 50)
    points = np.array([[centres[name], 0] for name in labels]) + random.normal(0, 1, (300, 2))
    return Rows(points.astype(np.float32), labels)


def test_late_classes() -> None:
    random = np.random.default_rng(0)
    assert len(set(two_late(rows(), random))) == 2
    assert len(most_late(rows(), random)) == 4
    late = Counter(look_alike(rows(), np.random.default_rng(k))[0] for k in range(60))
    assert set(late) <= set("abcd"), "five nearest pairs: b-c, a-b, a-c, c-d, b-d"


def test_spoiled_labels() -> None:
    random = np.random.default_rng(0)
    of_one, of_two = one_renamed(rows(), random), two_merged(rows(), random)
    assert (len(of_one), len(of_two)) == (50, 100)
    assert set(of_one.targets) == set(of_two.targets) == {NEW_NAME}
    assert np.ptp(of_one.inputs[:, 0]) < 10
    labels = scattered(rows(), random).targets
    wrong = labels != rows().targets
    assert wrong.sum() == 50
    assert len(set(rows().targets[wrong])) == 1
    assert len(set(labels[wrong])) > 1


def test_wrong_inputs_leave_targets_and_change_the_columns_that_they_say() -> None:
    random, spec = np.random.default_rng(0), VectorInput(kind="vector", size=2)
    changed = {}
    for kind in input_kinds(spec)[1:]:
        wrong = kind.spoil(rows(), random)
        assert (wrong.targets == rows().targets).all()
        changed[kind.name] = int((wrong.inputs != rows().inputs).any(0).sum())
    ones = ("a column times 1,000", "a column times 10", "a column times 150", "a column of zeros", "a column shuffled")
    assert changed == {name: 1 if name in ones else 2 for name in SLIPS if name != "a column missing"}
    assert slips_of(VectorInput(kind="vector", size=1)) == ["all columns times 1,000", "all columns times 10", *ones]
    assert slips_of(INK_VECTOR) == []


def test_batches_of_a_table_are_held_where_columns_are_wrong() -> None:
    held = Counter(key for key, holds in compared(np.random.default_rng(0).normal([2, 9, 40], 1, (400, 3))) if holds)
    assert [held["right", sent] for sent in SENT] == [0, 0, 0]
    assert [held["columns shifted by one", sent] for sent in SENT] == [7, 7, 7]


@pytest.mark.long
def test_many_losses_of_a_fifth_of_a_point_are_stopped_before_they_are_five() -> None:
    course = eroded(stream_of("digits-images", None), SPREAD)
    assert course.stopped == [9]
    assert 0.005 < course.lost <= 0.05
    course = eroded(stream_of("digits-images", None, seed=3), ONE_CLASS)
    assert course.stopped == [9]
    assert 0.02 < course.lost_in_class <= 0.15


def test_a_live_version_leaves_rows_for_every_update() -> None:
    assert max(size for kind in KINDS if kind.late is none_late for size in kind.sizes) == LARGEST
    assert base_rows("small", 1437, late=False) == 837
    assert base_rows("digits-images", 1437, late=False) == 600
    assert base_rows("small", 287, late=True) == 287
    assert base_rows("tiny", 100, late=False) == 50


@pytest.mark.long
def test_a_run_that_is_cut_off_leaves_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draws = list[int]()

    def cut_off(rows: Rows, random: np.random.Generator) -> Rows:
        draws.append(len(rows))
        if len(draws) == 2:
            raise KeyboardInterrupt
        return rows

    kinds = (Kind("honest", True, (20,), honest), Kind("shuffled labels", False, (100,), shuffled))
    monkeypatch.setattr(gate, "KINDS", (*kinds, Kind("cut off", None, (20,), cut_off)))
    file = tmp_path / "results.json"
    with pytest.raises(KeyboardInterrupt):
        gate.main(["--streams=digits-images", "--seeds=2", "--method=ridge", f"--json={file}"])
    done = [(update["seed"], update["kind"]) for update in map(json.loads, file.read_text().splitlines())]
    assert done == [(0, "honest"), (0, "shuffled labels"), (0, "cut off"), (1, "honest"), (1, "shuffled labels")]
    said = capsys.readouterr().err
    assert "digits-images 0: 0 of 1 good ones stopped, 0 of 1 bad ones live and harmful" in said
    assert "digits-images 1" not in said


def test_seeds_are_at_least_one() -> None:
    assert [*seeds("0")] == [*seeds("1")] == [0]
    assert [*seeds("3")] == [0, 1, 2]
    assert [*seeds("1-2")] == [1, 2]
    with pytest.raises(ValueError, match="no seed"):
        seeds("4-1")


@pytest.mark.long
def test_a_long_stream_is_honest_or_worse_each_time() -> None:
    rows, random = drawn("wine", None, 0), np.random.default_rng(0)
    batch = (rows[0][:300], rows[1][:300])
    for name, harm in HARMS.items():
        none, all_ = harm(batch, rows, 0.0, random), harm(batch, rows, 1.0, random)
        assert (none[0] == batch[0]).all()
        assert (none[1] == batch[1]).all()
        moved, other = (all_[0] != batch[0]).any(1), all_[1] != batch[1]
        of_class = batch[1] == "0"
        assert name == "noise" or not (moved | other)[~of_class].any()
        assert name in ("noise", "half") or (moved | other)[of_class].all()
        assert (moved.any(), other.any()) == (name == "inputs", name != "inputs")
    law = Law("wine", 20, 0.1)
    assert Law.read("wine:20:0.1,digits:60:0") == [law, Law("digits", 60, 0.0)]
    done = course(law, HONEST, None, 0, 3, first=40)
    assert (done.updates, done.stopped) == (3, [])
    assert "wine, 20 rows, 10 %" in "\n".join(report([done]))
