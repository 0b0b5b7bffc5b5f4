"""The benchmark of the gate for numbers: its streams, its wrong batches, and one batch of each kind, judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import number_gate
from benchmarks.number_gate import RIGHT, WAYS, in_a_row_report, judged_in_a_row, judged_numbers, number_report
from benchmarks.streams.known import stream_of
from benchmarks.streams.slips import SLIPS
from benchmarks.streams.stream import Stream
from benchmarks.streams.vectors import numbers
from service.contract.targets.number_target import NumberTarget


def test_streams_come_in_batches_and_files_are_streams(tmp_path: Path) -> None:
    drawn = stream_of("seasons", None)
    sizes = [len(rows) for rows in drawn.batches]
    assert sum(sizes) == len(drawn.rows) == 10_400
    assert len(sizes) == 105
    assert len(stream_of("market", None).rows) == 18 * 168
    np.savez(tmp_path / "mine.npz", X=np.eye(4), y=np.arange(4), batch=np.array([0, 0, 1, 1]))
    _, later = stream_of("mine", tmp_path).batches
    assert (later.inputs == np.eye(4, dtype=np.float32)[2:]).all()
    assert later.targets.tolist() == [2.0, 3.0]
    with pytest.raises(FileNotFoundError, match=r"elec2 needs --data FOLDER .* with elec2\.npz"):
        stream_of("price", tmp_path)


def mine(rows: int) -> Stream:
    """80 a batch."""
    random = np.random.default_rng(0)
    inputs = random.normal(size=(rows, 3))
    return numbers("mine", inputs, 50 + 10 * inputs[:, 0] + random.normal(size=rows), np.arange(rows) // 80)


def logarithmic(rows: int) -> Stream:
    """The same, as the logarithms of what is sent."""
    plain = mine(rows)
    sent = replace(plain.rows, targets=np.exp(plain.rows.targets / 20))
    return replace(plain, rows=sent, target=NumberTarget(kind="number", scale="log"))


def test_wrong_batches_are_wrong() -> None:
    targets = np.random.default_rng(0).normal(50, 10, 200)
    random = np.random.default_rng(1)
    for way, spoil in WAYS.items():
        wrong = spoil(targets.copy(), random)
        assert wrong.shape == targets.shape
        assert (wrong != targets).any() == (way != RIGHT), way
    assert 30 < (WAYS["3 in 10 times 10"](targets, random) != targets).sum() < 90
    assert sorted(WAYS["shuffled"](targets, random)) == sorted(targets)


def test_a_batch_is_judged_in_every_way_by_the_services_own_update(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_gate, "WAYS", {way: WAYS[way] for way in (RIGHT, "10 times", "one value")})
    judged = list(judged_numbers(mine(400), points=1, method="ridge"))
    verdicts = {j.way: j.verdict for j in judged}
    assert list(verdicts) == [RIGHT, "10 times", "one value"]
    assert verdicts[RIGHT] == "promoted"
    assert verdicts["10 times"] == verdicts["one value"] == "rejected"
    assert next(j.rise for j in judged if j.way == "10 times") > 1
    assert "of 1 right batches, not promoted: 0 <= 0.01" in "\n".join(number_report(judged))


@pytest.mark.long
def test_inputs_come_wrong_in_place_of_targets_and_as_many_rows_as_are_asked() -> None:
    judged = list(judged_numbers(mine(400), points=1, method="ridge", inputs=True, most=50))
    assert [j.way for j in judged] == [RIGHT, *(name for name in SLIPS if name != "a column missing")]
    assert {j.rows for j in judged} == {50}
    assert "promoted" not in {j.verdict for j in judged if "all columns" in j.way}
    assert next(j.rise for j in judged if j.way == RIGHT) == 0
    assert "columns shifted by one" in "\n".join(number_report(judged))


def test_a_batch_that_no_method_takes_counts_as_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_gate, "WAYS", {RIGHT: WAYS[RIGHT], "absurd": lambda y, random: y * 1e9})
    verdicts = {j.way: (j.verdict, j.rules) for j in judged_numbers(mine(400), points=1, method="ridge")}
    assert verdicts == {RIGHT: ("promoted", []), "absurd": ("rejected", ["refused"])}


@pytest.mark.long
def test_ways_of_which_no_logarithm_is_learned_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = {way: WAYS[way] for way in (RIGHT, "10 times", "other sign")}
    monkeypatch.setattr(number_gate, "WAYS", ways)
    judged = list(judged_numbers(logarithmic(400), points=1, method="ridge"))
    assert {j.way: j.verdict for j in judged} == {RIGHT: "promoted", "10 times": "rejected"}
    assert "other sign" not in "\n".join(number_report(judged))
    method = {"name": "ridge", "lift": "none"}
    in_a_row = list(judged_in_a_row(logarithmic(560), points=1, method=method, times=1))
    assert [row.way for row in in_a_row] == [RIGHT, "10 times"]
    assert "other sign" not in "\n".join(in_a_row_report(in_a_row))


@pytest.mark.long
def test_a_shift_that_is_sent_again_and_again_is_taken_for_a_world_that_has_moved_and_a_wrong_unit_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ways = (RIGHT, "10 times", "shifted by 1 sd")
    monkeypatch.setattr(number_gate, "WAYS", {way: WAYS[way] for way in ways})
    method = {"name": "ridge", "lift": "none"}
    rows = list(judged_in_a_row(mine(720), points=1, method=method, times=3))
    assert {row.way: row.first for row in rows} == {RIGHT: 1, "10 times": None, "shifted by 1 sd": 3}
    assert "live from 3" in "\n".join(in_a_row_report(rows))
