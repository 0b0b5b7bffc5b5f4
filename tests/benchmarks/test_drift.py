"""Streams that are answered before they are learned: rows are sent as they came, figures are of their own stream."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import drift
from benchmarks.drift import answered
from benchmarks.learners import known as all_learners
from benchmarks.learners.joint import Boosting
from benchmarks.learners.known import learner_of, learners_of
from benchmarks.learners.network import encoder
from benchmarks.learners.river import RIVER
from benchmarks.learners.rules import COLUMN, LAST, MEAN
from benchmarks.streams.known import AS_THEY_CAME, stream_of
from benchmarks.streams.mixed import mixed, stream
from benchmarks.streams.stream import Layers, Rows, Stream
from benchmarks.streams.vectors import numbers
from benchmarks.tables.answered import Answered, beside_boosting, over_boosting, report, skill
from benchmarks.tables.records import BOOSTING, MLP, NEVER, PLAIN, PROMOTED, RECENT, SERVICE, keep, kept
from service.contract.tables import value_code

RANDOM = np.random.default_rng(0)
CITIES = np.array(["Oslo", "Lima", None], object)[RANDOM.integers(0, 3, 150)]
SIZES = RANDOM.normal(size=150)
COLUMNS = {"size": ("number", SIZES), "city": ("category", CITIES), "at": ("date", np.arange(150) / 24)}
BUYS = np.where(SIZES + 2.0 * (CITIES == "Oslo") > 1, "buys", "leaves")
BATCH = np.arange(150) // 50
SMALL = Layers((16,), epochs=60)


def drawn(**target: object) -> Stream:
    """Three batches of 40 rows."""
    random = np.random.default_rng(0)
    inputs = random.normal(size=(120, 3))
    targets = 50 + 10 * inputs[:, 0] + random.normal(size=120)
    return replace(numbers("drawn", inputs, targets, np.arange(120) // 40, **target), layers=SMALL)


def test_columns_become_rows_and_a_table_for_trees() -> None:
    made = mixed({"a": ("number", [1.5, np.nan]), "c": ("category", ["x ", None]), "at": ("date", [1.25, 3.0])})
    assert [column.kind for column in made.input.columns] == ["number", "category", "date"]
    assert np.allclose(made.rows, [[1.5, value_code("x"), 108_000], [np.nan, np.nan, 259_200]], equal_nan=True)
    assert made.named == {"c": {value_code("x"): "x"}}
    assert made.coded == (1,)
    trees = [[1.5, 0, 6, 4, 1], [np.nan, np.nan, 0, 6, 3]]
    assert np.allclose(made.trees, trees, equal_nan=True), "hour, weekday from Monday, day"


def test_networks_get_a_median_for_a_gap_and_a_column_a_value() -> None:
    made = stream("t", {"a": ("number", [1.0, np.nan, 3.0, 5.0]), "c": ("category", [*"xyxz"])}, [*"nnnm"], np.zeros(4))
    first = made.rows.take(np.arange(3))
    coded = encoder(made, first)(made.rows)
    assert np.sign(coded).astype(int).tolist() == [[-1, -1, 1, -1], [0, 1, -1, 1], [1, -1, 1, -1], [1, -1, -1, -1]]


@pytest.mark.long
@pytest.mark.parametrize("method", [PROMOTED, BOOSTING, MLP, *RIVER[1:2]])
def test_classes_are_answered_before_they_are_learned(method: str) -> None:
    """Of two batches the second says the opposite: who had learned it would rank it well."""
    turned = np.where(BATCH == 1, np.where(BUYS == "buys", "leaves", "buys"), BUYS)
    made = replace(stream("turned", COLUMNS, turned, BATCH).first(2), layers=SMALL)
    run = answered(made, method)
    assert (run.rows, run.batches) == (50, 1)
    assert run.auc is not None
    assert run.auc < 0.35
    assert run.accuracy == pytest.approx(run.by_batch[0])


@pytest.mark.parametrize(("method", "most"), [(PROMOTED, 6), (BOOSTING, 12), (MLP, 12), *((r, 16) for r in RIVER[1:2])])
def test_numbers_of_tables_are_answered_before_they_are_learned(method: str, most: float) -> None:
    y = 10 * SIZES + 20 * (CITIES == "Oslo")
    run = answered(replace(stream("drawn", COLUMNS, y, BATCH, kind="number").first(2), layers=SMALL), method)
    assert run.rows == 50
    assert run.mae is not None
    assert run.mae < most


def test_rules_answer_from_what_came_before() -> None:
    made = drawn(**{"from": 0})
    y = made.rows.targets
    later, before = y[40:], y[:-40].reshape(2, 40)
    last = np.repeat(before.mean(1), 40)
    so_far = np.repeat(before.mean(1).cumsum() / np.arange(1, 3), 40)
    expected = {LAST: last, MEAN: so_far, COLUMN: made.rows.inputs[40:, 0].astype(float)}
    for name, answers in expected.items():
        run = answered(made, name)
        assert run.mae == pytest.approx(np.abs(answers - later).mean(), rel=1e-12)
        assert (run.rows, run.batches, run.yardstick) == (80, 2, COLUMN)
    assert learners_of(made, ["rules", "auto", "joint", "recent"]) == [MEAN, COLUMN, SERVICE, BOOSTING, PLAIN, MLP]


def test_each_table_has_the_figures_of_its_own_stream(tmp_path: Path) -> None:
    runs = []
    for name, errors in {"near": (4.0, 2.0, 1.0), "far": (40.0, 10.0, 16.0)}.items():
        for method, mae in zip((MEAN, BOOSTING, SERVICE), errors, strict=True):
            run = Answered(name, method, rows=120, batches=3, mae=mae, yardstick=MEAN)
            runs.append(keep(run, tmp_path / "runs.jsonl"))
    assert kept(tmp_path / "runs.jsonl", Answered) == runs
    near, far = (r for r in runs if r.method == SERVICE)
    assert (over_boosting(near, runs), skill(near, runs)) == (0.5, 0.75)
    assert (over_boosting(far, runs), skill(far, runs)) == (1.6, 0.6)
    lines = "\n".join(report(runs)).split("far: 120 rows in 3 batches")
    assert "reached  MAE over joint boosting's: 0.5 <= 1.03" in lines[0]
    assert "MISSED   MAE over joint boosting's: 1.6 <= 1.03" in lines[1]


def test_a_table_of_classes_says_what_was_aimed_at() -> None:
    aucs = (("a", SERVICE, 0.84), ("a", BOOSTING, 0.83), ("b", SERVICE, 0.7), ("b", BOOSTING, 0.72))
    runs = [Answered(name, method, rows=10, batches=2, accuracy=0.8, auc=auc) for name, method, auc in aucs]
    assert beside_boosting(runs[2], runs) == pytest.approx(-0.02)
    said = "\n".join(report(runs))
    assert "MISSED   AUC beside joint boosting's: -0.02 >= -0.002" in said
    assert "MISSED   AUC beside joint boosting's, mean over streams: -0.005 >= 0" in said


@pytest.mark.long
def test_the_service_answers_a_batch_before_it_learns_it() -> None:
    run = answered(drawn(), SERVICE)
    assert len(run.by_batch) == 2
    assert len(run.gate) == len(run.chosen) == 3
    assert run.mae is not None
    assert run.mae < 2
    assert run.coverage is not None
    assert 0.5 < run.coverage <= 1
    changed = drawn()
    changed.rows.targets[80:] *= -1
    surprised = answered(changed, SERVICE)
    assert surprised.by_batch[0] == run.by_batch[0]
    assert surprised.by_batch[1] > 10


def test_what_a_method_takes_is_counted_where_numbers_are_learned() -> None:
    with learner_of(drawn(), SERVICE) as learner:
        learner.timed(learner.stream.batches[0])
        assert learner.training_seconds is not None
        assert learner.training_seconds > 0


@pytest.mark.long
def test_an_update_is_timed_beside_boosting_anew_by_the_rows_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = list[int]()
    monkeypatch.setattr(Boosting, "trained", lambda self, rows, goals: trained.append(len(rows)))
    head, columns, *lines = "\n".join(drift.histories(drawn(), [SERVICE], [80, 120], rows=10)).strip().splitlines()
    assert "10 rows" in head
    assert columns.split() == ["method", "rows", "features", "core", "s", "boosting", "share"]
    assert [line.split()[:2] for line in lines] == [[SERVICE, "80"], [SERVICE, "120"]]
    assert trained == [10, 80, 120], "the first is not timed"


def test_boosting_learns_the_difference_where_the_service_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Boosting, "trained", lambda self, rows, goals: lambda asked: goals[: len(asked)])
    made = drawn(**{"from": 0})
    made.rows.inputs[80:, 0] += 1000
    column, y = made.rows.inputs[:, 0].astype(float), made.rows.targets
    run, differences = answered(made, BOOSTING), y - column
    answers = np.concatenate([column[40:80] + differences[:40], column[80:] + differences[:40]])
    assert run.mae == pytest.approx(np.abs(answers - y[40:]).mean())
    plain = answered(made, PLAIN)
    assert plain.mae == pytest.approx(np.abs(np.tile(y[:40], 2) - y[40:]).mean())


def test_joint_learners_are_trained_on_all_rows_so_far_and_not_after_every_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = list[int]()
    monkeypatch.setattr(
        Boosting, "trained", lambda self, known, goals: (rows.append(len(known)), lambda asked: np.zeros(len(asked)))[1]
    )
    made = numbers("drawn", np.zeros((22, 1)), np.arange(22.0), np.arange(22) // 2)
    answered(made, BOOSTING, every=5)
    assert rows == [2, 4, 6, 10, 20, 22], "the first three batches, the fifth, the tenth and the last"
    rows.clear()
    answered(made, NEVER)
    assert rows == [2]
    rows.clear()
    monkeypatch.setattr(all_learners, "RECENT_BATCHES", 3)
    assert RECENT in learners_of(made, ["recent"])
    answered(made, RECENT)
    assert rows == [2, 4, *[6] * 9], "three batches at most"


@pytest.mark.long
def test_a_drifting_stream_is_answered_before_it_is_learned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(1100, 6)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.uint8)
    np.savez(tmp_path / "elec2.npz", X_train=x, y_train=y)
    file = tmp_path / "results"
    words = ["--data", str(tmp_path), "--batches", "3", "--methods", "rules,lda", "--json", str(file)]
    assert drift.main([*words, "--streams", "elec2"]) == 0
    assert "last known label" in capsys.readouterr().out
    runs = {run.method: run for run in kept(file, Answered)}
    lda, last = runs["lda"].accuracy, runs["last known label"].accuracy
    assert lda is not None
    assert last is not None
    assert lda > 0.9 > 0.6 > last
    assert len(runs["lda"].by_batch) == 2


def test_a_run_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(AS_THEY_CAME, "churn", lambda folder: stream("churn", COLUMNS, BUYS, BATCH))
    np.savez(tmp_path / "mine.npz", X=np.eye(4), y=np.arange(4), batch=np.array([0, 0, 1, 1]))
    words = ["--data", str(tmp_path), "--streams", "mine,churn", "--methods", "rules,never", "--json"]
    assert drift.main([*words, str(tmp_path / "out")]) == drift.main([*words, str(tmp_path / "out")]) == 0
    assert len((tmp_path / "out").read_text().splitlines()) == 3 + 5
    assert "mine: 2 rows in 1 batches" in capsys.readouterr().out
    assert drift.main(["--data", str(tmp_path), "--streams", "none"]) == 2
    assert drift.main(["--data", str(tmp_path), "--streams", "employment"]) == 2


def test_a_fifth_is_kept_aside_and_scored_by_parts_of_the_time() -> None:
    made = stream_of("market", None, seed=1).first(10)
    aside = made.aside()
    assert len(aside.test) == 10 * 33
    batches = aside.batches
    assert [len(rows) for rows in batches] == [168 - 33] * 10
    assert [rows.domain[0] for rows in batches] == [*"0011223344"]
    assert [sorted(group.keys) for group in aside.groups()] == [[part] for part in "01234"]
    learned = {tuple(row) for rows in batches for row in rows.inputs}
    assert not learned & {tuple(row) for row in aside.test.inputs}
    assert isinstance(aside.rows, Rows)
