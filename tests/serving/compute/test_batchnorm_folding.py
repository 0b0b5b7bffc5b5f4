"""Pretrained networks as they are served: the same features to rounding, and one copy for all who share them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from service.contract.inputs import Architecture, PretrainedBackbone
from service.learning import backbones
from service.learning.backbones import extractor
from service.learning.backbones.extractor import ImageExtractor, SharedWeights
from service.learning.data.rows import Array
from service.learning.data.serialization import digest, pack_shard
from service.learning.network.blocks import Bottleneck
from service.learning.network.input_scale import InputScale
from service.learning.network.low_rank import LowRank, attach
from service.learning.network.network import Network, fresh, layout_of, parts_of
from service.serving.compute import batchnorm_folding
from service.serving.compute.batchnorm_folding import foldable, served
from service.serving.compute.onednn import Packed, available
from service.serving.predictor import load
from tests.learning.backbones.weight_files import IMAGE, files_of

LITE = PretrainedBackbone(name="efficientnet_lite0", side=64)
RESIDUAL = PretrainedBackbone(name="small_resnet/4-8x1", side=16)
PIXELS = InputScale(torch.tensor(127.5), torch.tensor(127.5))


class Store(dict[str, bytes]):
    """Shards by digest."""

    def put(self, tensors: Any) -> str:
        data = pack_shard(tensors)
        self[digest(data)] = data
        return digest(data)


def residual(seed: int = 0) -> SharedWeights:
    """Weights of a small residual network as after training."""
    torch.manual_seed(seed)
    made = backbones._bare(RESIDUAL.name, RESIDUAL.side, "cpu")
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.1)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return SharedWeights({name: t.detach() for name, t in made.body.state_dict().items()})


def weights_of(backbone: PretrainedBackbone) -> SharedWeights:
    if backbone is RESIDUAL:
        return residual()
    return backbones.pretrained(backbone, {} if backbone is LITE else files_of(backbone.name))


def norms(network: nn.Module) -> int:
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())


@pytest.mark.long
@pytest.mark.parametrize(
    "backbone",
    [
        RESIDUAL,
        LITE,
        PretrainedBackbone(name="mobilenet_v3_small", side=32),
        PretrainedBackbone(name="timm/tf_mobilenetv3_small_minimal_100", side=32),
    ],
    ids=lambda backbone: backbone.name,
)
def test_features_are_the_same_to_rounding_and_no_norm_is_left(backbone: PretrainedBackbone) -> None:
    weights, store = weights_of(backbone), Store()
    folded = served(backbone, store.put(weights), store.__getitem__)
    plain = backbones.load(backbone, weights)
    assert norms(plain) > 0
    assert norms(folded) == 0
    assert any(isinstance(layer, Packed) for layer in folded.modules())
    with torch.inference_mode():
        for n in (1, 3):
            x = torch.rand(n, 3, 20, 20, generator=torch.Generator().manual_seed(n)) * 2 - 1
            wanted = plain(x)
            assert torch.allclose(folded(x), wanted, rtol=1e-4, atol=1e-5 * float(wanted.abs().max()))


class Standardised(nn.Conv2d):
    """A convolution that scales its weights itself."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight / self.weight.std(), self.bias)


class Odd(nn.Module):
    """Norms that cannot be folded, and one that can."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.twice, self.twice_norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.seen, self.seen_norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.own, self.own_norm = Standardised(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first_norm(self.first(x))
        x = self.twice_norm(self.twice(x)) + self.twice(x)
        y = self.seen(x)
        x = self.seen_norm(y) + y
        return self.own_norm(self.own(x)).mean((2, 3))


def test_a_norm_is_folded_only_where_it_alone_takes_the_map_and_the_weights_are_the_convolutions() -> None:
    width, folds = foldable(ImageExtractor(Odd().eval(), 8, (0.0,) * 3, (1.0,) * 3))
    by_name = {fold.convolution: fold for fold in folds}
    assert width == 4
    assert {name: fold.norm for name, fold in by_name.items()} == {"first": "first_norm", "twice": None, "seen": None}
    assert by_name["first"].size == (8, 3, 8, 8)


def stored(store: Store, seed: int, branch: bool = False) -> tuple[dict[str, Any], list[dict[str, str]], Network]:
    """A version in the store: layout, shards, and its network. `seed`: of its head; the backbone is the same."""
    draw = torch.Generator().manual_seed(seed)
    network = fresh(IMAGE, Architecture(backbone=RESIDUAL), PIXELS, ["a", "b", "c"], draw, residual()).eval()
    if branch:
        down, up = torch.randn(2, 3, 3, 3, generator=draw), torch.randn(4, 2, 1, 1, generator=draw)
        weights = Bottleneck(down, torch.zeros(2), up)
        network.low_rank.append(attach(network.backbone, LowRank("body.conv1", weights, 1.0, "backbone.1", "0.")))
    parts = parts_of(network)
    shards = [{"part": part, "digest": store.put(tensors)} for part, tensors in parts.items()]
    return layout_of(network, ["a", "b", "c"]).model_dump(), shards, network


def probabilities(network: Network, rows: Array) -> Array:
    with torch.no_grad():
        return torch.softmax(network.answer(rows).double(), 1).numpy()


ROWS = np.random.default_rng(0).uniform(0, 255, (5, *IMAGE.shape)).astype(np.float32)


def test_versions_share_the_folded_network_and_nobody_holds_the_other_weights() -> None:
    store, reads = Store(), list[str]()

    def read(name: str) -> bytes:
        reads.append(name)
        return store[name]

    made = [stored(store, seed) for seed in (1, 2)]
    first, second = (load(layout, shards, read) for layout, shards, _ in made)
    name = next(shard["digest"] for shard in made[0][1] if shard["part"] == "backbone.0")
    assert reads.count(name) == 1
    assert first.shared is second.shared
    assert (first.shared.digest, name in extractor._cache) == (name, False)
    whole = sum(t.nbytes for t in residual().values())
    assert 0.8 * whole < first.shared.bytes < 1.1 * whole
    assert first.bytes < 0.2 * whole
    for predictor, (_, _, network) in zip((first, second), made, strict=True):
        assert np.allclose(predictor.answer(ROWS).values, probabilities(network, ROWS), atol=1e-5)


def test_branches_beside_convolutions_speak_before_the_norms() -> None:
    store = Store()
    plain, (layout, shards, network) = stored(store, 1)[2], stored(store, 1, branch=True)
    answered = load(layout, shards, store.__getitem__).answer(ROWS).values
    assert np.allclose(answered, probabilities(network, ROWS), atol=1e-5)
    assert not np.allclose(answered, probabilities(plain, ROWS), atol=1e-3)


@pytest.mark.parametrize("there", [True, False])
def test_dense_layers_of_a_backbone_of_texts_are_packed(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    minilm, weights = PretrainedBackbone(name="minilm"), backbones.pretrained(PretrainedBackbone(name="minilm"), {})
    monkeypatch.setattr(batchnorm_folding, "available", lambda: there and available())
    plain = backbones.bare(minilm, weights)
    packed = served(minilm, f"a digest {there}", lambda _: pack_shard(weights))
    texts = np.array(["a short text", "some more words than there are in the other one, and more"], object)
    with torch.inference_mode():
        wanted, features = (network(network.prepare(texts)) for network in (plain, packed))
    assert torch.allclose(features, wanted, atol=1e-5)
    dense = sum(isinstance(layer, nn.Linear) for layer in packed.modules())
    assert dense == (0 if there and available() else 36)
    tokenizer = weights["tokenizer"].numel() if dense == 0 else 0
    assert packed.weights.bytes == weights.bytes - tokenizer


def test_without_onednn_norms_are_folded_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(batchnorm_folding, "Packed", absent)
    network = ImageExtractor(Odd().eval(), 8, (0.0,) * 3, (1.0,) * 3)
    assert foldable(network)[1] == (batchnorm_folding.Fold("first", "first_norm", None),)
