"""Balancing a head: norms made equal, a planted bias found again, priors taken off and given back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from service.learning.method import Method
from service.learning.method_params import Balance
from service.learning.methods.baseline import fine_tune, retrain
from service.learning.methods.expand import den
from service.learning.methods.freeze import lda, ridge
from service.learning.methods.rehearse import replay
from service.learning.network.blocks import Block, GrownLinear
from service.learning.network.growth import matrix
from service.learning.run import Run
from service.learning.training.rebalance import (
    ADJUSTED,
    Trained,
    align,
    balanced_accuracy,
    correct,
    crossings,
    fit_correction,
    log_priors,
    rebalance,
    shift,
)
from tests.learning.memory_data import Stream
from tests.learning.samples import NEW, OLD, accuracy, digits, knowing, logits, stream


def head(*sizes: int, inputs: int = 6) -> GrownLinear:
    """Blocks one below the other; the last reaches two more inputs, as those of an expanded network do."""
    generator, blocks, start = torch.Generator().manual_seed(1), [], 0
    for k, n in enumerate(sizes):
        weight = torch.randn(n, inputs, generator=generator) * (k + 1)
        blocks.append(Block((start, start + n), (0, inputs), weight, torch.ones(n), f"head.{k}", ""))
        start += n
    extra = torch.randn(sizes[-1], 2, generator=generator)
    blocks.append(Block((start - sizes[-1], start), (inputs, inputs + 2), extra, None, "head.9", ""))
    return GrownLinear(blocks)


@pytest.mark.parametrize("known", [3, 2])
def test_aligned_rows_have_the_old_norm_and_again_changes_nothing(known: int) -> None:
    """The boundary may lie inside a block."""
    h = head(3, 4)
    before = matrix(h)[0]
    gamma = align(h, known)
    after, bias = matrix(h)
    norms = after.norm(dim=1)
    assert float(norms[:known].mean() / norms[known:].mean()) == pytest.approx(1, abs=1e-5)
    assert torch.equal(after[:known], before[:known])
    assert torch.allclose(after[known:], before[known:] * gamma)
    assert torch.equal(bias, torch.ones(7))
    assert align(h, known) == pytest.approx(1, abs=1e-6)


def planted(rows: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are right as they are: labels drawn from their softmax. Columns 4 and on are new."""
    random = np.random.default_rng(0)
    z = random.normal(0, 1.5, (rows, 6))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return z, (p.cumsum(1) < random.random((rows, 1))).sum(1)


@pytest.mark.parametrize(("scale", "offset"), [(0.5, -1.5), (2.0, 0.7)])
def test_a_planted_bias_is_found(scale: float, offset: float) -> None:
    z, y = planted()
    spoiled = z.copy()
    spoiled[:, 4:] = (z[:, 4:] - offset) / scale
    fitted = fit_correction(spoiled, y, 4)
    assert fitted[0] == pytest.approx(scale, rel=0.1)
    assert fitted[1] == pytest.approx(offset, abs=0.1)


def test_a_correction_goes_into_the_head() -> None:
    h = head(3, 4)
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(2))
    before = h(x)
    correct(h, 3, 0.5, -2.0)
    assert torch.equal(h(x)[:, :3], before[:, :3])
    assert torch.allclose(h(x)[:, 3:], before[:, 3:] * 0.5 - 2, atol=1e-5)


def test_a_correction_needs_rows_of_both_sides() -> None:
    z, y = planted(50)
    assert fit_correction(z[y < 4], y[y < 4], 4) is None
    assert fit_correction(z[:0], y[:0], 4) is None


def unequal() -> tuple[list[int], list[str]]:
    """Rows of digits: all of 0 to 4, eight of each of the others."""
    labels = np.array(digits().y)
    places = [i for c in "0123456789" for i in np.flatnonzero(labels == c)[: None if c in OLD else 8]]
    order = np.random.default_rng(0).permutation(places)
    return [int(i) for i in order], [str(c) for c in labels[order]]


def held_balanced(s: Stream) -> float:
    d = digits()
    columns = torch.tensor([s.checkpoint.classes.index(c) for c in d.held_y])
    return balanced_accuracy(logits(s.checkpoint, d.held_X), columns)


def test_adjusting_lowers_the_balanced_error_where_classes_are_unequal() -> None:
    d, (places, y) = digits(), unequal()
    got = {}
    for how in ("none", "adjust"):
        s = stream([64])
        s.learn(retrain.METHOD, d.X[places], y, balance=how)
        got[how] = held_balanced(s)
    assert got["adjust"] > got["none"] + 0.01


def test_an_adjustment_is_given_back_before_the_next_training() -> None:
    """A training that moves nothing: the head is the one that was trained, to the last rounding."""
    d, (places, y) = digits(), unequal()
    s, t = stream([16]), stream([16])
    s.learn(retrain.METHOD, d.X[places], y, balance="adjust")
    t.learn(retrain.METHOD, d.X[places], y)
    assert t.checkpoint is not None
    taken = s.checkpoint.parts[ADJUSTED]["columns"]
    plain, adjusted = logits(t.checkpoint, d.held_X), logits(s.checkpoint, d.held_X)
    assert torch.allclose(adjusted, plain - taken, atol=1e-5)
    after = s.learn(fine_tune.METHOD, d.X[:30], d.y[:30], lr=1e-9, epochs=1).checkpoint
    assert torch.allclose(logits(after, d.held_X), plain, atol=1e-4)
    assert ADJUSTED not in after.parts


@pytest.mark.parametrize("exact", [lda.METHOD, ridge.METHOD], ids=["lda", "ridge"])
def test_a_head_that_goes_on_from_an_exact_one_is_not_adjusted(exact: Method) -> None:
    d, s = digits(), knowing(exact)
    learned = s.learn(fine_tune.METHOD, *d.of(NEW)[:2], balance="adjust")
    assert "balance" not in learned.details
    assert any("adjust was not applied" in note for note in learned.notes)


@pytest.mark.parametrize("how", ["align", "correct", "auto"])
def test_every_way_is_told_with_its_numbers(how: Balance) -> None:
    d, s = digits(), knowing(retrain.METHOD, [64])
    learned = s.learn(fine_tune.METHOD, *d.of(NEW)[:2], balance=how, epochs=2)
    report = learned.details["balance"]
    assert report["applied"] == ("align" if how == "align" else report["applied"])
    assert {"align": "gamma", "correct": "alpha", "auto": "called_new"}[how] in report


def test_correcting_wins_back_old_classes_after_fine_tuning() -> None:
    d, s = digits(), knowing(retrain.METHOD, [64])
    base, data = s.checkpoint, s.data(*d.of(NEW)[:2])
    plain = fine_tune.update(base, data, fine_tune.Params(epochs=6), Run()).checkpoint
    corrected = fine_tune.update(base, data, fine_tune.Params(epochs=6, balance="correct"), Run()).checkpoint
    assert accuracy(corrected, d.held_X, d.held_y) > accuracy(plain, d.held_X, d.held_y) + 0.03


def test_auto_leaves_a_head_alone_that_favours_nobody() -> None:
    d, s = digits(), knowing(retrain.METHOD, [64])
    base, data = s.checkpoint, s.data(*d.of(NEW)[:2])
    plain = replay.update(base, data, replay.Params(), Run())
    auto = replay.update(base, data, replay.Params(balance="auto"), Run())
    assert auto.details["balance"]["applied"] == "none"
    assert torch.equal(logits(auto.checkpoint, d.held_X), logits(plain.checkpoint, d.held_X))


def test_what_new_classes_still_take_is_told_after_the_balance_and_shares_need_old_rows() -> None:
    d, s = digits(), knowing(retrain.METHOD, [32])
    base, data = s.checkpoint, s.data(*d.of(NEW)[:2])
    assert base is not None
    made = {
        how: fine_tune.update(base, data, fine_tune.Params(epochs=2, balance=how), Run())
        for how in ("none", "correct", "adjust")
    }
    takes = {how: [n for n in learned.notes if "with a new class" in n] for how, learned in made.items()}
    assert "levels them" in takes["none"][0]
    assert takes["correct"] != takes["none"]
    assert any("adjust was not applied: no row of some old class" in note for note in made["adjust"].notes)


def test_protected_scores_keep_their_bits_when_new_columns_are_balanced() -> None:
    d, s = digits(), knowing(retrain.METHOD, [32])
    base, data = s.checkpoint, s.data(*d.of(NEW)[:2])
    assert base is not None
    for how in ("align", "correct", "adjust"):
        got = den.update(base, data, den.Params(epochs=2, balance=how), Run()).checkpoint
        assert torch.equal(logits(got, d.held_X)[:, :5], logits(base, d.held_X)), how


@pytest.mark.parametrize(("offset", "applied"), [(3.0, "correct"), (0.0, "none")])
def test_auto_applies_what_rows_kept_back_show_to_help(offset: float, applied: str) -> None:
    """Columns 4 and 5 were raised by `offset` too much; aligning norms that are alike cannot help."""
    z, y = planted(600)
    h = GrownLinear([Block((0, 6), (0, 6), torch.eye(6), torch.zeros(6), "head.0", "")])
    before = matrix(h)[0]
    shift(h, torch.tensor([0, 0, 0, 0, offset, offset]))
    rows = torch.from_numpy(z).float()
    trained = Trained(h, 4, None, lambda: (h(rows).detach(), torch.from_numpy(y)), lambda: [1] * 6)
    report = rebalance("auto", trained).report
    assert report["applied"] == applied
    assert report["accuracy"]["correct"] >= report["accuracy"]["none"] - 0.02
    if applied == "none":
        assert torch.equal(matrix(h)[0], before)
    else:
        assert report["called_new"] > report["called_old"]
        assert float(matrix(h)[1][4]) < 1


def test_rows_on_the_wrong_side_are_counted() -> None:
    logits = torch.eye(4)[[0, 3, 2, 1, 3]]
    assert crossings(logits, torch.tensor([0, 1, 0, 3, 2]), 2) == {"called_new": 2, "called_old": 1}


def test_nothing_new_leaves_everything_and_says_so() -> None:
    h = head(2, 2)
    trained = Trained(h, 4, None, lambda: (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)), lambda: [1] * 4)
    before = matrix(h)[0]
    done = rebalance("align", trained)
    assert torch.equal(matrix(h)[0], before)
    assert "no new columns" in (done.note or "")
    assert log_priors([5, 5, 5]).tolist() == [0, 0, 0]
