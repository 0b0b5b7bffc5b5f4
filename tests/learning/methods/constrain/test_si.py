"""si: what a weight is credited with along the path, and what becomes of it."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from service.learning.method_params import GradientParams
from service.learning.methods.baseline import retrain
from service.learning.methods.constrain import si
from service.learning.methods.constrain.importance import Importance
from service.learning.network.blocks import Block, GrownLinear
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.fit import Hooks, fit
from service.learning.training.learner import Learner
from service.learning.training.optimiser import CLIP
from service.learning.training.training_set import Labelled, TrainingSet
from tests.learning.memory_data import Stream
from tests.learning.samples import OLD, digits, stream


def prepared() -> tuple[Stream, Checkpoint]:
    """A network that si trained from its first version on."""
    s, d = stream([16]), digits().of(OLD)
    s.learn(si.METHOD, d.X[:200], d.y[:200], epochs=3)
    assert s.checkpoint is not None
    return s, s.checkpoint


class Alone:
    """What a path asks of a learner: a body."""

    def __init__(self) -> None:
        weight = torch.tensor([[0.5, 0.0], [-0.5, 0.0]])
        self.body = GrownLinear([Block((0, 2), (0, 2), weight, torch.zeros(2), "head.0", "")])


def test_a_path_is_worked_by_hand() -> None:
    """Two parameters a class; the gradient and the step of each are put in by hand."""
    alone = Alone()
    path = si.Path(alone)  # type: ignore[arg-type]
    block = next(iter(alone.body))
    for gradient, step in ((2.0, -0.5), (1.0, -0.25), (-1.0, -0.5)):
        block.weight.grad = torch.full((2, 2), gradient)
        path.before_step()
        with torch.no_grad():
            block.weight += step
            block.weight.grad *= 100  # a view would move with it
        path.after_step()
    # -(2 x -0.5) - (1 x -0.25) - (-1 x -0.5) = 1 + 0.25 - 0.5
    assert path.credit["blocks.0.weight"].tolist() == [[0.75, 0.75], [0.75, 0.75]]
    # it came 1.25 in all: 0.75 / (1.25^2 + 0.1)
    assert path.importance(0.1)["blocks.0.weight"].flatten().tolist() == pytest.approx([0.75 / 1.6625] * 4)
    assert path.total == pytest.approx(3.0)


def test_what_made_the_loss_worse_is_held_by_nothing() -> None:
    alone = Alone()
    path = si.Path(alone)  # type: ignore[arg-type]
    block = next(iter(alone.body))
    block.weight.grad = torch.tensor([[1.0, -1.0], [1.0, -1.0]])
    path.before_step()
    with torch.no_grad():
        block.weight -= 0.5
    path.after_step()
    assert path.credit["blocks.0.weight"][0].tolist() == [0.5, -0.5]
    assert path.importance(0.1)["blocks.0.weight"][0].tolist() == pytest.approx([0.5 / 0.35, 0.0])
    assert path.against == pytest.approx(0.5)


def test_a_training_that_begins_again_begins_at_nothing() -> None:
    alone = Alone()
    path = si.Path(alone)  # type: ignore[arg-type]
    block = next(iter(alone.body))
    for gradient in (float("nan"), 1.0):
        path.begin()
        block.weight.grad = torch.full((2, 2), gradient)
        path.before_step()
        with torch.no_grad():
            block.weight -= 0.5
        path.after_step()
    assert path.credit["blocks.0.weight"].tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_the_credit_of_all_weights_is_what_the_loss_fell_by() -> None:
    """Small steps over all rows: sum of w = loss before - loss after, to first order."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(80, 2, generator=generator)
    rows = Labelled(x, (x[:, 0] + x[:, 1] > 0).long())
    alone = Alone()
    path = si.Path(alone)  # type: ignore[arg-type]

    def loss() -> float:
        with torch.no_grad():
            return float(F.cross_entropy(alone.body(rows.x), rows.y))

    before = loss()
    params = GradientParams(epochs=200, batch_size=80, lr=0.003)
    fit(
        alone.body,
        TrainingSet(rows),
        params,
        Run(),
        hooks=Hooks(None, path.begin, path.before_step, lambda _: path.after_step()),
    )
    fell = before - loss()
    assert fell > 0.05
    assert path.total == pytest.approx(fell, rel=0.03)
    assert CLIP > 1


def test_the_pull_leaks_into_no_credit() -> None:
    """The first step is the same under any pull, and so is its credit: the pull comes after the optimiser's step."""
    _, base = prepared()
    s, d = prepared()[0], digits().of(OLD)
    data = s.data(d.X[200:280], d.y[200:280])
    one = {"epochs": 1, "batch_size": 8192}
    free, held = (si.update(base, data, si.Params(strength=k, **one), Run()).details["path"] for k in (0.0, 1e6))
    assert free == held
    assert free["sum"] > 0


def test_importances_join_by_rows_and_grow_with_the_head() -> None:
    s, base = prepared()
    d = digits().of("012345")
    data = s.data(d.X[:100], d.y[:100])
    held = Importance.recalled(Learner.start(base, data, Run()), si.STATE)
    assert held.rows == 200
    assert not held.values["head.blocks.1.weight"].any()
    made = s.learn(si.METHOD, d.X[:100], d.y[:100], epochs=2, strength=1.0)
    state = made.checkpoint.parts[si.STATE]
    assert state["rows"].item() == 300
    assert state["head.weight"].shape == (6, 16)
    assert state["head.weight"][5].any()
    assert made.details["penalty"] > 0


def test_a_base_of_another_method_is_held_alike_and_the_notes_say_so() -> None:
    s, d = stream([16]), digits().of(OLD)
    s.learn(retrain.METHOD, d.X[:200], d.y[:200], epochs=3)
    data = s.data(d.X[200:260], d.y[200:260])
    assert s.checkpoint is not None
    assert si.refuse(s.checkpoint, data) is None
    made = si.update(s.checkpoint, data, si.Params(epochs=2, strength=1.0), Run())
    assert any("not made by si" in note and "mas" in note for note in made.notes)
    assert made.details["penalty"] == pytest.approx(made.details["distance"])
    assert si.STATE in made.checkpoint.parts


def test_an_imported_version_is_refused_with_what_works() -> None:
    s, base = prepared()
    served = {part: ts for part, ts in base.parts.items() if not part.startswith("state.")}
    imported = Checkpoint(base.layout, served, dict.fromkeys(served, frozenset()))
    d = digits().of(OLD)
    refusal = si.refuse(imported, stream([16]).data(d.X[:20], d.y[:20]))
    assert refusal is not None
    assert "mas" in refusal
    assert si.refuse(base, s.data(d.X[:20], d.y[:20])) is None


def test_a_loss_that_does_not_fall_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    s, base = prepared()
    d = digits().of(OLD)
    data, params = s.data(d.X[200:260], d.y[200:260]), si.Params(epochs=1, strength=0.0)
    assert not any("did not fall" in note for note in si.update(base, data, params, Run()).notes)
    monkeypatch.setattr(si.Path, "total", property(lambda path: -0.5))
    assert any("did not fall" in note for note in si.update(base, data, params, Run()).notes)
