"""Lifts: fixed, bounded, the same in every service, stored and loaded bit for bit."""

from __future__ import annotations

import hashlib

import pytest
import torch

from service.contract.inputs import ImageInput, VectorInput
from service.contract.tables import TableInput
from service.errors import InvalidContent
from service.learning.network.checkpoint import LiftLayout
from service.learning.network.lifts import WIDE, WIDE_ROWS, WIDTH, Lift, LiftKind, candidate_lifts, load_lift, make_lift

VECTORS: list[LiftKind] = ["none", "relu", "sparse", "fourier"]
SHAPES = {"small": (1, 8, 8), "middle": (3, 20, 18), "large": (1, 64, 70), "tiny": (2, 3, 4)}


def rows(shape: tuple[int, ...], reach: float = 8.0) -> torch.Tensor:
    drawn = torch.rand(16, *shape, generator=torch.Generator().manual_seed(0))
    return torch.cat([drawn, torch.ones(1, *shape), torch.zeros(1, *shape), drawn.round()]) * 2 * reach - reach


@pytest.mark.parametrize("kind", VECTORS)
@pytest.mark.parametrize("reach", [1.0, 8.0])
def test_features_of_vectors_stay_within_the_stated_bound(kind: LiftKind, reach: float) -> None:
    lift = make_lift(kind, (12,), 40, reach=reach)
    h = lift(rows((12,), reach))
    assert h.shape == (len(rows((12,))), lift.width)
    assert h.dtype == torch.float32
    assert h.abs().max() <= lift.bound


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_features_of_images_stay_within_the_stated_bound(shape: tuple[int, ...]) -> None:
    lift = make_lift("conv", shape, reach=1)
    x = rows(shape, 1)
    h = lift(x)
    assert h.shape == (len(x), lift.width)
    assert (h >= 0).all()
    assert h.max() <= lift.bound
    assert torch.equal(lift(x.flatten(1)), h), "flattened images are the same images"
    assert lift.multiply_adds > 0


def test_filters_are_blind_to_brightness() -> None:
    lift = make_lift("conv", (1, 8, 8), reach=1)
    x = rows((1, 8, 8), 0.5)
    assert torch.allclose(lift(x) ** 2, lift(x + 0.25) ** 2, atol=1e-6)
    assert torch.allclose(lift.weight.flatten(1).norm(dim=1), torch.ones(len(lift.weight)))


def test_widths_are_those_asked_for() -> None:
    assert make_lift("relu", (5,)).width == WIDTH
    assert make_lift("conv", (1, 28, 28)).width == 64 * 2 * 9
    assert make_lift("conv", (1, 8, 8)).width == 32 * 2 * 9
    assert make_lift("conv", (1, 28, 28), 100).width == 90
    assert make_lift("conv", (1, 28, 28), 1).width == 18


def test_the_same_lift_arises_everywhere() -> None:
    digests = {
        kind: hashlib.sha256(make_lift(kind, (1, 8, 8), 36).weight.numpy().tobytes()).hexdigest()[:16]
        for kind in ("relu", "sparse", "fourier", "conv")
    }
    assert digests == {
        "relu": "f33f70a1df269de5",
        "sparse": "98c9a9336505bd04",
        "fourier": "c3745381fa6d8bb4",
        "conv": "ce8bf124939cebde",
    }
    narrow, wide = make_lift("relu", (7,), 10), make_lift("relu", (7,), 20)
    assert torch.equal(narrow.weight, wide.weight[:10])


@pytest.mark.parametrize(("inputs", "seen"), [(2, 2), (3, 3), (30, 3)])
def test_a_sparse_feature_sees_three_inputs_on_average(inputs: int, seen: int) -> None:
    sparse, dense = make_lift("sparse", (inputs,), 2000).weight, make_lift("relu", (inputs,), 2000).weight
    kept = sparse != 0
    assert float(kept.sum(1).float().mean()) == pytest.approx(seen, rel=0.03)
    assert torch.allclose(sparse[kept], dense[kept] * (inputs / seen) ** 0.5)


def test_tables_are_tried_with_features_of_all_columns_and_of_a_few() -> None:
    number, date = {"name": "a", "kind": "number"}, {"name": "b", "kind": "date"}
    spec = TableInput.model_validate({"kind": "table", "columns": [number, date, {"name": "c", "kind": "category"}]})
    candidates = candidate_lifts(spec, WIDE_ROWS)
    assert [[lift.kind for lift in lifts] for lifts in candidates] == [["none"], ["none", "relu"], ["none", "sparse"]]
    [_, relu], [_, sparse] = candidates[1:]
    seen = float((sparse.weight != 0).sum() / (relu.weight != 0).sum())
    assert seen == pytest.approx(3 / 5, rel=0.02), "a date counts as its three parts"
    assert sparse.bound == relu.bound


@pytest.mark.parametrize("kind", [*VECTORS, "conv"])
def test_a_lift_is_loaded_as_it_was_stored(kind: LiftKind) -> None:
    lift = make_lift(kind, (2, 6, 6), 36, reach=1)
    again = load_lift(LiftLayout(kind=kind, width=lift.width), lift.tensors())
    x = rows((2, 6, 6), 1)
    assert torch.equal(lift(x), again(x))
    assert (again.width, again.bound, again.shape) == (lift.width, lift.bound, lift.shape)


@pytest.mark.parametrize("shape", [(12,), (1, 2, 9)])
def test_convolutions_of_what_is_no_image_are_refused_with_the_remedy(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidContent, match="relu"):
        make_lift("conv", shape)


def test_auto_tries_the_smallest_first_and_convolutions_only_on_images() -> None:
    vector, image = VectorInput(kind="vector", size=9), ImageInput(kind="image", channels=1, height=8, width=8)

    def kinds(candidates: list[list[Lift]]) -> list[str]:
        return [lift.kind for lifts in candidates for lift in lifts]

    assert kinds(candidate_lifts(vector, 10)) == ["none", "relu", "fourier"]
    assert kinds(candidate_lifts(image, 10)) == ["none", "conv", "relu"]
    assert max(lift.width for [lift] in candidate_lifts(vector, WIDE_ROWS)) == WIDTH
    wide = candidate_lifts(vector, WIDE_ROWS + 1)
    assert max(sum(lift.width for lift in lifts) for lifts in wide) == WIDE
    assert [[lift.kind for lift in lifts] for lifts in wide] == [["none"], ["relu"], ["fourier"], ["relu", "fourier"]]
