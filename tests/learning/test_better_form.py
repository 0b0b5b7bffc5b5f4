"""Ridge or lda: each is chosen where it is better, and what serves stays where neither is."""

from __future__ import annotations

import numpy as np

from service.contract.inputs import Architecture, VectorInput
from service.learning.batch import Rows, make_rows
from service.learning.better_form import better_form
from service.learning.checkpoint import Checkpoint
from service.learning.method import Method, Run
from service.learning.methods import lda, ridge
from tests.learning.exact_help import SECRET
from tests.learning.memory_data import MemoryData

SPEC = VectorInput(kind="vector", size=2)


def in_a_row(seed: int, rows: int = 400) -> Rows:
    """Five classes side by side: a regression on one-hot targets cannot answer those in the middle."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 5, rows)
    x = np.c_[y + 0.1 * rng.standard_normal(rows), rng.standard_normal(rows)]
    return make_rows(f"bat_{seed}", x.astype(np.float32), [f"class {k}" for k in y], SECRET)


def uneven(seed: int, rows: int = 600) -> Rows:
    """Two classes of very different spread: the shared spread of lda is wrong for both, ridge only draws a line."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, rows)
    x = np.c_[np.where(y, 1 + 4 * rng.exponential(size=rows), -0.2 * rng.exponential(size=rows)), rng.random(rows)]
    return make_rows(f"bat_{seed}", x.astype(np.float32), [f"class {k}" for k in y], SECRET)


def first(method: Method, rows: Rows) -> Checkpoint:
    data = MemoryData(SPEC, Architecture(), [], rows)
    return method.update(None, data, method.Params(lift="none"), Run()).checkpoint


def asked(base: Checkpoint | None, known: list[Rows], rows: Rows) -> MemoryData:
    return MemoryData(SPEC, Architecture(), known, rows)


def test_discriminants_where_classes_lie_in_a_row() -> None:
    one, two = in_a_row(0), in_a_row(1)
    for method in (ridge.METHOD, lda.METHOD):
        base = first(method, one)
        found = better_form(base, asked(base, [one], two), Run())
        assert found.name == "lda"
        assert found.scores["lda"] > 0.95 > 0.8 > found.scores["ridge"]
        assert f"{found.scores['lda']:.3f}" in found.told()
        assert found.rows == int((two.folds >= 2).sum() + (one.folds == 2).sum()), "too few to choose by alone"


def test_with_rows_enough_kept_back_those_alone_decide() -> None:
    one, two = in_a_row(0, rows=1800), in_a_row(1, rows=900)
    found = better_form(first(ridge.METHOD, one), asked(None, [one], two), Run())
    assert found.name == "lda"
    assert found.rows == int((one.folds == 2).sum() + (two.folds == 2).sum()) >= 200


def test_what_serves_stays_where_neither_is_better() -> None:
    one, two = uneven(0), uneven(1)
    by_ridge = better_form(first(ridge.METHOD, one), asked(None, [one], two), Run())
    by_lda = better_form(first(lda.METHOD, one), asked(None, [one], two), Run())
    assert by_ridge.scores == by_lda.scores
    apart = by_ridge.scores["ridge"] - by_ridge.scores["lda"]
    if abs(apart) <= 0.005:
        assert (by_ridge.name, by_lda.name) == ("ridge", "lda")
    else:
        assert by_ridge.name == by_lda.name == ("ridge" if apart > 0 else "lda")


def test_few_rows_and_an_unknown_space_tell_nothing() -> None:
    one, few = in_a_row(0, rows=12), in_a_row(1, rows=6)
    base = first(lda.METHOD, one)
    assert (found := better_form(base, asked(base, [one], few), Run())).name == "lda"
    assert found.scores == {}
    assert better_form(None, asked(None, [], in_a_row(0)), Run()).name == "ridge"
