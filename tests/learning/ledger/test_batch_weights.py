"""Batches that count less with age or by source: the same bits in any order of arrival, exactly taken out again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.contract.inputs import Architecture
from service.learning.data.rows import FeatureRows, Rows
from service.learning.data.serialization import pack_rows, pack_shard
from service.learning.exact.decay import choose_decay
from service.learning.exact.ridge_solver import Ridge
from service.learning.exact.solve import ABSENT, solve_ridge
from service.learning.exact.solver import Estimator
from service.learning.ledger.batch_weights import BatchWeights, add_up, aged, weighted_sums
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.learning.method import Learned, Method
from service.learning.methods.freeze import lda, ridge
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import UNWATCHED, Run
from service.storage.artifacts import model_area
from service.storage.cache import Cache
from service.storage.local import LocalArtifacts
from service.worker.child.data.model_store import ModelStore
from service.worker.child.data.remembered import Memory
from service.worker.child.data.stored_data import StoredData
from tests.learning.exact_help import SECRET, VECTOR, labelled, random_entry, space
from tests.learning.memory_data import MemoryData, Stream, in_space
from tests.updating import make_rows
from tests.worker.sample_updates import assignment

NAMED = {"lift": "relu", "width": 24}
NORTH = {"north": 0.25, "*": 1.5}


def batch(k: int, rows: int = 30, source: str | None = None, shift: int = 0) -> Rows:
    x, y = labelled(rows, seed=k)
    names = [f"class {(int(name[-1]) + shift) % 4}" for name in y]
    return make_rows(f"bat_{k}", x, names, SECRET, source)


def learn(method: Method, base: Checkpoint | None, known: Sequence[Rows], new: Rows, **params: object) -> Learned:
    data = MemoryData(VECTOR, Architecture(), known, new)
    return method.update(base, data, method.Params.model_validate({**NAMED, **params}), Run())


def bits(checkpoint: Checkpoint) -> dict[str, bytes]:
    """Of the parts that are solved, columns by name, and the temperature."""
    order = np.argsort(checkpoint.classes)
    solved = {
        part: pack_shard({name: tensor[order] for name, tensor in checkpoint.parts[part].items()})
        for part in ("head.0", "judge")
    }
    return {**solved, "temperature": repr(checkpoint.layout.temperature).encode()}


def same(a: Sums, b: Sums) -> bool:
    one, two = a.sorted(), b.sorted()
    return one.classes == two.classes and all(np.array_equal(getattr(one, k), getattr(two, k)) for k in "GQn")


def test_weights_are_those_of_every_row() -> None:
    entries = {f"bat_{k}": random_entry(12, width=4, seed=k, batch=f"bat_{k}") for k in range(4)}
    weights = BatchWeights(0.5, {"": 3.0})
    weighted = weights.weighted(entries, lambda _: "")
    assert aged(0.5, weighted) == {"bat_0": 0.375, "bat_1": 0.75, "bat_2": 1.5, "bat_3": 3.0}
    none = Sums.empty(4), FeatureRows.none(4)
    empty = Ledger(none[0], none[0], none[0], none[1], none[1], space().id, 0)
    ledger = add_up(empty, 0.5, weighted, entries.__getitem__)
    rows = FeatureRows.concat(list(entries.values()))
    h = np.c_[rows.inputs.astype(float), np.ones(len(rows))]
    counts = np.array([aged(0.5, weighted)[rows.batches[b]] for b in rows.batch])
    assert np.allclose(ledger.all.G, (h * counts[:, None]).T @ h, rtol=1e-12)
    assert ledger.all.mass == pytest.approx(counts.sum(), rel=1e-12)
    learning = rows.folds > 2
    assert np.allclose(ledger.learn.n.sum(), counts[learning].sum())
    assert np.allclose(weighted_sums(rows, aged(0.5, weighted)).G, ledger.all.G, rtol=1e-12)


def test_weights_of_zero_and_one_keep_the_certificate() -> None:
    here = space()
    parts = [batch(0, source="north"), batch(1, source="south"), batch(2)]
    data = MemoryData(VECTOR, Architecture(), parts[:2], parts[2])
    left = data.weighted(here, BatchWeights(1.0, {"north": 0}))
    never = MemoryData(VECTOR, Architecture(), parts[1:2], parts[2]).grown(here)
    assert left.digest == never.digest
    assert BatchWeights(1.0, {"north": 0}).whole
    assert not BatchWeights(1.0, {"north": 0.5}).whole
    assert {left.selected.batches[b] for b in left.selected.batch} <= {"bat_1", "bat_2"}
    assert data.weighted(here, BatchWeights()).digest == data.grown(here).digest


@given(order=st.permutations(range(4)), gone=st.integers(0, 3), named=st.sampled_from([{}, NORTH]))
@settings(max_examples=12, deadline=None)
def test_the_head_owes_nothing_to_the_order_of_arrival_and_forgets_what_is_taken_out(
    order: Sequence[int], gone: int, named: Mapping[str, float]
) -> None:
    params = {"decay": 0.7, "source_weights": named}
    parts = [batch(k, source=["north", "south"][k % 2]) for k in range(4)]

    def arrived(which: Sequence[int]) -> Checkpoint:
        checkpoint, known = None, list[Rows]()
        for k in which:
            checkpoint = learn(ridge.METHOD, checkpoint, known, parts[k], **params).checkpoint
            known.append(parts[k])
        assert checkpoint is not None
        return checkpoint

    all_of_it, shuffled = arrived(range(4)), arrived(order)
    assert {**bits(shuffled), "temperature": b""} == {**bits(all_of_it), "temperature": b""}
    left = [k for k in range(4) if k != gone]
    none = Rows.empty(VECTOR.shape)
    taken_back = learn(ridge.METHOD, shuffled, [parts[k] for k in left], none, **params).checkpoint
    never = learn(ridge.METHOD, arrived(left), [parts[k] for k in left], none, **params).checkpoint
    assert bits(taken_back) == bits(never)


@pytest.mark.parametrize("method", [ridge.METHOD, lda.METHOD])
def test_a_half_life_is_a_decay_and_a_decay_of_one_is_none(method: Method) -> None:
    parts = [batch(0), batch(1)]
    fixed = {"alpha": 0.1} if method is ridge.METHOD else {}
    plain = learn(method, None, [], parts[0], **fixed)
    alone = learn(method, None, [], parts[0], decay=0.5, **fixed)
    heads = [{**bits(made.checkpoint), "temperature": b""} for made in (alone, plain)]
    assert heads[0] == heads[1], "one batch has no age"

    def second(**params: object) -> Learned:
        return learn(method, plain.checkpoint, parts[:1], parts[1], **fixed, **params)

    assert bits(second(half_life=1).checkpoint) == bits(second(decay=0.5).checkpoint)
    assert bits(second(decay=1).checkpoint) == bits(second().checkpoint)
    assert bits(second(decay=0.5).checkpoint) != bits(second().checkpoint)
    weighted = second(decay=0.5)
    assert weighted.checkpoint.layout.exact.decay == 0.5
    assert any("not exact" in note for note in weighted.notes)
    assert not any("not exact" in note for note in second().notes)


def test_a_class_that_no_row_counts_for_keeps_its_column_and_is_never_answered() -> None:
    x, _ = labelled(40, seed=5)
    odd = make_rows("bat_0", x, ["odd"] * 40, SECRET, "north")
    base = learn(ridge.METHOD, None, [], odd).checkpoint
    learned = learn(ridge.METHOD, base, [odd], batch(1), source_weights={"north": 0})
    assert learned.checkpoint.classes[0] == "odd"
    assert float(learned.checkpoint.parts["head.0"]["bias"][0]) == ABSENT
    assert any('"odd"' in note for note in learned.notes)
    typed = learn(ridge.METHOD, base, [odd], batch(1), source_weights={"nroth": 0, "*": 1, "north": 1})
    assert any('source_weights names "nroth"' in note for note in typed.notes)


def test_out_of_fold_equals_heads_solved_without_the_group() -> None:
    here, parts = space(), [batch(0), batch(1), batch(2)]
    entries = {rows.batches[0]: in_space(rows, here) for rows in parts}
    weight = {"bat_0": 0.25, "bat_1": 0.5, "bat_2": 1.0}
    entry = FeatureRows.concat([entries["bat_1"], entries["bat_2"]])
    others, classes = weighted_sums(entries["bat_0"], weight), tuple(f"class {k}" for k in range(4))

    estimator = Estimator(Ridge(0.25), 0.1, here.shift, classes)
    answers = estimator.weighted_out_of_fold(others, entry, weight)
    for k in range(5):
        group = entry.folds // 2 == k
        rest = FeatureRows.concat([entries["bat_0"], entry.take(~group)])
        head = estimator.head(weighted_sums(rest, weight))
        assert np.allclose(answers[group], head.logits(entry.inputs[group] * here.step), atol=1e-9)


def test_one_batch_more_is_one_step_more_with_the_same_bits(tmp_path: Path) -> None:
    here, decay = space(), 0.7
    store = LocalArtifacts(tmp_path / "store")
    parts = [batch(k, source=["north", "south"][k % 2]) for k in range(5)]
    digests = {rows.batches[0]: store.put(model_area(1), pack_rows(rows)) for rows in parts}
    sources = {rows.batches[0]: rows.sources[0] for rows in parts}
    counts = dict.fromkeys(digests, 30)

    facts = {"input": VECTOR, "rows": digests, "counts": counts, "kept": counts, "sources": sources}
    learning = assignment("ridge").model_copy(update=facts)

    def data(model_store: ModelStore, known: int, new: int) -> StoredData:
        ids = sorted(digests)
        return StoredData(model_store, ids[:known], ids[known : known + new])

    def model_store(name: str) -> ModelStore:
        return ModelStore(store, Cache(tmp_path / name, 2**30), learning, Memory(), UNWATCHED)

    warm = model_store("warm")
    for k in range(5):
        grown = data(warm, k, 1)
        step = grown.weighted(here, BatchWeights(decay, NORTH))
        kept = [thing for thing in grown.remember(here).values() if isinstance(thing, Ledger)]
        assert any(same(ledger.all, step.all) for ledger in kept) == (k == 0), "only those of a new decay, this early"
    scratch = data(model_store("cold"), 3, 2).weighted(here, BatchWeights(decay, NORTH))
    memory = MemoryData(VECTOR, Architecture(), parts[:3], Rows.concat(parts[3:]))
    for group in ("judge", "select", "learn", "all"):
        assert same(getattr(step, group), getattr(scratch, group))
    assert len(step.selected) == len(scratch.selected)
    assert aged(decay, memory.weighted_batches(BatchWeights(decay, {}))) == pytest.approx(
        {f"bat_{k}": decay ** (4 - k) for k in range(5)}
    )


@pytest.mark.parametrize(("turns", "least", "most"), [(0, 1.0, 1.0), (1, 0.5, 0.7)])
def test_a_decay_is_searched_where_the_past_misleads(turns: int, least: float, most: float) -> None:
    here = space()
    parts = [batch(k, rows=60, shift=turns * (k // 4)) for k in range(10)]
    data = MemoryData(VECTOR, Architecture(), parts[:-1], parts[-1])
    choice = choose_decay(data, here, {}, "ridge", lambda sums: solve_ridge(sums, here.shift, 1e-2, 0.25))
    assert least <= choice.decay <= most
    assert (choice.gain is not None and choice.gain[0] > choice.gain[1] > 0) == (turns > 0)
    assert set(choice.scores) == {1.0, 0.9, 0.7, 0.5}
    few = MemoryData(VECTOR, Architecture(), parts[:1], parts[1])
    assert choose_decay(few, here, {}, "ridge", lambda s: solve_ridge(s, here.shift, 1e-2, 0.25)).scores == {}


def test_search_is_a_parameter_that_the_layout_answers() -> None:
    stream = Stream(VECTOR)
    for k in range(10):
        x, y = labelled(60, seed=k)
        turned = [f"class {(int(name[-1]) + k // 4) % 4}" for name in y]
        learned = stream.learn(ridge.METHOD, x, turned, **NAMED, decay="search")
    assert learned.checkpoint.layout.exact.decay <= 0.7
    assert set(learned.details["decays_tried"]) == {"1", "0.9", "0.7", "0.5"}
    assert learned.details["decay_gain"]["mean"] > learned.details["decay_gain"]["standard_error"]
