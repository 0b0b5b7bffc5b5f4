"""Rows of a table without their zeros: whatever columns there are, a version answers as its modules do."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from service.contract.inputs import Architecture, MlpBackbone
from service.contract.tables import TableInput, value_code
from service.learning.network.blocks import Bottleneck, GrownLinear, Inserted, new_block
from service.learning.network.lifts import lift_of
from service.learning.network.network import Network, fresh
from service.learning.network.table_scale import TableScale
from service.serving.compute.forward import Ending, forwards
from service.serving.compute.table_rows import TableStep
from tests.answering import values_of

Floats = NDArray[np.float64]

KINDS: dict[str, list[dict[str, Any]]] = {
    "all": [
        {"name": "city", "kind": "category"},
        {"name": "age", "kind": "number"},
        {"name": "plan", "kind": "category", "values": ["basic", "plus", "pro"]},
        {"name": "booked", "kind": "date"},
        {"name": "member", "kind": "boolean"},
        {"name": "customer", "kind": "category", "many": True},
        {"name": "income", "kind": "number", "scale": {"range": [0, 100]}},
        {"name": "left", "kind": "date", "parts": ["year", "weekday"]},
        {"name": "job", "kind": "category"},
    ],
    "numbers": [{"name": "a", "kind": "number"}, {"name": "b", "kind": "number"}],
    "open categories": [{"name": "a", "kind": "category"}, {"name": "b", "kind": "category"}],
    "identifiers": [{"name": "a", "kind": "category", "many": True}],
    "weekdays": [{"name": "a", "kind": "date", "parts": ["weekday"]}],
    "booleans and hours": [{"name": "a", "kind": "boolean"}, {"name": "b", "kind": "date", "parts": ["hour"]}],
}
NAMES = ["b", "c", "a"]
ORDER = [2, 0, 1]
ENDING = Ending(ORDER, 1.5, lambda x: torch.softmax(x, 1, dtype=torch.float64))


def table(kind: str) -> TableInput:
    return TableInput.model_validate({"kind": "table", "columns": KINDS[kind]})


def rows_of(spec: TableInput, n: int, seed: int = 0, values: int = 40) -> Floats:
    """Rows with gaps; of so many values a category."""
    draw, rows = np.random.default_rng(seed), np.empty((n, len(spec.columns)))
    for place, column in enumerate(spec.columns):
        if column.kind == "number":
            rows[:, place] = draw.normal(40, 30, n)
        elif column.kind == "boolean":
            rows[:, place] = draw.integers(0, 2, n)
        elif column.kind == "date":
            rows[:, place] = np.round(draw.uniform(-2e9, 2e9, n), 3)
        else:
            codes = [value_code(value) for value in column.values or map(str, range(values))]
            rows[:, place] = draw.choice(codes, n)
    rows[draw.random(rows.shape) < 0.15] = np.nan
    return rows


def made(spec: TableInput, lifts: Sequence[str] = (), hidden: Sequence[int] = ()) -> Network:
    backbone = {"backbone": MlpBackbone(name="mlp", hidden=list(hidden))} if hidden else {}
    scale, draw = TableScale.fitted(spec, rows_of(spec, 200, seed=1)), torch.Generator().manual_seed(3)
    network = fresh(spec, Architecture(**backbone), scale, NAMES, draw)
    network.lifts.extend(lift_of(spec, kind, 70) for kind in lifts)  # type: ignore[arg-type]
    if lifts:
        width = sum(lift.width for lift in network.lifts)  # type: ignore[misc]
        network.head = GrownLinear([new_block((0, 3), (0, width), "head.0", "", draw)])
    return network.eval().requires_grad_(False)


def inserted(spec: TableInput) -> Network:
    network = made(spec, hidden=[5, 4])
    weights = Bottleneck(torch.ones(2, 5), torch.zeros(2), torch.full((5, 2), 0.1))
    network.hidden_layers()[0].inserted.append(Inserted((0, 5), (0, 5), weights, "backbone.1", ""))
    return network


MADE = {
    "fixed features alone": made,
    "none and relu": lambda spec: made(spec, ["none", "relu"]),
    "none and fourier": lambda spec: made(spec, ["none", "fourier"]),
    "none and sparse": lambda spec: made(spec, ["none", "sparse"]),
    "relu": lambda spec: made(spec, ["relu"]),
    "relu and none": lambda spec: made(spec, ["relu", "none"]),
    "mlp": lambda spec: made(spec, hidden=[66, 5]),
    "inserted": inserted,
}


@pytest.mark.parametrize("how", MADE)
@pytest.mark.parametrize("kind", KINDS)
def test_it_answers_as_its_modules_do(kind: str, how: str) -> None:
    spec = table(kind)
    network, rows = MADE[how](spec), rows_of(spec, 9)
    before, values = rows.copy(), values_of(spec, rows_of(spec, 300, seed=2, values=20))
    assert values.unknown(rows).any() == bool(spec.growing)
    for learned, seen in ((values, values.known_only(rows)), (None, rows)):
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("error")
            wanted = torch.softmax(network.answer(seen).double() / 1.5, 1)[:, ORDER]
            (step,) = forwards(network, [network.head], ENDING, learned)
            answer = step(network.prepare(rows))
            alone = torch.cat([step(network.prepare(row[None])) for row in rows])
        assert torch.allclose(answer, wanted, atol=1e-5)
        assert torch.allclose(alone, wanted, atol=1e-5)
    assert np.array_equal(rows, before, equal_nan=True)
    assert isinstance(step.steps[0], TableStep) == (how != "inserted")


def test_rows_without_anything_and_numbers_at_the_ends_of_a_float64() -> None:
    spec = table("all")
    network, largest = made(spec, ["none", "relu"]), np.finfo(np.float64).max
    rows = np.full((4, len(spec.columns)), np.nan)
    rows[1:, 1] = rows[1:, 6] = [largest, -largest, 5e-324]
    values = values_of(spec, rows[:0])
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        (step,) = forwards(network, [network.head], ENDING, values)
        answer = step(network.prepare(rows))
        wanted = torch.softmax(network.answer(rows).double() / 1.5, 1)[:, ORDER]
    assert torch.allclose(answer, wanted, atol=1e-5)


def test_heads_of_sources_share_what_is_before_them() -> None:
    spec = table("all")
    network, draw = made(spec, ["none", "relu"]), torch.Generator().manual_seed(8)
    width = network.head.in_features
    other = GrownLinear([new_block((0, 3), (0, width), "head.source.0", "", draw)]).requires_grad_(False)
    rows = rows_of(spec, 3)
    first, second = forwards(network, [network.head, other], Ending(range(3)))
    with torch.no_grad():
        wanted = [head(network.features(network.prepare(rows))) for head in (network.head, other)]
        answers = [step(network.prepare(rows)) for step in (first, second)]
    for answer, due in zip(answers, wanted, strict=True):
        assert torch.allclose(answer, due, atol=1e-5)
    lifts = [step.steps[0]._lifts for step in (first, second)]  # type: ignore[attr-defined]
    assert lifts[0] is lifts[1]
