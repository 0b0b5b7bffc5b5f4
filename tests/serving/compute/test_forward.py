"""A version as few tensor operations: whatever it is made of, it answers as its modules do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from service.contract.inputs import Architecture, CnnBackbone, ImageInput, MlpBackbone, VectorInput
from service.learning.network.blocks import Bottleneck, GrownLinear, Inserted
from service.learning.network.convolutions import Filters, Stage
from service.learning.network.input_scale import InputScale
from service.learning.network.lifts import make_lift
from service.learning.network.network import Network, fresh, new_block
from service.serving.compute.forward import Ending, forwards, matrices
from service.serving.compute.onednn import SMALLEST, available

VECTOR = VectorInput(kind="vector", size=6)
IMAGE = ImageInput(kind="image", channels=1, height=8, width=8)
CLASSES = ["c", "a", "b"]
ORDER = [1, 2, 0]
ENDING = Ending(ORDER, 1.5, lambda x: torch.softmax(x, 1, dtype=torch.float64))


def made(architecture: Architecture, image: bool = False, mean: float | Tensor = 2.0) -> Network:
    mean = torch.as_tensor(mean)
    scale = InputScale(mean, torch.full_like(mean, 0.5))
    network = fresh(IMAGE if image else VECTOR, architecture, scale, CLASSES, torch.Generator().manual_seed(3))
    return network.eval().requires_grad_(False)


def mlp() -> Network:
    return made(Architecture(backbone=MlpBackbone(name="mlp", hidden=[5, 4])))


def grown() -> Network:
    """An mlp whose last layer and head have blocks side by side, one that looks at some units alone."""
    network, draw = mlp(), torch.Generator().manual_seed(4)
    backbone_layer = network.hidden_layers()[1]
    more = new_block((4, 6), (1, 5), "backbone.1", "", draw)
    network.backbone.layers[1] = GrownLinear([*backbone_layer, more])  # type: ignore[index, operator]
    beside = new_block((0, 3), (4, 6), "head.1", "", draw)
    beside.bias = None
    network.head = GrownLinear([*network.head, beside])
    return network


def inserted() -> Network:
    network = mlp()
    down, up = torch.ones(2, 5), torch.full((5, 2), 0.1)
    weights = Bottleneck(down, torch.zeros(2), up)
    network.hidden_layers()[0].inserted.append(Inserted((0, 5), (0, 5), weights, "backbone.1", ""))
    return network


def cnn() -> Network:
    return made(Architecture(backbone=CnnBackbone(name="cnn", channels=[4])), image=True)


def grown_cnn() -> Network:
    """A cnn whose only stage has four filters more, which one block of the head looks at."""
    network, draw = cnn(), torch.Generator().manual_seed(4)
    [stage] = network.backbone  # type: ignore[misc]
    weight, bias = torch.randn(4, 1, 3, 3, generator=draw), torch.randn(4, generator=draw)
    added = Filters((4, 8), (0, 1), weight, bias, "backbone.1", "0.")
    network.backbone.layers[0] = Stage([*stage, added], IMAGE.shape[1:])  # type: ignore[index, operator]
    beside = new_block((0, 3), (64, 128), "head.1", "", draw)
    beside.bias = None
    network.head = GrownLinear([*network.head, beside])
    return network


def wide() -> Network:
    """Of an image: matrices that are worth packing."""
    return made(Architecture(backbone=MlpBackbone(name="mlp", hidden=[SMALLEST, 70])), image=True)


def lifted(*kinds: str, width: int = 18) -> Network:
    network = made(Architecture(), image=True)
    network.lifts.extend(make_lift(kind, IMAGE.shape, width) for kind in kinds)  # type: ignore[arg-type]
    taken = sum(lift.width for lift in network.lifts)  # type: ignore[misc]
    network.head = GrownLinear([new_block((0, 3), (0, taken), "head.0", "", torch.Generator().manual_seed(5))])
    return network


MADE = {
    "identity": lambda: made(Architecture()),
    "mlp": mlp,
    "far from zero": lambda: made(Architecture(), mean=torch.linspace(-50, 50, 6)),
    "columns": lambda: made(Architecture(), mean=torch.linspace(-5, 5, 6)),
    "mlp of an image": lambda: made(Architecture(backbone=MlpBackbone(name="mlp", hidden=[5])), image=True),
    "grown": grown,
    "inserted": inserted,
    "cnn": cnn,
    "grown cnn": grown_cnn,
    "wide": wide,
    "relu": lambda: lifted("relu"),
    "wide relu": lambda: lifted("relu", width=70),
    "wide fourier and conv": lambda: lifted("fourier", "conv", width=70),
    "wide sparse": lambda: lifted("sparse", width=70),
    "none and conv": lambda: lifted("none", "conv"),
    "conv": lambda: lifted("conv"),
}


@pytest.mark.parametrize("spread", [0.5, 5.0])  # within what is not clipped, and beyond
@pytest.mark.parametrize("kind", MADE)
def test_it_answers_as_its_modules_do(kind: str, spread: float) -> None:
    network = MADE[kind]()
    rows = np.random.default_rng(0).normal(2, spread, (9, *network.layout.input.shape)).astype(np.float32)
    before = rows.copy()
    with torch.no_grad():
        wanted = torch.softmax(network.answer(rows).double() / 1.5, 1)[:, ORDER]
        (step,) = forwards(network, [network.head], ENDING)
        answer = step(network.prepare(rows))
        with_extremes = step(network.prepare(rows), (rows.min().item(), rows.max().item()))
        alone = torch.cat([step(network.prepare(row[None])) for row in rows])
    assert torch.allclose(answer, wanted, atol=1e-6)
    assert torch.allclose(with_extremes, wanted, atol=1e-6)
    assert torch.allclose(alone, wanted, atol=1e-6)
    assert np.array_equal(rows, before)
    (bare,) = forwards(network, [network.head], Ending(ORDER))
    assert torch.allclose(bare(network.prepare(rows)), network.answer(rows)[:, ORDER], atol=1e-5)
    assert (available() and kind.startswith("wide")) == any(matrix.packed_bytes for matrix in matrices([step]))
