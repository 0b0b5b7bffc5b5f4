"""What joint retraining would cost is counted for the network that it would train."""

from __future__ import annotations

import numpy as np
import pytest

from service.contract.inputs import Architecture, ImageInput, InputSpec, MlpBackbone, VectorInput
from service.learning.evaluation.cost import LEARNING_SHARE, joint_backbone, retraining_cost
from tests.learning.memory_data import Stream

VECTOR = VectorInput(kind="vector", size=6)


def image(side: int) -> ImageInput:
    return ImageInput(kind="image", channels=1, height=side, width=side)


@pytest.mark.parametrize(
    ("spec", "architecture", "name"),
    [
        (VECTOR, Architecture(), "mlp"),
        (image(8), Architecture(), "cnn"),
        (image(8), Architecture(backbone=MlpBackbone(name="mlp", hidden=[5])), "mlp"),
    ],
)
def test_what_a_model_without_a_network_of_its_own_would_retrain(
    spec: InputSpec, architecture: Architecture, name: str
) -> None:
    assert joint_backbone(spec, architecture).name == name


def test_joint_retraining_is_three_passes_an_epoch_over_the_learning_rows() -> None:
    inputs = np.random.default_rng(0).normal(size=(40, 6))
    data = Stream(VECTOR, Architecture(backbone=MlpBackbone(name="mlp", hidden=[5]))).data(inputs, ["a", "b"] * 20)
    assert retraining_cost(None, data, epochs=7) == int(3 * (6 * 5 + 5 * 2) * 7 * 40 * LEARNING_SHARE)


def test_beside_the_network_that_would_be_trained_a_linear_head_is_nothing() -> None:
    inputs = np.random.default_rng(0).normal(size=(40, 6))
    data = Stream(VECTOR).data(inputs, ["a", "b"] * 20)
    assert retraining_cost(None, data, epochs=20) > 3 * (6 * 2) * 20 * 40 * 10
