"""What the streams hand out, and the commands beside `learning`, at their smallest."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest

from benchmarks import deletions, peers
from benchmarks.learners.avalanche import AVALANCHE, Avalanche
from benchmarks.learners.learner import why_absent
from benchmarks.learners.scikit import SCIKIT
from benchmarks.streams import mixed
from benchmarks.streams.frozen import WIDTHS
from benchmarks.streams.known import stream_of
from benchmarks.streams.steps import PLANS, TAIL, load
from benchmarks.streams.stream import Layers, Rows, Stream
from benchmarks.tables.learned import Learned, report
from benchmarks.tables.records import kept
from service.contract.inputs import VectorInput

DIGITS = PLANS["digits-images"]


def test_a_carried_table_comes_as_it_is_stored_or_in_a_drawn_order(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pandas.DataFrame({"slag": np.arange(250.0), "kind": ["a"] * 250, "strength": [*range(249), None]})
    monkeypatch.setattr(mixed, "packaged", lambda package, item: {("modeldata", "concrete"): frame}[package, item])
    numbers = stream_of("modeldata/concrete/strength", None)
    assert numbers.numbers is not None
    assert [len(rows) for rows in numbers.batches] == [100, 100, 49]
    assert numbers.rows.inputs[:, 0].tolist() == numbers.rows.targets.tolist() == [*range(249)]
    drawn = stream_of("modeldata/concrete/strength/drawn", None).rows
    assert drawn.inputs[:, 0].tolist() == drawn.targets.tolist() != [*range(249)]
    assert sorted(drawn.targets.tolist()) == [*range(249)]
    assert stream_of("modeldata/concrete/kind", None, seed=3).seed == 3


@pytest.mark.long
def test_orders_of_classes_are_drawn_from_the_second_seed_on() -> None:
    names = [str(k) for k in range(10)]
    assert DIGITS.steps(names)[0] == ["0", "1"]
    drawn = DIGITS.steps(names, seed=1)
    assert drawn != DIGITS.steps(names)
    assert sorted(name for step in drawn for name in step) == names
    stream = replace(DIGITS.stream(None, 0), parts=DIGITS.parts(load(DIGITS, None, seed=0)[0], seed=1))
    assert [sorted({*rows.targets}) for rows in stream.batches] == [sorted(step) for step in drawn]
    assert stream.test is not None
    assert sum(len(g.places) for g in stream.groups()) == len(stream.test)


def test_the_blurry_stream_is_mixed_and_long_tailed() -> None:
    labels = np.repeat([str(k) for k in range(5)], 400)
    rows = Rows(np.arange(2000, dtype=np.float32)[:, None], labels)
    parts = PLANS["mnist10k-blurry"].parts(rows, seed=0)
    seen = labels[np.concatenate(parts)]
    counts = np.unique(seen, return_counts=True)[1]
    assert counts.max() / counts.min() == TAIL
    assert len(np.unique(np.concatenate(parts))) == len(seen)
    most = np.unique(seen)[counts.argmax()]
    assert sum(most in labels[part] for part in parts) > 5


def test_domains_come_one_after_another_with_their_names() -> None:
    rows = Rows(np.zeros((6, 4)), np.array(["a", "b"] * 3), np.array(["2", "2", "1", "1", "3", "3"]))
    spec = VectorInput(kind="vector", size=4)
    stream = Stream("s", spec, rows, PLANS["emoji32-sources"].parts(rows, 0), rows, kind="domains", sourced=True)
    assert [stream.source(batch) for batch in stream.batches] == ["1", "2", "3"]
    assert stream.groups()[1].places.tolist() == [0, 1]


def test_streams_of_a_backbone_have_its_features_beside_them(tmp_path: Path) -> None:
    plan, draw = PLANS["emoji32-styles"], np.random.default_rng(0)
    parts = {"train": 6, "test": 2}
    data = {f"X_{part}": draw.integers(0, 255, (n, 32, 32, 3), np.uint8) for part, n in parts.items()}
    data |= {f"{c}_{part}": np.array([*"ababab"])[:n] for part, n in parts.items() for c in ("y", "domain")}
    np.savez(tmp_path / "emoji32.npz", **data)
    features = {part: np.arange(n * 1280, dtype=np.float32).reshape(n, 1280) for part, n in parts.items()}
    (tmp_path / "kept").mkdir()
    np.savez(tmp_path / "kept" / "emoji32.npz", **features)
    stream = plan.stream(tmp_path, 1, tmp_path / "kept")
    plain = stream.plain
    assert plain.input.shape == (WIDTHS["efficientnet_lite0"],)
    assert (stream.rows.targets == plain.rows.targets).all()
    order = (plain.rows.inputs[:, 0] // 1280).astype(int)
    assert (data["X_train"][order].transpose(0, 3, 1, 2) == stream.rows.inputs).all()


@pytest.mark.long
def test_what_is_taken_back_is_as_if_it_had_never_been(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(deletions, "BATCHES", 4)
    assert deletions.main(["--methods", "lda,fine_tune", "--seeds", "1", "--json", str(tmp_path / "results.json")]) == 0
    lda, fine_tune = map(json.loads, (tmp_path / "results.json").read_text().splitlines())
    assert lda["same_sums"]
    assert lda["after"] == lda["anew"]
    assert fine_tune["same_sums"] is None
    assert fine_tune["how"].startswith("Replayed")
    assert "same sums" in capsys.readouterr().out


def drawn() -> Rows:
    """Four classes of 60 rows in 16 columns, far apart."""
    labels = np.repeat([*"abcd"], 60)
    noise = np.random.default_rng(0).normal(size=(240, 16))
    return Rows((6 * np.eye(16)[np.repeat(np.arange(4), 60)] + noise).astype(np.float32), labels)


def test_peers_stand_beside_ours_and_one_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "avalanche", None)
    monkeypatch.setitem(PLANS, "letter", replace(PLANS["letter"], first=2))
    why_absent.cache_clear()
    rows = drawn()
    np.savez(
        tmp_path / "letter.npz",
        **{f"{c}_{p}": v for p in ("train", "test") for c, v in (("X", rows.inputs), ("y", rows.targets))},
    )
    words = ["--data", str(tmp_path), "--streams", "letter", "--seeds", "1", "--json", str(tmp_path / "runs")]
    assert peers.main([*words, "--methods", "replay,RanPAC:width=50,avalanche,sklearn,river tree"]) == 0
    why_absent.cache_clear()
    output = capsys.readouterr()
    assert "avalanche is left out" in output.err
    assert "pip install -e '.[peers]'" in output.err
    runs = {run.method: run for run in kept(tmp_path / "runs", Learned)}
    assert list(runs) == ["joint", "replay", "RanPAC:width=50", *SCIKIT, "river tree"]
    assert min(runs[name].accuracy for name in ("joint", "RanPAC:width=50")) > 0.95
    assert min(run.accuracy for run in runs.values()) > 0.4


@pytest.mark.peers
@pytest.mark.filterwarnings("default")  # Avalanche and what it imports warn of much
@pytest.mark.parametrize("name", AVALANCHE)
def test_strategies_of_avalanche_learn_the_same_batches(name: str) -> None:
    rows, spec = drawn(), VectorInput(kind="vector", size=16)
    parts = [np.flatnonzero(np.isin(rows.targets, [*step])) for step in ("cd", "ab")]
    learner = Avalanche(Stream("drawn", spec, rows, parts, kind="classes", layers=Layers((16,), 0.1, 20)), name)
    for batch, known in zip(learner.stream.batches, ([*"cd"], [*"cdab"]), strict=True):
        learner.learn(batch)
        answers = learner.answer(batch)
        assert answers.names == known
        assert (np.array(known)[answers.values.argmax(1)] == batch.targets).mean() > 0.9
    assert learner.bytes > 0


def test_methods_stand_beside_the_strategy_of_their_name(tmp_path: Path) -> None:
    runs = [
        Learned("letter", name, seed, seconds=spent, accuracy=accuracy + seed / 10, training_seconds=1.0)
        for name, accuracy, spent in (("der_pp", 0.6, 3.0), ("Avalanche der++", 0.5, 2.0), ("Avalanche slda", 0.4, 1.0))
        for seed in (0, 1)
    ]
    line = "\n".join(report(runs)).strip().splitlines()[-1]
    assert " ".join(line.split()) == "der_pp 0.6500 0.600-0.700 0.5500 0.500-0.600 +10.0 – – 0.50 1.50"
