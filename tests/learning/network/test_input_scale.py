"""The input scale: declared, or fitted once and rounded so that little of the batch stays in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from service.contract.inputs import ImageInput, InputSpec, MomentsScale, RangeScale, VectorInput
from service.contract.tables import TableInput
from service.errors import InvalidContent
from service.learning.methods.freeze import ridge
from service.learning.network.input_scale import (
    InputScale,
    declared_scale,
    fit_number_scale,
    fit_scale,
    input_reach,
    scale_for,
)
from service.learning.network.scale_notes import far_off, rows_beyond, scale_notes
from service.learning.network.table_scale import TableScale
from service.web.catalogue.said import said
from tests.learning.memory_data import Stream
from tests.learning.number_streams import NumberStream, values, vector
from tests.learning.samples import accuracy, digits
from tests.tables import table_of

VECTOR = VectorInput(kind="vector", size=2)
RANGED = VectorInput(kind="vector", size=2, scale=RangeScale(range=(0, 16)))
IMAGE = ImageInput(kind="image", channels=3, height=2, width=2)


def scaled(scale: InputScale, rows: object) -> np.ndarray:
    return scale(torch.as_tensor(rows)).numpy()


def test_a_declared_range_is_mapped_to_minus_one_and_one() -> None:
    scale, declared = scale_for(RANGED, np.zeros((1, 2), np.float32))
    assert declared
    assert scaled(scale, [[0.0, 16.0], [8.0, 12.0]]).tolist() == [[-1, 1], [0, 0.5]]
    assert input_reach(RANGED) == 1


def test_images_have_bytes_unless_they_say_otherwise() -> None:
    scale = declared_scale(IMAGE)
    assert scale is not None
    pixels = torch.tensor([0, 255], dtype=torch.uint8).repeat(6).reshape(1, 3, 2, 2)
    assert set(scale(pixels).flatten().tolist()) == {-1.0, 1.0}
    assert input_reach(IMAGE) == 1


def test_moments_are_given_once_or_a_column() -> None:
    one = declared_scale(VECTOR.model_copy(update={"scale": MomentsScale(mean=1, std=2)}))
    each = declared_scale(IMAGE.model_copy(update={"scale": MomentsScale(mean=[0, 1, 2], std=1)}))
    assert one is not None
    assert each is not None
    assert scaled(one, [[3.0, 1.0]]).tolist() == [[1, 0]]
    assert each(torch.zeros(1, 3, 2, 2))[0, :, 0, 0].tolist() == [0, -1, -2]


def test_moments_of_another_length_are_refused_with_the_field() -> None:
    with pytest.raises(InvalidContent, match="2") as refused:
        declared_scale(VECTOR.model_copy(update={"scale": MomentsScale(mean=[0, 1, 2], std=1)}))
    assert refused.value.errors[0][0] == "/input/scale/mean"


def test_a_fitted_scale_is_a_power_of_two_around_a_multiple_of_it() -> None:
    rows = np.random.default_rng(0).normal([1000, -3], [5, 0.3], (500, 2))
    scale = fit_scale(rows.astype(np.float32))
    assert scale.std.tolist() == [4, 0.25]
    assert (np.log2(scale.std.numpy()) % 1 == 0).all()
    assert (scale.mean.numpy() % scale.std.numpy() == 0).all()
    assert np.abs(scaled(scale, rows)).max() < 8


def test_a_constant_column_has_a_floor_and_one_row_is_enough() -> None:
    flat = fit_scale(np.array([[1.0, 7], [3, 7], [5, 7], [9, 7]], np.float32))
    assert flat.std[1] > 0
    single = fit_scale(np.array([[100.0, 0.0]], np.float32))
    assert torch.isfinite(single(torch.tensor([[120.0, 1.0]]))).all()
    zero = fit_scale(np.zeros((3, 2), np.float32))
    assert zero.std.tolist() == [1, 1]
    huge = fit_scale(np.array([[1e-44, 1e38], [0, -1e38]], np.float32))
    assert torch.isfinite(huge(torch.tensor([[1e-44, 1e38], [3e38, 0]]))).all()


def test_each_column_has_its_own_spread_and_a_constant_one_a_quarter_of_the_median() -> None:
    rows = np.random.default_rng(0).normal(0, [1e-9, 1, 1000, 1e12, 0, 0, 0.5], (500, 7))
    rows[:, 4:] += [0, 7, 1e6]  # the last one varies by less than float32 tells
    scale = fit_scale(rows.astype(np.float32))
    assert np.log2(scale.std.numpy()).tolist() == [-30, 0, 10, 40, 7, 7, 7]
    assert np.allclose(scaled(scale, rows.astype(np.float32)).std(0)[:4], 1, atol=0.5)


@pytest.mark.long
def test_columns_in_any_unit_are_learned_as_well_as_with_a_declared_scale() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 600)
    corners = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])[labels]
    telling, y = corners + random.normal(0, 0.4, (600, 2)), [str(k) for k in labels]
    noise = random.normal(0, 1, (600, 3))

    def right(unit: float, scale: MomentsScale | None) -> float:
        rows = np.concatenate([telling / 100, noise * unit], 1).astype(np.float32)
        s = Stream(VectorInput(kind="vector", size=5, scale=scale))
        s.learn(ridge.METHOD, rows[:400], y[:400])
        assert s.checkpoint is not None
        return accuracy(s.checkpoint, rows[400:], y[400:])

    declared = right(10.0, MomentsScale(mean=0, std=[0.01, 0.01, 10, 10, 10]))
    assert declared > 0.96
    assert [right(unit, None) for unit in (10.0, 1000.0)] == pytest.approx([declared] * 2, abs=0.01)


@pytest.mark.long
def test_columns_times_powers_of_ten_are_learned_as_well() -> None:
    d, units = digits(), 10.0 ** np.random.default_rng(0).integers(-9, 10, 64)
    shares = []
    for unit in (np.ones(64), units):
        s = Stream(VectorInput(kind="vector", size=64))
        s.learn(ridge.METHOD, d.X[:600] * unit, d.y[:600])
        assert s.checkpoint is not None
        shares.append(accuracy(s.checkpoint, (d.held_X * unit).astype(np.float32), d.held_y))
    assert shares[1] == pytest.approx(shares[0], abs=0.01)


def test_columns_that_fall_together_are_named_with_the_remedy() -> None:
    scale = InputScale(torch.tensor(0.0), torch.tensor([1.0, 1.0, 1.0, 0.001]))
    rows = np.random.default_rng(0).normal(0, [1, 0.001, 0, 0.001], (50, 4)).astype(np.float32)
    [note] = scale_notes(scale, rows, fitted=False)
    assert note.startswith("Column 2 varies so little")
    assert "declared" in note
    rows[7, 1] = 0.5  # a rare value that stands out is seen
    assert scale_notes(scale, rows, fitted=False) == []
    assert scale_notes(scale, rows[:7], fitted=False) == []
    [note] = scale_notes(scale, np.tile(rows[:, 3:], (1, 4)), fitted=False)
    assert note.startswith("Columns 1, 2 and 3 vary")


def test_columns_that_never_vary_in_a_first_batch_are_named_with_the_remedy() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 12)).astype(np.float32)
    assert scale_notes(fit_scale(rows), rows, fitted=True) == []
    rows[:, 5] = 2024.1
    [note] = scale_notes(fit_scale(rows), rows, fitted=True)
    assert note.startswith("Column 6 says the same in every row")
    assert "how far it may vary is a guess" in note
    assert "make a new model that declares `scale`." in note
    assert scale_notes(fit_scale(rows[:7]), rows[:7], fitted=True) == []
    rows[:, :10] = 1
    [note] = scale_notes(fit_scale(rows), rows, fitted=True)
    assert note.startswith("Columns 1, 2, 3, 4, 5, 6, 7 and 3 more say")


def test_rows_are_clipped_and_leaving_the_scale_is_told_with_the_remedy() -> None:
    scale = InputScale(torch.tensor(0.0), torch.tensor(1.0))
    assert scaled(scale, [[100.0, -100.0]]).tolist() == [[8, -8]]
    rows = np.zeros((100, 2), np.float32)
    assert rows_beyond(scale, rows) is None
    rows[:5] = 50
    note = rows_beyond(scale, rows)
    assert note.startswith("5 of 100 rows")
    assert "make a new model with a wider `scale`" in note
    assert rows_beyond(scale, rows[:0]) is None


def test_what_lies_beyond_the_scale_as_often_as_before_is_no_news() -> None:
    """A pixel that is on in one row of a hundred is cut wherever it is on."""
    random = np.random.default_rng(0)
    rows = (random.random((3000, 64)) < 0.01).astype(np.float32)
    rows[:, :32] = random.normal(size=(3000, 32))
    scale, first, later = fit_scale(rows[:1000]), rows[:1000], rows[1000:]
    assert rows_beyond(scale, later) is not None
    assert rows_beyond(scale, later, first) is None
    assert rows_beyond(scale, 100 * later, first) is not None
    assert scale_notes(scale, later, fitted=False, known=first) == []
    heavy = (np.arange(3000) % 77 == 0).astype(np.float64)[:, None]
    spec = TableInput.model_validate({"kind": "table", "columns": [{"name": "sum", "kind": "number"}]})
    fitted = TableScale.fitted(spec, heavy[:1000])
    for known, often in ((None, True), (heavy[:1000], False)):
        notes = scale_notes(fitted, heavy[1000:], fitted=False, known=known)
        assert any("far outside the range" in note for note in notes) is often


def test_columns_that_rise_beyond_the_scale_may_only_number_rows() -> None:
    scale, rows = InputScale(torch.tensor(0.0), torch.tensor(1.0)), np.zeros((50, 3), np.float32)
    rows[:, 0], rows[:, 1], rows[:, 2] = np.arange(100, 200, 2), 100, np.arange(50) + 0.5
    [beyond, note] = scale_notes(scale, rows, fitted=False)
    assert beyond == rows_beyond(scale, rows)
    assert note == "Column 1 rises from row to row. If it only numbers rows, leave it out of a new model."
    assert far_off(scale, rows)[1] == note
    assert "行の番号" in said(note, "ja")
    rows[:, 1] = rows[:, 0]
    assert scale_notes(scale, rows, fitted=False)[1].startswith("Columns 1 and 2 rise from row to row. If they only")
    assert len(scale_notes(scale, rows[::-1], fitted=False)) == 1


def test_a_scale_is_loaded_as_it_was_stored() -> None:
    scale = InputScale(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    again = InputScale.load(scale.tensors())
    rows = torch.randn(4, 2)
    assert torch.equal(scale(rows), again(rows))


def test_a_small_constant_column_is_narrow_where_targets_are_numbers() -> None:
    """It has the size of its values; a large one, or one of zeros, has a quarter of the median spread as elsewhere."""
    rows = np.array([[1.0, 0.01, 7, 0], [3, 0.01, 7, 0], [5, 0.01, 7, 0], [9, 0.01, 7, 0]], np.float32)
    assert fit_number_scale(rows).std.tolist() == [4, 2**-7, 1, 1]
    assert fit_scale(rows).std.tolist() == [4, 1, 1, 1]
    varied = np.random.default_rng(0).normal(5, 3, (50, 4)).astype(np.float32)
    for part in ("mean", "std"):
        assert torch.equal(getattr(fit_number_scale(varied), part), getattr(fit_scale(varied), part))


def test_a_model_of_numbers_follows_a_column_that_woke_up_no_further_than_it_learned() -> None:
    """The column stands still, then wakes up a little, with a weight of a thousand, and then leaps."""
    stream, rng = NumberStream(vector(2)), np.random.default_rng(0)
    still, awake = rng.normal(size=(2, 60, 1))
    stream.learns(np.hstack([still, np.full((60, 1), 0.01)]), still[:, 0], lift="none", decay=1)
    small = 0.01 + 0.001 * rng.normal(size=60)
    stream.learns(np.column_stack([awake, small]), awake[:, 0] + 1000 * (small - 0.01), lift="none", decay=1)
    assert abs(values(stream.checkpoint, np.array([[0, 1.0]]))[0, 0]) < 300


@pytest.mark.parametrize(
    ("spec", "most"),
    [(vector(4), 0.3), (table_of(dict.fromkeys("abcd", "number")), 0.12)],
    ids=["vector", "table"],
)
def test_answers_hardly_follow_a_column_that_never_varied(spec: InputSpec, most: float) -> None:
    """Random features say by chance what it does: 0.82 and 0.20 where its spread is the size of its values."""
    moved = []
    for seed in range(3):
        stream, rng = NumberStream(spec), np.random.default_rng(seed)
        rows = rng.normal(3, 2, (60, 4))
        rows[:, 3] = 1
        stream.learns(rows, 2 * rows[:, 0] - rows[:, 1] + 0.1 * rng.normal(size=60), lift=["none", "relu"], decay=1)
        woken = rows + np.array([0, 0, 0, 1])
        moved.append(np.abs(values(stream.checkpoint, woken) - values(stream.checkpoint, rows)).mean())
    assert np.mean(moved) < most
