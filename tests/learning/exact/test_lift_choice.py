"""Which lift `auto` takes: the one that does best on rows no judge sees; of equals convolutions, or the smaller."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.contract.inputs import Architecture, ImageInput, InputSpec, RangeScale, VectorInput
from service.learning.data.rows import Rows
from service.learning.exact import lift_choice
from service.learning.exact.lift_choice import ByAccuracy, LiftChoice, balanced_accuracy
from service.learning.exact.ridge_solver import Ridge
from service.learning.ledger.feature_space import Space
from service.learning.ledger.headless_networks import identity_network
from service.learning.methods.freeze.lda import Discriminants
from service.learning.network.input_scale import scale_for
from service.learning.network.lifts import candidate_lifts
from service.learning.run import Run
from tests.learning.exact_help import SECRET, VECTOR
from tests.learning.memory_data import MemoryData
from tests.updating import make_rows

PLANE = VectorInput(kind="vector", size=2, scale=RangeScale(range=(-1, 1)))
SOLVER = Ridge(0.25)


def chosen(x: np.ndarray, y: list[str], spec: InputSpec = PLANE, solver: Ridge | Discriminants = SOLVER) -> LiftChoice:
    return chosen_by(make_rows("bat_1", x.astype(np.float32), y, SECRET), spec, solver)


def chosen_by(rows: Rows, spec: InputSpec = PLANE, solver: Ridge | Discriminants = SOLVER) -> LiftChoice:
    unlifted = Space.of(identity_network(spec, scale_for(spec, rows.inputs)[0]))
    return ByAccuracy(solver).choose(unlifted, rows, MemoryData(spec, Architecture(), [], rows), Run())


def corners(n: int) -> tuple[np.ndarray, list[str]]:
    """What no line can tell apart."""
    x = np.random.default_rng(0).uniform(-1, 1, (n, 2))
    return x, ["same" if a * b > 0 else "other" for a, b in x]


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.learning.network.lifts.WIDTH", 60)


@pytest.mark.parametrize("n", [60, 400])
@pytest.mark.parametrize("solver", [SOLVER, Discriminants(0.0)])
def test_curved_classes_get_random_features(n: int, solver: Ridge | Discriminants) -> None:
    choice = chosen(*corners(n), solver=solver)
    assert choice.lifts[0].kind in ("relu", "fourier")
    assert list(choice.scores) == ["none 2", "relu 60", "fourier 60"]


def test_more_filters_are_taken_where_they_help_and_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.learning.network.lifts.SMALL", 5)
    spec = ImageInput(kind="image", channels=1, height=5, width=5)
    images = np.random.default_rng(0).uniform(0, 255, (90, 1, 5, 5))
    labels = [str(k % 2) for k in range(90)]
    for some, twice, width in ((0.5, 0.52, 256), (0.5, 0.504, 128), (0.95, 0.99, 128)):
        scores = iter([0.4, 0.3, some, twice])
        monkeypatch.setattr(lift_choice, "unseen_accuracy", lambda *_, scores=scores: next(scores))
        assert chosen(images, labels, spec).lifts[0].width == width


@pytest.mark.parametrize("selecting", [5, 10_000])
def test_ties_go_to_the_smaller(monkeypatch: pytest.MonkeyPatch, selecting: int) -> None:
    monkeypatch.setattr(lift_choice, "SELECTING_ROWS", selecting)
    x = np.random.default_rng(0).uniform(0.4, 1, (300, 2)) * np.repeat([[1], [-1]], 150, 0)
    choice = chosen(x, ["plus"] * 150 + ["minus"] * 150)
    assert choice.lifts[0].kind == "none"
    assert set(choice.scores.values()) == {1.0}


def test_ties_of_images_go_to_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lift_choice, "unseen_accuracy", lambda *_: 1.0)
    images = np.random.default_rng(0).uniform(0, 255, (90, 1, 5, 5))
    choice = chosen(images, [str(k % 2) for k in range(90)], ImageInput(kind="image", channels=1, height=5, width=5))
    assert [lift.kind for lift in choice.lifts] == ["conv"]
    assert next(iter(choice.scores)) == "none 25"


def test_judging_rows_decide_nothing() -> None:
    x, y = corners(200)
    rows = make_rows("bat_1", x.astype(np.float32), y, SECRET)
    without, judges = rows.take(rows.folds > 1), rows.take(rows.folds < 2)
    spoilt = Rows.concat([without, replace(judges, inputs=judges.inputs * 0)])
    assert chosen_by(without).scores == chosen_by(spoilt).scores


@pytest.mark.parametrize(("n", "classes"), [(8, 2), (90, 1)])
def test_too_few_rows_tell_nothing(n: int, classes: int) -> None:
    labels = [str(k % classes) for k in range(n)]
    vector = chosen(np.random.default_rng(0).uniform(-1, 1, (n, 2)), labels)
    assert ([lift.kind for lift in vector.lifts], vector.scores) == (["none"], {})
    image = ImageInput(kind="image", channels=1, height=4, width=4)
    choice = chosen(np.random.default_rng(0).uniform(0, 255, (n, 1, 4, 4)), labels, image)
    assert ([lift.kind for lift in choice.lifts], choice.scores) == (["conv"], {})


def test_balanced_accuracy_counts_classes_alike() -> None:
    logits = np.array([[1.0, 0], [1, 0], [1, 0], [np.nan, np.nan]])
    assert balanced_accuracy(logits, np.array([0, 0, 0, 1])) == 0.5
    assert [len(lifts) for lifts in candidate_lifts(VECTOR, 5)] == [1, 1, 1]
