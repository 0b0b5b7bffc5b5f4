"""The benchmark of numbers: each figure of a table comes from its own stream, and every batch is answered first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import numbers
from benchmarks.streams import number_learners
from benchmarks.streams.number_learners import COLUMN, LAST, MEAN, by_joint, by_rule, by_service
from benchmarks.streams.numbers import NumberStream, number_stream, stream_of
from benchmarks.streams.packaged import tabled
from benchmarks.tables.answered import BOOSTING, PLAIN, SERVICE, Answered, keep, kept, over_boosting, report, skill
from service.contract.targets import NumberTarget

FROM_FIRST = NumberTarget.model_validate({"kind": "number", "from": 0})


def drawn(target: NumberTarget | None = None) -> NumberStream:
    """Three batches of 40 rows."""
    random = np.random.default_rng(0)
    inputs = random.normal(size=(120, 3))
    targets = 50 + 10 * inputs[:, 0] + random.normal(size=120)
    return stream_of("drawn", inputs, targets, np.arange(120) // 40, target)


def test_rules_answer_from_what_came_before() -> None:
    stream = drawn(FROM_FIRST)
    later, before = stream.targets[40:], stream.targets[:-40].reshape(2, 40)
    last = np.repeat(before.mean(1), 40)
    so_far = np.repeat(before.mean(1).cumsum() / np.arange(1, 3), 40)
    expected = {LAST: last, MEAN: so_far, COLUMN: stream.inputs[40:, 0].astype(float)}
    for name, answers in expected.items():
        run = by_rule(stream, name)
        assert run.mae == pytest.approx(np.abs(answers - later).mean(), rel=1e-12)
        assert (run.rows, run.batches, run.yardstick) == (80, 2, COLUMN)


def test_each_table_has_the_figures_of_its_own_stream(tmp_path: Path) -> None:
    runs = []
    for name, errors in {"near": (4.0, 2.0, 1.0), "far": (40.0, 10.0, 16.0)}.items():
        for learner, mae in zip((MEAN, BOOSTING, SERVICE), errors, strict=True):
            runs.append(keep(Answered(name, learner, MEAN, mae, 120, 3), tmp_path / "runs.jsonl"))
    assert kept(tmp_path / "runs.jsonl") == runs
    near, far = (r for r in runs if r.learner == SERVICE)
    assert (over_boosting(near, runs), skill(near, runs)) == (0.5, 0.75)
    assert (over_boosting(far, runs), skill(far, runs)) == (1.6, 0.6)
    lines = "\n".join(report(runs)).split("far: 120 rows in 3 batches")
    assert "reached  MAE over joint boosting's: 0.5 <= 1.03" in lines[0]
    assert "MISSED   MAE over joint boosting's: 1.6 <= 1.03" in lines[1]


def test_the_service_answers_a_batch_before_it_learns_it() -> None:
    run = by_service(drawn())
    assert len(run.by_batch) == 2
    assert len(run.gate) == len(run.seconds) == 3
    assert run.mae < 2
    assert run.coverage is not None
    assert 0.5 < run.coverage <= 1
    changed = drawn()
    changed.targets[80:] *= -1
    surprised = by_service(changed)
    assert surprised.by_batch[0] == run.by_batch[0]
    assert surprised.by_batch[1] > 10


def test_boosting_learns_the_difference_where_the_service_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_learners, "_boosting", lambda stream, rows, goals: lambda asked: goals[: len(asked)])
    stream = drawn(FROM_FIRST)
    stream.inputs[80:, 0] += 1000
    column, differences = stream.inputs[:, 0].astype(float), stream.targets - stream.inputs[:, 0]
    run = by_joint(stream, BOOSTING, every=1)
    answers = np.concatenate([column[40:80] + differences[:40], column[80:] + differences[:40]])
    assert run.mae == pytest.approx(np.abs(answers - stream.targets[40:]).mean())
    assert (run.rows, len(run.seconds)) == (80, 2)
    plain = by_joint(stream, PLAIN, every=1)
    assert plain.mae == pytest.approx(np.abs(np.tile(stream.targets[:40], 2) - stream.targets[40:]).mean())


def test_tables_become_vectors() -> None:
    numbers_of = {"a": np.array([1.0, np.nan, 3.0, 5.0])}
    stream = tabled("t", numbers_of, {"c": np.array(["x", "y", "x", "z"])}, np.arange(4.0), np.array([0, 0, 0, 1]))
    assert stream.inputs.tolist() == [[1, 0, 1, 0, 0], [2, 1, 0, 1, 0], [3, 0, 1, 0, 0], [5, 0, 0, 0, 1]]
    assert stream.table is not None
    assert stream.table[:, 1].tolist() == [0, 1, 0, 2]
    assert stream.coded == (len(stream.table[0]) - 1,)


def test_a_run_is_not_done_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "mine.npz", X=np.eye(4), y=np.arange(4), batch=np.array([0, 0, 1, 1]))
    words = ["--data", str(tmp_path), "--streams", "mine", "--learners", "rules", "--json", str(tmp_path / "out")]
    assert numbers.main(words) == numbers.main(words) == 0
    assert len((tmp_path / "out").read_text().splitlines()) == 2
    assert "mine: 2 rows in 1 batches" in capsys.readouterr().out
    assert number_stream("market", None).targets.shape == (18 * 168,)
    assert numbers.main(["--data", str(tmp_path), "--streams", "none"]) == 2
