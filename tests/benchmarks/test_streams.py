"""What the streams hand out, and the commands beside `learning`, at their smallest."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import deletions, drift, fit, peers, results
from benchmarks.streams.heads import PUBLISHED, run
from benchmarks.streams.streams import STREAMS, TAIL, Rows, load
from benchmarks.tables.learned import Learned, keep

DIGITS = STREAMS["digits-images"]


def test_orders_of_classes_are_drawn_from_the_second_seed_on() -> None:
    names = [str(k) for k in range(10)]
    assert DIGITS.steps(names)[0] == ["0", "1"]
    drawn = DIGITS.steps(names, seed=1)
    assert drawn != DIGITS.steps(names)
    assert sorted(name for step in drawn for name in step) == names
    train, test = load(DIGITS, None, seed=0)
    arrivals = DIGITS.arrivals(train, seed=1)
    assert [sorted({*a.rows.labels}) for a in arrivals] == [sorted(step) for step in drawn]
    groups = DIGITS.groups(arrivals, test)
    assert sum(len(g.places) for g in groups) == len(test)


def test_the_blurry_stream_is_mixed_and_long_tailed() -> None:
    labels = np.repeat([str(k) for k in range(5)], 400)
    stream = STREAMS["mnist10k-blurry"]
    arrivals = stream.arrivals(Rows(np.arange(2000, dtype=np.float32)[:, None], labels), seed=0)
    seen = np.concatenate([a.rows.labels for a in arrivals])
    counts = np.unique(seen, return_counts=True)[1]
    assert counts.max() / counts.min() == TAIL
    assert len(np.unique(np.concatenate([a.rows.inputs for a in arrivals]))) == len(seen)
    most = np.unique(seen)[counts.argmax()]
    assert sum(most in a.rows.labels for a in arrivals) > 5


def test_domains_come_one_after_another_with_their_names() -> None:
    rows = Rows(np.zeros((6, 4)), np.array(["a", "b"] * 3), np.array(["2", "2", "1", "1", "3", "3"]))
    stream = STREAMS["emoji32-sources"]
    assert [a.source for a in stream.arrivals(rows, 0)] == ["1", "2", "3"]
    assert stream.groups([], rows)[1].places.tolist() == [0, 1]
    assert stream.vectors.input.shape == (1280,)


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_published_heads_learn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.streams.heads.WIDTH", 100)
    draw = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c", "d"], 50)
    inputs = 4 * np.eye(6)[np.unique(labels, return_inverse=True)[1]] + draw.normal(0, 0.3, (200, 6))
    rows = Rows(inputs, labels)
    course = run(name, [rows.of("ab"), rows.of("cd")], [inputs[:100], inputs])
    assert course.names == [["a", "b"], ["a", "b", "c", "d"]]
    answers = np.array(course.names[1])[course.scores[1].argmax(1)]
    assert (answers == labels).mean() > 0.9


def test_a_drifting_stream_is_answered_before_it_is_learned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(1100, 6)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.uint8)
    np.savez(tmp_path / "elec2.npz", X_train=x, y_train=y, X_test=x[:9], y_test=y[:9])
    words = ["--data", str(tmp_path), "--weeks", "3", "--methods", "lda", "--json", str(tmp_path / "results.json")]
    assert drift.main(words) == 0
    assert "last known label" in capsys.readouterr().out
    courses = {c["method"]: c for c in json.loads((tmp_path / "results.json").read_text())}
    assert courses["lda"]["accuracy"] > 0.9 > 0.6 > courses["last known label"]["accuracy"]
    assert len(courses["lda"]["by_week"]) == 2
    assert drift.main(["--data", str(tmp_path / "nowhere")]) == 2


def test_what_is_taken_back_is_as_if_it_had_never_been(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(deletions, "BATCHES", 4)
    assert deletions.main(["--methods", "lda,fine_tune", "--json", str(tmp_path / "results.json")]) == 0
    lda, fine_tune = json.loads((tmp_path / "results.json").read_text())
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
    [speed] = json.loads((tmp_path / "results.json").read_text())
    assert len(speed["fit"]) == len(speed["bare"]) == 2
    assert not speed["avalanche"]


def test_peers_may_keep_as_many_rows_as_fit_into_our_bytes() -> None:
    ours = [Learned("letter", "auto", 0, kept=10**9), Learned("letter", "ridge", 1, kept=64 * 700 + 63)]
    assert peers.rows_in_bytes(STREAMS["letter"], 0, ours) == 18_000
    assert peers.rows_in_bytes(STREAMS["letter"], 1, ours) == 700
    with pytest.raises(SystemExit, match="No ridge or auto of letter, seed 2"):
        peers.rows_in_bytes(STREAMS["letter"], 2, ours)


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
    runs = results.kept(file)
    assert [r.accuracy for r in runs if not r.refused] == [0.5, 0.6]
    assert [r.refused for r in runs if r.refused] == ["ValueError('cannot')"] * 2
    assert {r.method for r in runs} == {"Avalanche replay, 0.7 of the rows", "Avalanche icarl, 0.7 of the rows"}
    for name, accuracy in (("Avalanche replay", 0.5), ("replay", 0.6), ("joint", 0.8)):
        keep(Learned("mnist10k", name, 0, accuracy, seconds=2.0, training_seconds=1.0, accuracies=[accuracy]), file)
    capsys.readouterr()
    assert results.main([str(file)]) == 0
    output = capsys.readouterr().out
    assert "0.7500" in output  # of joint
    assert "reached  mnist10k, replay against Avalanche replay, points: 10 >= -1" in output
    assert "reached  mnist10k, replay: core-seconds of training, times Avalanche's: 0.5 <= 0.8" in output
