"""ridge and lda as methods: a function of the rows alone, exactly undone, at home on every ground."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from service.contract.inputs import (
    Architecture,
    CnnBackbone,
    ImageInput,
    InputSpec,
    MlpBackbone,
    RangeScale,
    VectorInput,
)
from service.errors import Cancelled, MethodRefused
from service.learning.data.rows import Rows
from service.learning.data.serialization import pack_shard
from service.learning.exact import lift_choice
from service.learning.exact.params import USUAL_PRIOR
from service.learning.exact.solve import ABSENT, solve_ridge
from service.learning.ledger.feature_space import Space
from service.learning.method import Learned, Method
from service.learning.methods.freeze import lda, ridge
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.input_scale import declared_scale
from service.learning.network.network import build, fresh, layout_of, parts_of
from service.learning.run import Run
from tests.learning.exact_help import SECRET, VECTOR, labelled
from tests.learning.memory_data import MemoryData, Stream
from tests.learning.samples import load_digits, logits
from tests.updating import make_rows

METHODS = {"ridge": ridge.METHOD, "lda": lda.METHOD}
NAMED = {"lift": "relu", "width": 24}
IMAGE = ImageInput(kind="image", channels=1, height=8, width=8, scale=RangeScale(range=(0, 16)))
RAW = VectorInput(kind="vector", size=5)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lifts that `auto` tries are small here."""
    monkeypatch.setattr("service.learning.network.lifts.WIDTH", 60)


def batch(name: str, which: Sequence[int] | np.ndarray, seed: int = 0) -> Rows:
    x, y = labelled(200, seed=seed)
    return make_rows(name, x[which], [y[k] for k in which], SECRET)


def learn(
    method: Method,
    base: Checkpoint | None,
    known: Sequence[Rows],
    new: Rows,
    spec: InputSpec = VECTOR,
    **params: object,
) -> Learned:
    data = MemoryData(spec, Architecture(), known, new)
    return method.update(base, data, method.Params.model_validate({**NAMED, **params}), Run())


def stream(method: Method, parts: Sequence[Rows], spec: InputSpec = VECTOR, **params: object) -> Checkpoint:
    checkpoint = None
    for k, part in enumerate(parts):
        checkpoint = learn(method, checkpoint, parts[:k], part, spec, **params).checkpoint
    assert checkpoint is not None
    return checkpoint


def by_name(checkpoint: Checkpoint, part: str = "head.0") -> dict[str, bytes]:
    """Bits of each class's weights and bias."""
    tensors = checkpoint.parts[part]
    return {
        name: tensors["weight"][k].numpy().tobytes() + tensors["bias"][k].numpy().tobytes()
        for k, name in enumerate(checkpoint.classes)
    }


def alike(a: Checkpoint, b: Checkpoint, temperature: bool = False) -> bool:
    """The same version but for the order of its columns, bit for bit; `temperature` too, once fold 2 decides it."""
    left_out = {"classes", "exact"} if temperature else {"classes", "exact", "temperature"}
    layouts = [c.layout.model_dump(exclude=left_out) for c in (a, b)]
    strength = [(c.layout.exact.alpha, c.layout.exact.prior) for c in (a, b) if c.layout.exact]
    return (
        layouts[0] == layouts[1]
        and strength[0] == strength[1]
        and by_name(a) == by_name(b)
        and by_name(a, "judge") == by_name(b, "judge")
    )


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_any_stream_of_the_same_rows_makes_the_same_version(method: Method, data: st.DataObject) -> None:
    order = np.array(data.draw(st.permutations(range(120))))
    if data.draw(st.booleans()):  # classes one after another: batches of one class, new ones late
        _, y = labelled(200)
        order = order[np.argsort([y[k] for k in order], kind="stable")]
    cuts = sorted(data.draw(st.lists(st.integers(1, 119), max_size=4, unique=True)))
    parts = [batch(f"bat_{k}", which) for k, which in enumerate(np.split(order, cuts))]
    assert alike(stream(method, parts), stream(method, [batch("bat_all", range(120))]))


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_one_row_at_a_time_is_the_same_too(method: Method) -> None:
    parts = [batch(f"bat_{k:02d}", [k]) for k in range(25)]
    assert alike(stream(method, parts), stream(method, [batch("bat_all", range(25))]))


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_with_enough_rows_to_select_on_the_temperature_is_the_same_too(method: Method) -> None:
    x, y = labelled(900)
    order = np.random.default_rng(0).permutation(900)
    pieces = np.array_split(order, 3)
    parts = [make_rows(f"bat_{k}", x[p], [y[i] for i in p], SECRET) for k, p in enumerate(pieces)]
    assert alike(stream(method, parts), stream(method, [make_rows("bat_all", x, y, SECRET)]), temperature=True)


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_a_batch_taken_back_was_never_learned(method: Method) -> None:
    x, _ = labelled(30, seed=7)
    wrong = make_rows("bat_wrong", x, ["a class of its own"] * 20 + ["class 1"] * 10, SECRET)
    good = [batch("bat_1", range(60)), batch("bat_2", range(60, 120))]
    harmed = stream(method, [good[0], wrong, good[1]])
    assert "a class of its own" in harmed.classes
    left = learn(method, harmed, good, Rows.empty(VECTOR.shape)).checkpoint
    never = stream(method, good)
    assert alike(left, never)
    assert left.learned == never.learned
    assert "a class of its own" not in left.classes
    data = MemoryData(VECTOR, Architecture(), good, Rows.empty(VECTOR.shape))
    assert data.ledger(Space.of(left)).digest == data.ledger(Space.of(never)).digest


def test_nothing_of_a_batch_taken_back_stays_in_the_temperature() -> None:
    x, _ = labelled(30, seed=7)
    good, temperatures = batch("bat_1", range(90)), []
    for labels in (["class 1"] * 30, ["class 2"] * 30):
        wrong = make_rows("bat_wrong", x, labels, SECRET)
        harmed = stream(ridge.METHOD, [wrong, good])
        left = learn(ridge.METHOD, harmed, [good], Rows.empty(VECTOR.shape))
        temperatures.append(left.checkpoint.layout.temperature)
        assert any("cross-validated" in note for note in left.notes)
    assert temperatures[0] == temperatures[1] < 1


def test_the_served_head_is_the_ridge_of_all_rows_to_the_last_bits_of_float32() -> None:
    parts = [batch("bat_1", range(50)), batch("bat_2", range(50, 150))]
    checkpoint = stream(ridge.METHOD, parts, alpha=0.01)
    space = Space.of(checkpoint)
    ledger = MemoryData(VECTOR, Architecture(), parts, Rows.empty(VECTOR.shape)).ledger(space)
    for part, sums in (("head.0", ledger.all), ("judge", ledger.learn + ledger.select)):
        head = solve_ridge(sums, space.shift, 0.01, 0.25).aligned(checkpoint.classes)
        assert np.array_equal(checkpoint.parts[part]["weight"].numpy(), head.weight.astype(np.float32))
        assert np.array_equal(checkpoint.parts[part]["bias"].numpy(), head.bias.astype(np.float32))
    x = torch.from_numpy(labelled(200)[0])
    logits = build(checkpoint)(x).detach().numpy()
    exact = solve_ridge(ledger.all, space.shift, 0.01, 0.25).aligned(checkpoint.classes)
    assert np.allclose(logits, exact.logits(space.network.features(x).numpy()), atol=1e-5)


def test_columns_follow_the_base_then_the_batch() -> None:
    first = make_rows("bat_1", labelled(3)[0], ["z", "a", "z"], SECRET)
    then = make_rows("bat_2", labelled(4, seed=1)[0], ["m", "a", "b", "m"], SECRET)
    assert stream(ridge.METHOD, [first, then]).classes == ("z", "a", "m", "b")


def test_a_class_that_only_judges_have_is_absent_from_the_judged_head() -> None:
    rows = batch("bat_1", range(200))
    folds = np.where(rows.labels == 0, 0, rows.folds)
    moved = Rows(**{**vars(rows), "folds": folds})
    made = learn(ridge.METHOD, None, [], moved)
    assert made.checkpoint.parts["judge"]["bias"][0] == ABSENT
    assert (made.out_of_fold[rows.labels == 0, 0] == ABSENT).all()
    assert build(made.checkpoint)(torch.from_numpy(rows.inputs)).isfinite().all()


def test_parts_say_which_batches_made_them() -> None:
    one, two = batch("bat_1", range(100)), batch("bat_2", range(100, 150))
    named = stream(ridge.METHOD, [one, two])
    both = frozenset({"bat_1", "bat_2"})
    assert named.learned == {"scale": frozenset(), "lift.0": frozenset(), "head.0": both, "judge": both}
    fitted = stream(ridge.METHOD, [one, two], RAW, lift="auto", width=None)
    assert fitted.learned["scale"] == {"bat_1"}
    assert fitted.learned["head.0"] == both
    assert all(s <= both for s in fitted.learned.values())


def test_a_frozen_space_keeps_its_parts_bit_for_bit() -> None:
    one, two = batch("bat_1", range(100)), batch("bat_2", range(100, 130))
    for params in (NAMED, {"lift": ["none", "fourier"], "width": 9}, {"lift": "auto", "width": None}):
        before = learn(ridge.METHOD, None, [], one, **params).checkpoint
        after = learn(ridge.METHOD, before, [one], two, **params).checkpoint
        frozen = [part for part in before.parts if part.split(".")[0] in ("scale", "lift")]
        assert [pack_shard(before.parts[p]) for p in frozen] == [pack_shard(after.parts[p]) for p in frozen]
        assert Space.of(before).id == Space.of(after).id


def test_lifts_stand_side_by_side() -> None:
    checkpoint = stream(ridge.METHOD, [batch("bat_1", range(150))], lift=["none", "relu"], width=30)
    assert [(lift.kind, lift.width) for lift in checkpoint.layout.lifts] == [("none", 5), ("relu", 30)]
    assert checkpoint.layout.head[0].columns == (0, 35)
    plain = stream(ridge.METHOD, [batch("bat_1", range(150))], lift="none")
    assert plain.layout.lifts == []
    assert plain.layout.head[0].columns == (0, 5)


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    return data.data.reshape(-1, 1, 8, 8).astype(np.float32), data.target.astype(str)


@cache
def trained(kind: str) -> Stream:
    """A net with random weights stands in for a trained one: what counts is that it stands still."""
    backbone = MlpBackbone(name="mlp", hidden=[200]) if kind == "mlp" else CnnBackbone(name="cnn", channels=[8])
    scale = declared_scale(IMAGE)
    assert scale is not None
    images = Stream(IMAGE, Architecture(backbone=backbone))
    network = fresh(IMAGE, images.architecture, scale, list("01234"), torch.Generator().manual_seed(0))
    x, y = digits()
    few = np.flatnonzero(np.isin(y, list("01234")))[:150]
    images.history.append(images.rows(x[few], list(y[few])))
    parts = parts_of(network)
    images.checkpoint = Checkpoint(
        layout_of(network, list("01234")), parts, {part: frozenset({"bat_000"}) for part in parts}
    )
    return images


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_a_trained_backbone_is_frozen_and_its_history_summed(method: Method, kind: str) -> None:
    known = trained(kind)
    x, y = digits()
    rows = np.flatnonzero(np.isin(y, list("56789")))[:200]
    made = method.update(known.checkpoint, known.data(x[rows], list(y[rows])), method.Params(), Run())
    got = made.checkpoint
    assert got.classes[:5] == tuple("01234")
    assert got.layout.trained
    assert got.layout.shift is not None
    assert pack_shard(got.parts["backbone.0"]) == pack_shard(known.checkpoint.parts["backbone.0"])
    assert got.learned["backbone.0"] == {"bat_000"}
    assert got.learned["head.0"] == {"bat_000", "bat_001"}
    old = np.flatnonzero(np.isin(y, list("01234")))[150:300]
    for which in (rows, old):
        answers = build(got)(torch.from_numpy(x[which])).argmax(1).numpy()
        assert (np.array(got.classes)[answers] == y[which]).mean() > 0.8
    lifted = method.Params.model_validate({"lift": "relu"})
    with pytest.raises(MethodRefused, match="auto"):
        method.update(known.checkpoint, known.data(x[rows], list(y[rows])), lifted, Run())


def test_new_classes_of_digits_are_learned_and_the_old_ones_stay() -> None:
    x, y = digits()
    test = np.arange(len(y)) % 4 == 0
    model = Stream(IMAGE)
    for classes in ("01234", "56789"):
        rows = np.isin(y, list(classes)) & ~test
        made = model.learn(ridge.METHOD, x[rows], list(y[rows]))
    got = made.checkpoint
    assert made.details["lift"] == ["conv"]
    right = np.array(got.classes)[build(got)(torch.from_numpy(x[test])).argmax(1).numpy()] == y[test]
    assert right.mean() > 0.975
    assert right[np.isin(y[test], list("01234"))].mean() > 0.97
    own = y[np.isin(y, list("56789")) & ~test]
    assert (np.array(got.classes)[made.out_of_fold.argmax(1)] == own).mean() > 0.97


def test_auto_chooses_again_when_rows_have_doubled_and_a_named_lift_stays() -> None:
    x, y = labelled(200)
    auto, named = Stream(VECTOR), Stream(VECTOR)
    looked = []
    for start, stop in ((0, 40), (40, 60), (60, 100), (100, 200)):
        made = auto.learn(ridge.METHOD, x[start:stop], y[start:stop])
        looked.append("lifts_tried" in made.details)
        named.learn(ridge.METHOD, x[start:stop], y[start:stop], **(NAMED if start == 0 else {}))
    assert looked == [True, False, True, True]
    assert [(lift.kind, lift.width) for lift in named.checkpoint.layout.lifts] == [("relu", 24)]


def test_a_lift_that_was_far_ahead_stays_once_without_being_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lift_choice, "SELECTING_ROWS", 3)
    monkeypatch.setattr("service.learning.network.lifts.WIDTH", 24)
    x, y = labelled(330)
    for scores, tried in (
        ((0.9, 0.98, 0.95), [3, 1, 3]),  # none is far behind, random Fourier features are, too
        ((0.9, 0.98, 0.97), [3, 3, 3]),
        ((0.4, 0.88, 0.4), [3, 3, 3]),  # ahead, but more rows may show what does well
    ):
        given = itertools.cycle(scores)
        monkeypatch.setattr(lift_choice, "unseen_accuracy", lambda *_, given=given: next(given))
        model, counts = Stream(VECTOR), []
        for start, stop in ((0, 40), (40, 80), (80, 160)):
            made = model.learn(ridge.METHOD, x[start:stop], y[start:stop])
            counts.append(len(made.details["lifts_tried"]))
            everything = frozenset(made.checkpoint.learned["head.0"])
            assert made.checkpoint.learned["lift.0"] == everything, "it stayed because of these rows, too"
        assert counts == tried
    exact = made.checkpoint.layout.exact
    assert exact.lift_rows == 160


def test_a_lift_that_was_ahead_is_chosen_anew_where_it_does_badly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lift_choice, "SELECTING_ROWS", 3)
    x, y = labelled(330)
    model = Stream(VECTOR)
    scores = iter((0.9, 0.98, 0.9, 0.9, 0.95, 0.9))
    monkeypatch.setattr(lift_choice, "unseen_accuracy", lambda *_: next(scores))
    first = model.learn(ridge.METHOD, x[:40], y[:40]).checkpoint.layout
    assert first.exact.lift_ahead
    noise = list(np.random.default_rng(0).permutation(y[40:330]))
    assert len(model.learn(ridge.METHOD, x[40:330], noise).details["lifts_tried"]) == 3


def test_a_wide_head_is_the_same_however_its_rows_arrived() -> None:
    """Strength and discriminants are chosen at every update, so that they are a function of the rows, too."""
    parts, heads = [batch("bat_1", range(70)), batch("bat_2", range(70, 80))], []
    for order in ((0, 1), (1, 0)):
        checkpoint = None
        for k, part in enumerate(order):
            before = [parts[i] for i in order[:k]]
            made = learn(ridge.METHOD, checkpoint, before, parts[part], lift="relu", width=1250)
            checkpoint = made.checkpoint
            assert made.details["alphas_tried"]
        head = checkpoint.parts["head.0"]
        by_name = np.argsort(checkpoint.classes)
        heads.append((head["weight"][by_name], head["bias"][by_name], checkpoint.layout.exact.alpha))
    assert torch.equal(heads[0][0], heads[1][0])
    assert torch.equal(heads[0][1], heads[1][1])
    assert heads[0][2] == heads[1][2]


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
@pytest.mark.parametrize("which", [[3], [3, 4], range(10)])
def test_a_first_version_of_few_rows_works(method: Method, which: Sequence[int]) -> None:
    for spec in (VECTOR, RAW):
        for labels in (None, "alone"):
            rows = batch("bat_1", which)
            if labels:
                rows = make_rows("bat_1", rows.inputs, [labels] * len(rows), SECRET)
            made = learn(method, None, [], rows, spec, lift="auto", width=None)
            assert set(made.checkpoint.classes) == set(rows.names)
            assert build(made.checkpoint)(torch.from_numpy(rows.inputs)).isfinite().all()
            assert made.checkpoint.layout.temperature > 0


def test_an_untrained_backbone_is_left_alone_and_the_notes_say_so() -> None:
    data = MemoryData(VECTOR, Architecture(backbone=MlpBackbone(name="mlp", hidden=[8])), [], batch("bat_1", range(60)))
    made = ridge.update(None, data, ridge.Params(), Run())
    assert made.checkpoint.layout.backbone.name == "identity"
    assert any("retrain" in note for note in made.notes)


def test_work_is_counted_told_and_can_be_stopped() -> None:
    phases: list[str] = []
    data = MemoryData(VECTOR, Architecture(), [], batch("bat_1", range(100)))
    params = ridge.Params(lift="relu", width=50)
    made = ridge.update(None, data, params, Run(progress=lambda phase, done, total: phases.append(phase)))
    assert "solving" in phases
    wide = ridge.update(None, data, ridge.Params(lift="relu", width=100), Run())
    assert 2 * made.multiply_adds < wide.multiply_adds < 8 * made.multiply_adds

    def stop() -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        ridge.update(None, data, params, Run(check=stop))


def test_parameters_out_of_bounds_are_refused() -> None:
    for wrong in [
        {"decay": 1.1},
        {"decay": 0},
        {"decay": 0.9, "half_life": 5},
        {"source_weights": {"north": -1}},
        {"lift": "wavelet"},
        {"lift": []},
        {"lift": ["relu", "relu"]},
        {"width": 0},
        {"prior": 1.5},
        {"prior": "tempered"},
        {"alpha": 0},
        {"alpha": float("nan")},
    ]:
        with pytest.raises(ValidationError):
            ridge.Params.model_validate(wrong)


def test_convolutions_of_vectors_are_refused_with_the_remedy() -> None:
    with pytest.raises(MethodRefused, match="fourier"):
        learn(ridge.METHOD, None, [], batch("bat_1", range(20)), lift="conv", width=None)


def test_the_prior_is_a_power_of_the_counts() -> None:
    priors = [ridge.Params.model_validate({"prior": p}).tau for p in ("uniform", "counted", 0.5)]
    assert priors == [0, 1, 0.5]
    assert (ridge.Params().tau, lda.Params().tau) == (USUAL_PRIOR, 0)


def test_scores_of_a_rare_class_add_up_to_its_rows() -> None:
    rng = np.random.default_rng(0)
    rare = rng.random(8000) < 0.06
    x = (rng.normal(size=(8000, VECTOR.size)) + 1.2 * rare[:, None] / np.sqrt(VECTOR.size / 2)).astype(np.float32)
    names = ["rare" if k else "common" for k in rare]

    def scored(prior: float | str) -> float:
        made = learn(ridge.METHOD, None, [], make_rows("bat_1", x[:4000], names[:4000], SECRET), prior=prior).checkpoint
        scores = torch.softmax(logits(made, x[4000:]) / made.layout.temperature, 1)
        return float(scores[:, made.classes.index("rare")].mean())

    assert scored("fitted") == pytest.approx(rare[4000:].mean(), abs=0.015)
    assert scored(0.25) > 0.1, "an answer that favours rare classes is asked for"
