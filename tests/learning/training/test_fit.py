"""The training loop."""

from __future__ import annotations

from itertools import count

import pytest
import torch
from torch import Tensor, nn

from service.errors import Cancelled, Diverged
from service.learning.method_params import GradientParams
from service.learning.network.blocks import Block, GrownLinear
from service.learning.network.convolutions import fresh_stages
from service.learning.network.network import forward_cost
from service.learning.run import Run
from service.learning.training.fit import Hooks, Phase, fit, logits
from service.learning.training.training_set import Labelled, TrainingSet

PARAMS = GradientParams(epochs=3, batch_size=16, lr=0.1)


def rows(n: int = 100, seed: int = 0) -> Labelled:
    """Two classes that a line tells apart."""
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))
    return Labelled(x, (x[:, 0] + x[:, 1] > 0).long())


def body() -> GrownLinear:
    weight = torch.randn(2, 4, generator=torch.Generator().manual_seed(1))
    return GrownLinear([Block((0, 2), (0, 4), weight, torch.zeros(2), "head.0", "")])


def weights(module: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def accuracy(module: nn.Module, data: Labelled) -> float:
    return float((logits(module, data.x, Run()).argmax(1) == data.y).double().mean())


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(weights(a), weights(b), strict=True))


def test_it_learns() -> None:
    trained = body()
    fit(trained, TrainingSet(rows()), PARAMS, Run())
    assert accuracy(trained, rows(200, seed=5)) > 0.9


def test_it_tells_a_loss_that_did_not_fall() -> None:
    for lr, stuck in ((0.1, False), (1e-9, True)):
        params = GradientParams(epochs=10, batch_size=100, lr=lr)
        assert fit(body(), TrainingSet(rows(100)), params, Run()).stuck is stuck


def test_a_seed_gives_the_same_bits_and_another_seed_others() -> None:
    one, two, other = body(), body(), body()
    for trained, seed in ((one, 3), (two, 3), (other, 4)):
        fit(trained, TrainingSet(rows()), PARAMS, Run(seed=seed))
    assert same(one, two)
    assert not same(one, other)


def test_it_stops_within_a_step_of_the_cancelling() -> None:
    checks, seen = count(), [0]

    def check() -> None:
        if next(checks) == 5:
            raise Cancelled("stop")

    def after_step(_: float) -> None:
        seen[0] += 1

    with pytest.raises(Cancelled):
        fit(body(), TrainingSet(rows()), PARAMS, Run(check=check), hooks=Hooks(after_step=after_step))
    assert seen[0] == 5


def test_progress_is_told_once_an_epoch() -> None:
    progress: list[tuple[str, int, int]] = []
    fit(body(), TrainingSet(rows()), PARAMS, Run(progress=lambda *p: progress.append(p)), phase=Phase("probing"))
    assert progress == [("probing", k, 3) for k in range(4)]


def test_the_losses_of_each_epoch_are_told_and_cost_no_pass() -> None:
    seen: list[tuple[int, float, float | None]] = []
    watched = Run(losses=lambda *losses: seen.append(losses))

    def passes(run: Run, data: TrainingSet) -> int:
        trained, passed = body(), [0]
        trained.register_forward_pre_hook(lambda *_: passed.append(1))
        fit(trained, data, PARAMS, run)
        return sum(passed)

    judged = TrainingSet(rows(), selecting=rows())
    assert passes(watched, judged) == passes(Run(), judged) == passes(watched.silent, judged) > 3 * 7
    (one, first, first_kept), _, (three, last, last_kept) = seen
    assert (one, three) == (1, 3)
    assert last < first
    assert first_kept is not None
    assert last_kept is not None
    assert last_kept < first_kept
    seen.clear()
    fit(body(), TrainingSet(rows()), PARAMS, watched)
    assert [kept for *_, kept in seen] == [None] * 3


def test_what_asks_for_no_gradient_keeps_its_bits() -> None:
    trained = body()
    before = weights(trained)
    next(iter(trained)).weight.requires_grad_(False)
    fit(trained, TrainingSet(rows()), PARAMS, Run())
    after = weights(trained)
    assert torch.equal(after[0], before[0])
    assert not torch.equal(after[1], before[1])


def test_memory_joins_each_step() -> None:
    """A class that only the memory has is learned too, and its rows count as work."""
    data = rows()
    ones, zeros = data.y == 1, data.y == 0
    new, old = (Labelled(data.x[mask], data.y[mask]) for mask in (ones, zeros))
    trained, alone = body(), body()
    with_memory = fit(trained, TrainingSet(new, memory=old), PARAMS, Run())
    without = fit(alone, TrainingSet(new), PARAMS, Run())
    assert accuracy(trained, old) > 0.8 > accuracy(alone, old)
    assert with_memory.multiply_adds == 2 * without.multiply_adds


def test_work_is_counted_from_the_shapes() -> None:
    done = fit(body(), TrainingSet(rows(100)), PARAMS, Run())
    assert done.multiply_adds == 3 * (2 * 4) * 100 * 3
    stages = fresh_stages([5], (1, 8, 8), torch.Generator().manual_seed(0))
    assert forward_cost(stages) == 5 * 9 * 64


def test_early_stop_keeps_the_best_epoch() -> None:
    """Labels of the selecting rows are turned round: any training makes them worse, so the start is kept."""
    data, trained = rows(), body()
    fit(trained, TrainingSet(data), PARAMS, Run())
    before = weights(trained)
    turned = TrainingSet(data, selecting=Labelled(data.x, 1 - data.y))
    done = fit(trained, turned, PARAMS.model_copy(update={"epochs": 50}), Run(seed=9))
    assert done.epochs == 0
    assert all(torch.equal(p, b) for p, b in zip(weights(trained), before, strict=True))


def test_no_rows_move_nothing() -> None:
    trained = body()
    done = fit(trained, TrainingSet(rows(0)), PARAMS, Run())
    assert same(trained, body())
    assert done.multiply_adds == 0


class Squaring(nn.Module):
    """Diverges at high rates: logits grow with the square of the weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((4, 2), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.weight.exp() ** 8)


def test_a_rate_that_diverges_is_tried_again_at_a_third_and_the_notes_say_so() -> None:
    data = Labelled(rows().x * 1e3, rows().y)
    done = fit(Squaring(), TrainingSet(data), PARAMS.model_copy(update={"lr": 6.0}), Run())
    assert done.lr < 6
    assert "finite" in done.notes[0]


def test_inputs_that_no_rate_can_learn_are_refused_with_the_remedy() -> None:
    data = rows()
    data.x[7, 2] = torch.nan
    trained = body()
    with pytest.raises(Diverged, match=r"at step \d+ \(epoch 1 of \d+\).*lr"):
        fit(trained, TrainingSet(data), PARAMS, Run(seed=1))
    assert same(trained, body()), "what was there before is there again"


def test_weights_that_never_moved_blame_the_inputs() -> None:
    data = rows()
    wild = Labelled(torch.full_like(data.x, torch.inf), data.y)
    with pytest.raises(Diverged, match=r"at step 1 .*inputs are wild .*scale"):
        fit(body(), TrainingSet(wild), PARAMS, Run())
