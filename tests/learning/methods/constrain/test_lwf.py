"""lwf: the old answers on the new rows go on being given."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from service.learning.methods.baseline import fine_tune, retrain
from service.learning.methods.constrain import lwf
from service.learning.methods.constrain.lwf import Distillation
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.learner import Learner
from service.learning.training.losses import without_old
from service.learning.training.training_set import Step
from tests.learning.memory_data import Stream
from tests.learning.samples import NEW, OLD, digits, stream


def prepared() -> tuple[Stream, Checkpoint]:
    s, d = stream([32]), digits().of(OLD)
    s.learn(retrain.METHOD, d.X[:400], d.y[:400])
    assert s.checkpoint is not None
    return s, s.checkpoint


class Given(nn.Module):
    """Gives its weight, whatever it sees."""

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(logits, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight[: len(x)]


def step(y: list[int]) -> Step:
    return Step(torch.zeros(len(y), 1), torch.tensor(y), torch.arange(len(y)), None)


def test_the_loss_is_worked_by_hand() -> None:
    """One row of old class 0; teacher (ln 3, 0), now (0, 0) and a new column: T = 1."""
    teacher = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)
    loss = Distillation(teacher, 2, strength=0.5, temperature=1.0, masks=True).loss(Given([[0.0, 0.0, 0.0]]), step([0]))
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert loss.item() == pytest.approx(math.log(3) + 0.5 * divergence)


def test_its_gradient_equals_finite_differences() -> None:
    teacher = torch.tensor([[1.0, -0.5], [0.2, 0.3]], dtype=torch.float64)
    body = Given([[0.3, -0.2, 0.5, 0.1], [0.0, 0.4, -0.3, 0.2]])
    loss = Distillation(teacher, 2, 1.5, 2.0, masks=True)
    torch.autograd.backward(loss.loss(body, step([0, 3])))
    gradient = body.weight.grad
    with torch.no_grad():
        for place in ((0, 0), (0, 2), (1, 1), (1, 3)):
            body.weight[place] += 1e-6
            above = loss.loss(body, step([0, 3])).item()
            body.weight[place] -= 2e-6
            below = loss.loss(body, step([0, 3])).item()
            body.weight[place] += 1e-6
            assert gradient[place].item() == pytest.approx((above - below) / 2e-6, rel=1e-5)
            assert gradient[place].item() != 0


def test_rows_of_new_classes_do_not_push_the_old_ones_down() -> None:
    body = Given([[0.0, 0.0, 0.0, 0.0]])
    torch.autograd.backward(Distillation(None, 2, 0.0, 2.0, masks=True).loss(body, step([3])))
    assert body.weight.grad.tolist() == [[0.0, 0.0, 0.5, -0.5]]
    body = Given([[0.0, 0.0, 0.0, 0.0]])
    torch.autograd.backward(Distillation(None, 2, 0.0, 2.0, masks=True).loss(body, step([1])))
    assert body.weight.grad.tolist() == [[0.25, -0.75, 0.25, 0.25]], "rows of old classes see all columns"


def test_without_strength_and_new_classes_it_is_fine_tuning_bit_for_bit() -> None:
    s, base = prepared()
    d = digits().of(OLD)
    data = s.data(d.X[400:500], d.y[400:500])
    free = lwf.update(base, data, lwf.Params(strength=0), Run(seed=5)).checkpoint
    tuned = fine_tune.update(base, data, fine_tune.Params(), Run(seed=5)).checkpoint
    for part in ("backbone.0", "head.0"):
        assert all(torch.equal(t, tuned.parts[part][key]) for key, t in free.parts[part].items())


def test_the_stronger_the_nearer_the_old_answers_stay() -> None:
    s, base = prepared()
    d = digits().of(NEW)
    data = s.data(d.X[:200], d.y[:200])
    apart = [lwf.update(base, data, lwf.Params(strength=k), Run()).details["divergence"] for k in (0.0, 1.0, 30.0)]
    assert apart[0] > 4 * apart[1] > 4 * apart[2] > 0


def test_the_teacher_stands_still() -> None:
    """The answers are those before training, to the bit, in the order of the rows."""
    s, base = prepared()
    d = digits().of(NEW)
    data = s.data(d.X[:100], d.y[:100])
    seen: list[torch.Tensor | None] = []
    plain = Distillation.__init__

    def watched(self: Distillation, teacher: torch.Tensor | None, *rest: object) -> None:
        seen.append(teacher)
        plain(self, teacher, *rest)  # type: ignore[arg-type]

    Distillation.__init__ = watched  # type: ignore[method-assign]
    try:
        lwf.update(base, data, lwf.Params(epochs=2), Run())
    finally:
        Distillation.__init__ = plain  # type: ignore[method-assign]
    learner = Learner.start(base, data, Run())
    assert seen[0] is not None
    with torch.no_grad():
        assert torch.equal(seen[0], learner.body.eval()(learner.batch.x)[:, :5])


def test_one_new_class_alone_is_scored_over_all_columns() -> None:
    """Among one column there is nothing to learn."""
    s, base = prepared()
    d = digits().of("7")
    made = lwf.update(base, s.data(d.X[:30], d.y[:30]), lwf.Params(), Run())
    assert made.details["masked"] is False
    before = Learner.start(base, s.data(d.X[:30], d.y[:30]), Run()).network.head
    assert not torch.equal(list(before)[1].weight, made.checkpoint.parts["head.0"]["weight"][5:])


def test_a_new_class_that_kept_answers_drown_is_told() -> None:
    s, _ = prepared()
    old, new = digits().of(OLD), digits().of("9")
    X, y = np.concatenate([old.X[400:450], new.X[:20]]), [*old.y[400:450], *new.y[:20]]
    drowned, heard = (s.data(X, y), s.data(X, y))
    notes = lwf.update(s.checkpoint, drowned, lwf.Params(strength=100.0, epochs=3), Run()).notes
    assert any("kept answers speak for old classes" in note for note in notes)
    notes = lwf.update(s.checkpoint, heard, lwf.Params(strength=0.0, epochs=20), Run()).notes
    assert not any("kept answers" in note for note in notes)


def test_a_teacher_that_has_nothing_to_say_is_told() -> None:
    s, base = prepared()
    d = digits().of(NEW)
    data = s.data(d.X[:60], d.y[:60])
    assert not any("at random" in n for n in lwf.update(base, data, lwf.Params(epochs=1), Run()).notes)
    flat = {key: t * 1e-3 for key, t in base.parts["head.0"].items()}
    mute = Checkpoint(base.layout, {**base.parts, "head.0": flat}, base.learned)
    assert any("at random" in n for n in lwf.update(mute, data, lwf.Params(epochs=1), Run()).notes)


def test_rows_of_new_classes_push_no_old_one_down() -> None:
    z = torch.tensor([[1.0, 2.0, 0.5]], requires_grad=True)
    torch.autograd.backward(F.cross_entropy(without_old(z, torch.tensor([2]), 2), torch.tensor([2])))
    assert torch.isfinite(z.grad).all()
    assert not z.grad[0, :2].any()
