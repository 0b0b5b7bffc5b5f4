"""Adding units: what moved is found, nothing changes before training, what died goes; units and filters alike."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from service.contract.inputs import Architecture, CnnBackbone, ImageInput, MlpBackbone, VectorInput
from service.learning.methods.expand.expansion import Expansion, GrowthPlan, expand
from service.learning.methods.expand.growable_layers import drift, growable
from service.learning.network.blocks import GrownLinear
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.convolutions import Filters
from service.learning.network.growth import grow_head
from service.learning.network.input_scale import InputScale
from service.learning.network.network import Network, build, fresh, layout_of, parts_of

X = torch.randn(64, 12, generator=torch.Generator().manual_seed(9))
IMAGES = torch.randn(48, 2, 8, 8, generator=torch.Generator().manual_seed(9))
FOURS = ([5, 2, 3, 8], [7, 1, 0, 4])
KINDS = pytest.mark.parametrize("kind", ["mlp", "cnn"])


def network(kind: str = "mlp") -> Network:
    scale = InputScale(torch.zeros(()), torch.ones(()))
    generator = torch.Generator().manual_seed(0)
    if kind == "cnn":
        spec = ImageInput(kind="image", channels=2, height=8, width=8)
        return fresh(
            spec, Architecture(backbone=CnnBackbone(name="cnn", channels=[16, 12])), scale, ["a", "b", "c"], generator
        )
    vector = VectorInput(kind="vector", size=12)
    architecture = Architecture(backbone=MlpBackbone(name="mlp", hidden=[16, 10]))
    return fresh(vector, architecture, scale, ["a", "b", "c"], generator)


def layers(of: Network) -> list[GrownLinear]:
    return [g.layer for g in growable(of)]


def rows(kind: str) -> Tensor:
    return IMAGES if kind == "cnn" else X


def moved(kind: str = "mlp", by: float = 1.0) -> Network:
    """The same network, units 2 and 5 of the first layer and 7 of the second pushed, the second the most."""
    other = network(kind)
    with torch.no_grad():
        first, second = (next(iter(layer)) for layer in layers(other))
        first.weight[2] *= 1 + by
        first.weight[5] *= 1 + 2 * by
        second.weight[7] *= 1 + by
    return other


def grown(
    adapt: bool,
    chosen: tuple[list[int], list[int]] = ([5, 2], [7, 1]),
    kind: str = "mlp",
    insert: tuple[int, int] = (0, 0),
    into: Network | None = None,
) -> tuple[Network, Expansion]:
    into = into or network(kind)
    new = grow_head(into, 2, torch.Generator().manual_seed(1))
    picked = [torch.tensor(FOURS[k] if kind == "cnn" and units else units).long() for k, units in enumerate(chosen)]
    generator = torch.Generator().manual_seed(2)
    made = expand(into, GrowthPlan(layers(moved(kind)), picked, insert), new, generator, adapt=adapt)
    return into, made


def shaken(made: Expansion) -> None:
    """As if trained: everything that may move does."""
    with torch.no_grad():
        for block in made.blocks:
            for p in block.parameters():
                p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(3)))


@KINDS
def test_the_drift_names_the_units_that_were_pushed_and_how_far(kind: str) -> None:
    first, second = (drift(a, b) for a, b in zip(layers(network(kind)), layers(moved(kind)), strict=True))
    assert first.argsort(descending=True)[:2].tolist() == [5, 2]
    assert first[5].item() == pytest.approx(2, rel=1e-4)
    assert first[2].item() == pytest.approx(1, rel=1e-4)
    assert first.count_nonzero() == 2
    assert second.argmax() == 7
    assert second.count_nonzero() == 1


@KINDS
@pytest.mark.parametrize("insert", [(0, 0), (6, 6)])
@pytest.mark.parametrize("adapt", [False, True])
def test_nothing_changes_before_training(adapt: bool, insert: tuple[int, int], kind: str) -> None:
    into, made = grown(adapt, kind=kind, insert=insert)
    assert torch.equal(into(rows(kind))[:, :3], network(kind)(rows(kind)))
    assert made.added == ([4, 4] if kind == "cnn" else [2, 2])


@KINDS
@pytest.mark.parametrize("insert", [(0, 0), (6, 0), (6, 6)])
def test_protected_scores_keep_every_bit_whatever_is_trained(insert: tuple[int, int], kind: str) -> None:
    into, made = grown(adapt=False, kind=kind, insert=insert)
    x = rows(kind)
    before = into(x)
    shaken(made)
    after = into(x)
    assert torch.equal(after[:, :3], network(kind)(x))
    assert not torch.allclose(after[:, 3:], before[:, 3:])


@KINDS
def test_protected_scores_keep_every_bit_update_after_update(kind: str) -> None:
    """Grown twice, a layer put in the first time, dead units taken away the second."""
    x = rows(kind)
    into, made = grown(adapt=False, kind=kind, insert=(6, 6))
    shaken(made)
    middle = build(Checkpoint(layout_of(into, list("abcde")), parts_of(into)))
    before = middle(x)
    assert torch.equal(before, into(x))
    new = grow_head(middle, 1, torch.Generator().manual_seed(4))
    trained = [g.layer for g in growable(build(Checkpoint(layout_of(into, list("abcde")), parts_of(into))))]
    picked = [torch.tensor(units) for units in FOURS]
    again = expand(middle, GrowthPlan(trained, picked), new, torch.Generator().manual_seed(5), adapt=False)
    shaken(again)
    kill(again, 0, range(4))
    again.prune(again.firing(x))
    assert again.units[0] is None
    assert torch.equal(middle(x)[:, :5], before)
    assert torch.equal(middle(x)[:, :3], network(kind)(x))


@KINDS
@pytest.mark.parametrize("columns", [2, 5, 90])
def test_growing_by_any_number_of_columns_leaves_the_old_ones(columns: int, kind: str) -> None:
    into, x = network(kind), rows(kind)
    before = into(x)
    new = grow_head(into, columns, torch.Generator().manual_seed(1))
    made = expand(
        into,
        GrowthPlan(layers(moved(kind)), [torch.tensor(u) for u in FOURS]),
        new,
        torch.Generator().manual_seed(2),
        adapt=False,
    )
    shaken(made)
    assert into(x).shape == (len(x), 3 + columns)
    assert torch.equal(into(x)[:, :3], before)


@KINDS
@pytest.mark.parametrize("insert", [(0, 0), (6, 6)])
def test_bridges_let_old_scores_move(insert: tuple[int, int], kind: str) -> None:
    into, made = grown(adapt=True, kind=kind, insert=insert)
    shaken(made)
    assert not torch.allclose(into(rows(kind))[:, :3], network(kind)(rows(kind)))
    old = {(b.part, b.key): b for layer in [*layers(network(kind)), network(kind).head] for b in layer}
    kept = {(b.part, b.key): b for layer in [*layers(into), into.head] for b in layer}
    for name, block in old.items():
        for key, tensor in block.tensors().items():
            assert torch.equal(kept[name].tensors()[key], tensor), "old weights stand still"


def test_a_copy_fires_as_the_unit_that_moved_in_the_probe() -> None:
    into, made = grown(adapt=False)
    inside = layers(into)[0].activated(X)
    probe = layers(moved())[0].activated(X)
    assert torch.allclose(inside[:, 16:], probe[:, [5, 2]], atol=1e-5)
    block = made.units[1]
    assert block.columns == (0, 18)
    assert not block.weight[:, [5, 2]].any(), "copies listen to the copies below, not to the units they were made of"


def test_copied_filters_listen_to_the_copies_below() -> None:
    _, made = grown(adapt=False, kind="cnn")
    first, second = made.units
    assert isinstance(first, Filters)
    assert isinstance(second, Filters)
    assert second.columns == (0, 20)
    assert not second.weight[:, FOURS[0]].any()
    assert second.weight[:, 16:].any()


def kill(made: Expansion, layer: int, units: range) -> None:
    block = made.units[layer]
    with torch.no_grad():
        block.weight[units] = 0
        block.bias[units] = -1
        if isinstance(block, Filters):
            block.norm_weight[units], block.norm_bias[units] = 0.0, -1.0


@KINDS
@pytest.mark.parametrize("adapt", [False, True])
def test_dead_units_are_taken_away_and_no_score_changes(adapt: bool, kind: str) -> None:
    eights = ([*FOURS[0], *range(9, 13)], [*FOURS[1], 2, 3, 5, 6])
    into = network(kind)
    new = grow_head(into, 2, torch.Generator().manual_seed(1))
    picked = [torch.tensor(units) for units in eights]
    made = expand(
        into,
        GrowthPlan(layers(moved(kind)), picked, (6, 0)),
        new,
        torch.Generator().manual_seed(2),
        adapt=adapt,
    )
    shaken(made)
    kill(made, 0, range(4, 8))
    kill(made, 1, range(4))
    x = rows(kind)
    before = into(x)
    assert made.prune(made.firing(x)) == [4, 4]
    assert torch.allclose(into(x), before, rtol=1e-4, atol=1e-4)
    assert made.added == [4, 4]
    assert into.head.in_features == (10 if kind == "mlp" else 12 * 4) + (4 if kind == "mlp" else 4 * 4)


@pytest.mark.parametrize("adapt", [False, True])
def test_when_all_of_a_layer_dies_its_blocks_go(adapt: bool) -> None:
    into, made = grown(adapt)
    kill(made, 1, range(2))
    before = into(X)
    made.prune(made.firing(X))
    assert made.units[1] is None
    assert into.head.in_features == 10
    assert torch.allclose(into(X), before, atol=1e-5)
    torch.autograd.backward(into(X).sum())


@KINDS
def test_dead_units_are_drawn_anew(kind: str) -> None:
    _, made = grown(adapt=False, kind=kind)
    many = 1 if kind == "mlp" else 4
    kill(made, 0, range(many))
    assert made.revive(made.firing(rows(kind)), torch.Generator().manual_seed(0)) == [many, 0]
    assert made.firing(rows(kind))[0].min() > 0


@KINDS
@pytest.mark.parametrize("adapt", [False, True])
def test_a_grown_network_is_saved_and_built_again(adapt: bool, kind: str) -> None:
    into, made = grown(adapt, kind=kind, insert=(6, 0))
    shaken(made)
    kill(made, 0, range(4 if kind == "cnn" else 1))
    made.prune(made.firing(rows(kind)))
    layout = layout_of(into, list("abcde"))
    again = build(Checkpoint(type(layout).model_validate_json(layout.model_dump_json()), parts_of(into)))
    assert torch.equal(again(rows(kind)), into(rows(kind)))


def test_a_unit_of_a_layer_put_in_does_not_drift() -> None:
    into, _ = grown(adapt=False, insert=(6, 0))
    first = layers(into)[0]
    assert (drift(first, first)[16:32] == -1).all()
    assert (drift(first, first)[[*range(16), 32, 33]] == 0).all()


def test_layers_in_front_of_a_lift_do_not_grow() -> None:
    into = network()
    assert len(growable(into)) == 2
    into.lifts = torch.nn.ModuleList([torch.nn.Identity()])
    assert growable(into) == []


def test_nothing_chosen_adds_nothing_but_the_rows() -> None:
    into, made = grown(False, ([], []))
    assert made.added == [0, 0]
    assert made.blocks == [made.rows]
    assert isinstance(into(X), Tensor)
