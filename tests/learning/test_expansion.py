"""Adding units: what moved is found, nothing changes before training, what died goes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from service.contract.inputs import Architecture, MlpBackbone, VectorInput
from service.learning.architectures import Network, build, fresh, layout_of, parts_of
from service.learning.checkpoint import Checkpoint
from service.learning.expansion import Expansion, drift, expand, growing
from service.learning.growth import grow_head
from service.learning.preprocessing import InputScale

X = torch.randn(64, 12, generator=torch.Generator().manual_seed(9))


def network() -> Network:
    scale = InputScale(torch.zeros(()), torch.ones(()))
    architecture = Architecture(backbone=MlpBackbone(name="mlp", hidden=[16, 10]))
    spec = VectorInput(kind="vector", size=12)
    return fresh(spec, architecture, scale, ["a", "b", "c"], torch.Generator().manual_seed(0))


def moved(by: float = 1.0) -> Network:
    """The same network, units 2 and 5 of the first layer and 7 of the second pushed, the second the most."""
    other = network()
    with torch.no_grad():
        first, second = (next(iter(layer)) for layer in growing(other))
        first.weight[2] *= 1 + by
        first.weight[5] *= 1 + 2 * by
        second.weight[7] *= 1 + by
    return other


def grown(adapt: bool, chosen: tuple[list[int], list[int]] = ([5, 2], [7, 1])) -> tuple[Network, Expansion]:
    into = network()
    rows = grow_head(into, 2, torch.Generator().manual_seed(1))
    picked = [torch.tensor(units, dtype=torch.int64) for units in chosen]
    made = expand(into, picked, growing(moved()), rows, torch.Generator().manual_seed(2), adapt=adapt)
    return into, made


def shaken(made: Expansion) -> None:
    """As if trained: everything that may move does."""
    with torch.no_grad():
        for block in made.blocks:
            for p in block.parameters():
                p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(3)))


def test_the_drift_names_the_units_that_were_pushed_and_how_far() -> None:
    first, second = (drift(a, b) for a, b in zip(growing(network()), growing(moved()), strict=True))
    assert first.argsort(descending=True)[:2].tolist() == [5, 2]
    assert first[5].item() == pytest.approx(2, rel=1e-4)
    assert first[2].item() == pytest.approx(1, rel=1e-4)
    assert first.count_nonzero() == 2
    assert second.argmax() == 7
    assert second.count_nonzero() == 1


@pytest.mark.parametrize("adapt", [False, True])
def test_nothing_changes_before_training(adapt: bool) -> None:
    into, made = grown(adapt)
    assert torch.equal(into(X)[:, :3], network()(X))
    assert made.added == [2, 2]


def test_protected_scores_keep_every_bit_whatever_is_trained() -> None:
    into, made = grown(adapt=False)
    before = into(X)
    shaken(made)
    after = into(X)
    assert torch.equal(after[:, :3], network()(X))
    assert not torch.allclose(after[:, 3:], before[:, 3:])


def test_bridges_let_old_scores_move() -> None:
    into, made = grown(adapt=True)
    shaken(made)
    assert not torch.allclose(into(X)[:, :3], network()(X))
    old = {(b.part, b.key): b for layer in [*growing(network()), network().head] for b in layer}
    kept = {(b.part, b.key): b for layer in [*growing(into), into.head] for b in layer}
    for name, block in old.items():
        assert torch.equal(kept[name].weight, block.weight), "old weights stand still"


def test_a_copy_fires_as_the_unit_that_moved_in_the_probe() -> None:
    into, made = grown(adapt=False)
    inside = torch.relu(growing(into)[0](X))
    probe = torch.relu(growing(moved())[0](X))
    assert torch.allclose(inside[:, 16:], probe[:, [5, 2]], atol=1e-5)
    block = made.units[1]
    assert block is not None
    assert block.columns == (0, 18)
    assert not block.weight[:, [5, 2]].any(), "copies listen to the copies below, not to the units they were made of"


def kill(made: Expansion, layer: int, unit: int) -> None:
    block = made.units[layer]
    assert block is not None
    assert block.bias is not None
    with torch.no_grad():
        block.weight[unit] = 0
        block.bias[unit] = -1


@pytest.mark.parametrize("adapt", [False, True])
def test_dead_units_are_taken_away_and_no_score_changes(adapt: bool) -> None:
    into, made = grown(adapt)
    shaken(made)
    kill(made, 0, 1)
    kill(made, 1, 0)
    before = into(X)
    assert made.prune(made.firing(X)) == [1, 1]
    assert torch.allclose(into(X), before, atol=1e-5)
    assert made.added == [1, 1]
    assert into.head.in_features == 11


@pytest.mark.parametrize("adapt", [False, True])
def test_when_all_of_a_layer_dies_its_blocks_go(adapt: bool) -> None:
    into, made = grown(adapt)
    for unit in (0, 1):
        kill(made, 1, unit)
    before = into(X)
    made.prune(made.firing(X))
    assert made.units[1] is None
    assert into.head.in_features == 10
    assert torch.allclose(into(X), before, atol=1e-5)
    torch.autograd.backward(into(X).sum())


def test_dead_units_are_drawn_anew() -> None:
    _, made = grown(adapt=False)
    kill(made, 0, 0)
    assert made.revive(made.firing(X), torch.Generator().manual_seed(0)) == [1, 0]
    assert made.firing(X)[0].min() > 0


@pytest.mark.parametrize("adapt", [False, True])
def test_a_grown_network_is_saved_and_built_again(adapt: bool) -> None:
    into, made = grown(adapt)
    shaken(made)
    kill(made, 0, 0)
    made.prune(made.firing(X))
    again = build(Checkpoint(layout_of(into, list("abcde")), parts_of(into)))
    assert torch.equal(again(X), into(X))


def test_layers_in_front_of_a_lift_do_not_grow() -> None:
    into = network()
    assert len(growing(into)) == 2
    into.lifts = torch.nn.ModuleList([torch.nn.Identity()])
    assert growing(into) == []


def test_nothing_chosen_adds_nothing_but_the_rows() -> None:
    into, made = grown(False, ([], []))
    assert made.added == [0, 0]
    assert made.blocks == [made.rows]
    assert isinstance(into(X), Tensor)
