"""A loaded version: probabilities that sum to one, ties by name, the same answer for any number of rows."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from service.contract.inputs import Architecture, ImageInput, VectorInput
from service.errors import CorruptArtifact, NotLive
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.input_scale import InputScale
from service.learning.network.network import build, fresh, parts_of
from service.serving.kinds.classes import Probabilities, largest
from service.serving.kinds.kind import PredictOptions
from service.serving.loaded_versions import Loaded
from service.serving.pace import MOST_ROWS, Pace, most_rows
from service.serving.predictor import Predictor
from tests.answering import predict

SPEC = VectorInput(kind="vector", size=4)
MEASURED = Pace.measured
"""What services measure; tests take it for granted."""


def checkpoint(classes: list[str], temperature: float = 1.0, spec: VectorInput | ImageInput = SPEC) -> Checkpoint:
    scale = InputScale(torch.tensor(0.0), torch.tensor(1.0))
    network = fresh(spec, Architecture(), scale, classes, torch.Generator().manual_seed(1))
    layout = network.layout.model_copy(update={"temperature": temperature})
    return Checkpoint(layout, parts_of(network))


def loaded(made: Checkpoint) -> Loaded:
    return Loaded(1, "digits", 3, "", Predictor(made))


def test_scores_are_the_tempered_softmax_and_sum_to_one() -> None:
    made = checkpoint(["b", "c", "a"], temperature=2.0)
    rows = np.random.default_rng(0).normal(size=(2 * MOST_ROWS + 3, 4)).astype(np.float32)
    probabilities = Predictor(made).answer(rows).values
    with torch.no_grad():
        wanted = torch.softmax(build(made)(torch.from_numpy(rows)).double() / 2.0, 1).numpy()
    assert np.allclose(probabilities, wanted[:, [2, 0, 1]], atol=1e-6)
    assert np.allclose(probabilities.sum(1), 1, atol=1e-12)


def test_extreme_rows_give_numbers() -> None:
    rows = np.array([[3.4e38, -3.4e38, 0, 1e-45]], np.float32)
    assert np.isfinite(Predictor(checkpoint(["a", "b"])).answer(rows).values).all()


@pytest.mark.parametrize("top", [1, 2, 9])
def test_equal_scores_are_listed_by_name(top: int) -> None:
    made = checkpoint(["zebra", "ant", "mouse"])
    for name in made.parts["head.0"]:
        made.parts["head.0"][name].zero_()
    answer = json.loads(predict(loaded(made), np.ones((2, 4), np.float32), PredictOptions(top)).json())
    for prediction in answer["predictions"]:
        assert [share["class"] for share in prediction["top"]] == ["ant", "mouse", "zebra"][:top]
        assert prediction["class"] == "ant"
        assert prediction["score"] == pytest.approx(1 / 3)
    assert (answer["model"], answer["version"]) == ("digits", 3)


def test_images_of_bytes_are_taken_as_they_are() -> None:
    spec = ImageInput(kind="image", channels=1, height=2, width=2)
    predictor = Predictor(checkpoint(["a", "b"], spec=spec))
    bytes_of = np.array([[[[0, 255], [3, 4]]]], np.uint8)
    assert np.array_equal(predictor.answer(bytes_of).values, predictor.answer(bytes_of.astype(np.float32)).values)


def test_a_version_that_answers_nothing_but_nan_is_not_served() -> None:
    made = checkpoint(["a", "b"])
    made.parts["head.0"]["weight"].fill_(float("nan"))
    with pytest.raises(CorruptArtifact):
        Predictor(made)


def test_a_version_without_classes_says_so() -> None:
    with pytest.raises(NotLive, match="knows no class") as caught:
        predict(loaded(checkpoint([])), np.ones((1, 4), np.float32))
    assert (caught.value.slug, caught.value.title) == ("not-live", "The version knows no class")


def test_the_pace_of_a_busy_moment_is_corrected_while_it_serves() -> None:
    pace = Pace(fixed=0.0, a_row=0.01, cap=2)
    for _ in range(20):
        pace.observe(pace.cap, 1e-5 * pace.cap)
    assert pace.cap == MOST_ROWS
    assert pace.seconds(100) == pytest.approx(1e-3, rel=0.1)
    pace.observe(100, 5.0)
    assert pace.seconds(100) < 2e-3


def test_more_rows_pass_at_once_only_if_the_pass_itself_was_short() -> None:
    """A first measurement that was disturbed can tell next to nothing of what a row costs."""
    pace = Pace(fixed=0.001, a_row=1e-6, cap=16)
    pace.observe(16, 0.021)
    assert pace.cap == 16
    pace.observe(16, 0.009)
    assert pace.cap == 32


def test_rows_that_take_much_memory_pass_a_few_at_a_time() -> None:
    assert [most_rows(*of) for of in ((64, 10), (3 * 512 * 512, 2), (3, 5000), (10**8, 1), (0, 0))] == [
        MOST_ROWS,
        2,
        52,
        1,
        MOST_ROWS,
    ]
    asked: list[int] = []
    pace = MEASURED(asked.append, most=5)
    assert (max(asked), pace.cap) == (4, 4)
    pace.observe(4, 1e-5)
    assert pace.cap == 4
    assert Predictor(checkpoint(["a", "b"], spec=VectorInput(kind="vector", size=100_000))).pace.most == 20


def test_the_largest_are_those_of_a_stable_sort() -> None:
    random = np.random.default_rng(0)
    values = random.integers(0, 4, size=(50, 20)) / 4  # with many that are equal
    values[7, 3] = np.nan
    for rows in (values, np.delete(values, 7, 0)):
        for top in (1, 2, 10, 19, 20, 30):
            assert np.array_equal(largest(rows, top), np.argsort(-rows, axis=1, kind="stable")[:, :top])


@pytest.mark.parametrize("top", [1, 2, 5])
def test_what_is_kept_of_many_rows_is_what_was_asked_for(top: int) -> None:
    whole = Predictor(checkpoint(["a", "b", "c", "d"])).answer(np.ones((6, 4), np.float32) * np.arange(6)[:, None])
    asked = PredictOptions(top)
    kept = Probabilities.concat([whole.part(*ends, asked).kept(asked) for ends in ((0, 4), (4, 6))])
    assert np.asarray(kept.best).tolist() == whole.best
    assert np.asarray(kept.highest).tolist() == whole.highest
    assert kept.values.shape == (6, min(top, 4))
    if top < 4:
        assert kept.columns is not None
        assert np.array_equal(kept.columns, largest(whole.values, top))
        assert np.array_equal(kept.values, np.take_along_axis(whole.values, largest(whole.values, top), 1))
    else:
        assert np.array_equal(kept.values, whole.values)
