"""What the streams hand out, and the commands beside `learning`, at their smallest."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import deletions, fit, peers, results
from benchmarks.learners.published import PUBLISHED, PublishedHead
from benchmarks.streams.frozen import WIDTHS
from benchmarks.streams.steps import PLANS, TAIL, load
from benchmarks.streams.stream import Rows, Stream
from benchmarks.tables.learned import Learned
from benchmarks.tables.records import keep, kept
from service.contract.inputs import VectorInput

DIGITS = PLANS["digits-images"]


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


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_published_heads_learn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.learners.published.WIDTH", 100)
    draw = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c", "d"], 50)
    inputs = 4 * np.eye(6)[np.unique(labels, return_inverse=True)[1]] + draw.normal(0, 0.3, (200, 6))
    rows = Rows(inputs, labels)
    head = PublishedHead(Stream("drawn", VectorInput(kind="vector", size=6), rows, []), name)
    for classes, known in (("ab", [*"ab"]), ("cd", [*"abcd"])):
        head.learn(rows.of([*classes]))
        assert head.answer(rows).names == known
    answers = np.array(head.answer(rows).names)[head.answer(rows).values.argmax(1)]
    assert (answers == labels).mean() > 0.9


def test_what_is_taken_back_is_as_if_it_had_never_been(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(deletions, "BATCHES", 4)
    assert deletions.main(["--methods", "lda,fine_tune", "--json", str(tmp_path / "results.json")]) == 0
    lda, fine_tune = map(json.loads, (tmp_path / "results.json").read_text().splitlines())
    assert lda["same_sums"]
    assert lda["after"] == lda["anew"]
    assert fine_tune["same_sums"] is None
    assert fine_tune["how"].startswith("Replayed")
    assert "same sums" in capsys.readouterr().out


def test_the_training_loop_is_timed_beside_a_bare_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.random.default_rng(0).normal(size=(200, 16)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.uint8)
    np.savez(tmp_path / "letter.npz", X_train=x, y_train=y, X_test=x, y_test=y)
    words = ["--data", str(tmp_path), "--streams", "letter", "--repeats", "2"]
    assert fit.main([*words, "--json", str(tmp_path / "results.json")]) == 0
    assert "letter: times a bare loop" in capsys.readouterr().out
    [speed] = map(json.loads, (tmp_path / "results.json").read_text().splitlines())
    assert len(speed["fit"]) == len(speed["bare"]) == 2
    assert not speed["avalanche"]


def test_peers_may_keep_as_many_rows_as_fit_into_our_bytes() -> None:
    ours = [Learned("letter", "auto", 0, kept=10**9), Learned("letter", "ridge", 1, kept=64 * 700 + 63)]
    assert peers.rows_in_bytes(PLANS["letter"], 0, ours) == 18_000
    assert peers.rows_in_bytes(PLANS["letter"], 1, ours) == 700
    with pytest.raises(SystemExit, match="No ridge or auto of letter, seed 2"):
        peers.rows_in_bytes(PLANS["letter"], 2, ours)


@pytest.mark.long
def test_peers_run_in_an_interpreter_of_their_own_and_stand_beside_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scenarios.py").write_text(
        "import torch\n"
        "def steps(classes, first, then, seed=None): return [seed]\n"
        "class Stream:\n"
        "    def __init__(self, name):\n"
        "        self.order = steps(10, 2, 2)\n"
        "        self.train = [(torch.arange(10.0)[:, None], torch.arange(10))]\n"
    )
    (tmp_path / "peers.py").write_text(
        "MEM = 500\n"
        "def run(method, stream, seed, lr, hp):\n"
        "    if method == 'icarl': raise ValueError('cannot')\n"
        "    assert stream.order == [seed or None] and len(stream.train[0][1]) == 7 and MEM == 500\n"
        "    return dict(final=0.5 + seed / 10, avg_inc=0.6, forgetting=0.1, train_s=2.0, last_s=1.0, bytes=8)\n"
    )
    file = tmp_path / "peers.jsonl"
    words = ["--peers-python", sys.executable, "--peers", str(tmp_path), "--json", str(file), "--share", "0.7"]
    assert peers.main([*words, "--streams", "mnist10k", "--methods", "replay,icarl", "--seeds", "2"]) == 0
    runs = kept(file, Learned)
    assert [r.accuracy for r in runs if not r.refused] == [0.5, 0.6]
    assert [r.refused for r in runs if r.refused] == ["ValueError('cannot')"] * 2
    assert {r.method for r in runs} == {"Avalanche replay, 0.7 of the rows", "Avalanche icarl, 0.7 of the rows"}
    for name, accuracy in (("Avalanche replay", 0.5), ("replay", 0.6), ("joint", 0.8)):
        keep(
            Learned("mnist10k", name, seconds=2.0, accuracy=accuracy, training_seconds=1.0, accuracies=[accuracy]), file
        )
    capsys.readouterr()
    assert results.main([str(file)]) == 0
    output = capsys.readouterr().out
    assert "0.7500" in output  # of joint
    assert "reached  mnist10k, replay against Avalanche replay, points: 10 >= -1" in output
    assert "reached  mnist10k, replay: core-seconds of training, times Avalanche's: 0.5 <= 0.8" in output
