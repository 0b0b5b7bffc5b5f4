"""Where a logarithm is learned, answers end about where targets do; where levels grow, answers grow with them."""

from __future__ import annotations

import numpy as np
import pytest

from service.export.program import Program
from service.learning.number_heads import learn
from service.serving.kinds.numbers import Values
from service.serving.predictor import Predictor
from tests.learning.number_streams import NumberStream, number, vector

FAR = np.array([[0.5], [4.0], [-4.0]], np.float32)
"""Asked of streams whose inputs lie between 0 and 1: one of these, and two far off."""


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learn, "REACH_ROWS", 10)


def learned(scale: str = "log", growth: float = 0.0, **params: object) -> NumberStream:
    """Four batches of targets between 1 and 20, which grow by a factor of e^growth with each."""
    stream, rng = NumberStream(vector(1), number(scale=scale)), np.random.default_rng(0)
    for k in range(4):
        X = rng.random((120, 1)).astype(np.float32)
        stream.learns(X, np.exp(3 * X[:, 0] + growth * k), **{"lift": "none", **params})
    return stream


def served(stream: NumberStream) -> np.ndarray:
    assert stream.checkpoint is not None
    answers = Predictor(stream.checkpoint).answer(FAR)
    assert isinstance(answers, Values)
    return answers.values[:, 0]


def test_answers_end_where_targets_do_and_an_export_ends_there_too() -> None:
    stream = learned()
    usual, most, least = served(stream)
    assert usual == pytest.approx(np.exp(1.5), rel=0.05)
    assert 18 < most < 25
    assert 0.8 < least < 1.2
    assert stream.checkpoint is not None
    exported = Program(stream.checkpoint)
    assert exported(exported.prepared(FAR)).numpy()[:, 0] == pytest.approx([usual, most, least])


@pytest.mark.parametrize(("scale", "params"), [("linear", {}), ("log", {"decay": 1})])
def test_answers_have_no_end_where_no_logarithm_is_learned_nor_where_order_must_not_count(
    scale: str, params: dict[str, object]
) -> None:
    stream = learned(scale, **params)
    assert stream.checkpoint.layout.exact.reach == []
    assert served(stream)[1] > 30


def test_where_levels_grow_so_do_answers() -> None:
    assert served(learned(growth=0.5))[1] > 1.5 * np.exp(3 + 3 * 0.5)


def test_targets_that_are_taken_back_do_not_widen_it() -> None:
    stream = learned()
    before = stream.checkpoint.layout.exact
    X = np.random.default_rng(1).random((120, 1)).astype(np.float32)
    spoilt = stream.learns(X, 1000 * np.exp(3 * X[:, 0]), name="bat_wrong", lift="none").checkpoint.layout.exact
    again = stream.again(without="bat_wrong", lift="none").checkpoint.layout.exact
    assert again.reach == before.reach != spoilt.reach
