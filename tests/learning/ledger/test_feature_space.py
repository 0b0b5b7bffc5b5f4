"""Feature spaces: an id that names everything that decides a feature, and bits that owe nothing to companions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from service.contract.inputs import (
    Architecture,
    CnnBackbone,
    IdentityBackbone,
    ImageInput,
    InputSpec,
    MlpBackbone,
    RangeScale,
    VectorInput,
)
from service.errors import Cancelled
from service.learning.ledger.feature_space import (
    GRID_LIMIT,
    Space,
    backbone_multiply_adds,
    feature_blocks,
    largest_feature,
    rounded,
    shift_for,
)
from service.learning.ledger.headless_networks import identity_network
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.input_scale import declared_scale
from service.learning.network.lifts import LiftKind, make_lift
from service.learning.network.network import Network, fresh, layout_of, parts_of
from service.learning.run import Run
from tests.learning.exact_help import VECTOR, labelled, space

IMAGE = ImageInput(kind="image", channels=1, height=8, width=8, scale=RangeScale(range=(0, 16)))


def lifted(kind: LiftKind, spec: InputSpec = IMAGE, shift: int | None = None) -> Network:
    scale = declared_scale(spec)
    assert scale is not None
    network = identity_network(spec, scale, [make_lift(kind, spec.shape, reach=1)])
    if shift is not None:
        network.layout = network.layout.model_copy(update={"shift": shift})
    return network


def trained(backbone: MlpBackbone | CnnBackbone) -> Network:
    scale = declared_scale(IMAGE)
    assert scale is not None
    network = fresh(IMAGE, Architecture(backbone=backbone), scale, ["a", "b"], torch.Generator().manual_seed(0))
    network.layout = network.layout.model_copy(update={"shift": 9})
    return network.eval()


def images(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 17, (n, 1, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("kind", ["none", "relu", "fourier", "conv"])
def test_the_bits_of_a_row_owe_nothing_to_its_companions(kind: LiftKind) -> None:
    here = Space.of(lifted(kind))
    x = images(150)
    together = rounded(here, x)
    order = np.random.default_rng(0).permutation(150)
    for chosen in (order, order[:1], order[:63], order[:65], np.arange(130, 150)):
        assert np.array_equal(rounded(here, x[chosen]), together[chosen])
    assert np.array_equal(rounded(here, x.astype(np.uint8)), together), "bytes are the same rows as floats"
    assert rounded(here, x[:0]).shape == (0, here.width)


@pytest.mark.parametrize("backbone", [MlpBackbone(name="mlp", hidden=[7]), CnnBackbone(name="cnn", channels=[4])])
def test_a_trained_backbone_is_a_space_too(backbone: MlpBackbone | CnnBackbone) -> None:
    network = trained(backbone)
    here = Space.of(network)
    x = images(70)
    assert np.array_equal(rounded(here, x)[66:], rounded(here, x[66:]))
    layout = layout_of(network, ["a", "b"])
    assert Space.of(Checkpoint(layout, parts_of(network))).id == here.id
    assert largest_feature(network, x) == pytest.approx(
        4 * max(float(h.abs().max()) for _, h in feature_blocks(network, x))
    )


def test_rounding_is_to_the_grid_and_stays_in_sixteen_bits() -> None:
    here = Space.of(lifted("none"))
    x = images(9)
    assert np.array_equal(rounded(here, x) * here.step, np.clip(x.reshape(9, -1) / 8 - 1, -8, 8))
    fine = Space.of(lifted("none", shift=18))
    assert set(np.unique(np.abs(rounded(fine, x)))) <= {0, GRID_LIMIT, *range(0, GRID_LIMIT, 2**15)}


def test_the_grid_is_the_finest_that_holds_the_bound() -> None:
    for bound, shift in [(1.0, 15), (1.1, 14), (2.0, 14), (5.0, 12), (8.0, 12), (32.0, 10), (0.5, 16)]:
        assert shift_for(bound) == shift, bound
        assert bound * 2**shift <= 2**15, bound


def test_the_id_names_what_decides_a_feature_and_nothing_else() -> None:
    here = Space.of(lifted("conv")).id
    assert here == Space.of(lifted("conv")).id, "the same in every service"
    other = VectorInput(kind="vector", size=64, scale=RangeScale(range=(0, 16)))
    wider = identity_network(IMAGE, declared_scale(IMAGE), [make_lift("conv", IMAGE.shape, 90, reach=1)])  # type: ignore[arg-type]
    named = [
        lifted("relu"),
        lifted("conv", shift=9),
        lifted("relu", other),
        lifted("conv", IMAGE.model_copy(update={"scale": RangeScale(range=(0, 255))})),
        wider,
    ]
    assert len({here, *(Space.of(network).id for network in named)}) == 6
    renamed = lifted("conv")
    renamed.layout = renamed.layout.model_copy(update={"classes": ["x"], "temperature": 2.0})
    assert Space.of(renamed).id == here


def test_the_names_of_columns_decide_the_id_where_there_are_some() -> None:
    nameless = VectorInput(kind="vector", size=2, scale=RangeScale(range=(0, 16)))
    ids = {
        Space.of(lifted("none", nameless.model_copy(update={"names": names}))).id
        for names in (None, ["a", "b"], ["b", "a"], ["a", "c"])
    }
    assert len(ids) == 4, "sums of columns in another order are added to none"


def test_anybody_can_recompute_the_id() -> None:
    network = lifted("conv")
    facts = {
        "input": [1, 8, 8],
        "backbone": IdentityBackbone().model_dump(),
        "layers": [],
        "lifts": [["conv", 576]],
        "shift": network.layout.shift,
    }
    data = json.dumps(facts, sort_keys=True, separators=(",", ":")).encode() + b"\0"
    parts = parts_of(network)
    for part in ("lift.0", "scale"):
        for name in sorted(parts[part]):
            values = parts[part][name].numpy()
            data += f"{part}/{name}\0{values.dtype.name}\0".encode()
            data += b"".join(int(k).to_bytes(8, "little") for k in (values.ndim, *values.shape))
            data += values.astype(values.dtype.newbyteorder("<")).tobytes()
    assert hashlib.sha256(data).hexdigest() == Space.of(network).id


def test_a_version_without_a_grid_has_no_space() -> None:
    network = lifted("none")
    network.layout = network.layout.model_copy(update={"shift": None})
    with pytest.raises(ValueError, match="no grid"):
        Space.of(network)


def test_computing_can_be_watched_and_stopped() -> None:
    reported: list[tuple[str, int, int]] = []
    x, _ = labelled(130)
    rounded(space(), x, Run(progress=lambda *report: reported.append(report)))
    assert reported == [("features", 64, 130), ("features", 128, 130), ("features", 130, 130)]

    def stop() -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        rounded(space(), x, Run(check=stop))


def test_multiply_adds_are_counted_from_the_shapes() -> None:
    assert backbone_multiply_adds(trained(MlpBackbone(name="mlp", hidden=[7, 3]))) == 64 * 7 + 7 * 3
    assert backbone_multiply_adds(trained(CnnBackbone(name="cnn", channels=[4, 2]))) == 9 * 4 * 64 + 9 * 4 * 2 * 16
    assert Space.of(lifted("conv")).multiply_adds == 9 * 32 * 36
    assert replace(space()).multiply_adds == VECTOR.size * 12
