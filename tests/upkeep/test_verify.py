"""A certificate holds as long as every stored entry is what it was, and not when one of them was changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update

from service.errors import Conflict, Erased, NotFound
from service.learning.data.rows import FeatureRows
from service.learning.data.serialization import pack, pack_rows
from service.learning.ledger.sums import Sums
from service.registry import batches, models, versions
from service.registry.rows import ledger
from service.registry.sql.tables import LedgerEntry, Update, Version
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, model_area
from service.upkeep.named_files import NamedFile, named_files
from service.upkeep.verify import verify
from tests.registry.facts import arrival, learn, made, model
from tests.updating import make_rows

SPACE = "5" * 64


def entry(k: int) -> FeatureRows:
    """Rounded features of eight rows."""
    random = np.random.default_rng(k)
    inputs = random.integers(-100, 100, (8, 3))
    rows = make_rows(f"b{k}", inputs.astype(np.float32), list("abababba"), b"secret")
    return rows.with_features(inputs.astype(np.int16))


@dataclass
class Facts:
    """A version of the ledger's head that learned two batches."""

    area: str
    entries: list[FeatureRows]
    digests: list[str]
    batch_ids: list[str]
    shard: str
    recorded: str


@pytest.fixture
def facts(runtime: Runtime) -> Facts:
    with runtime.database.writing() as session:
        digits = model(session)
        area, entries = model_area(digits.id), [entry(1), entry(2)]
        digests, ids = [], []
        for rows in entries:
            digests.append(runtime.store.put(area, pack_rows(rows)))
            batch, _ = batches.accept(session, digits, arrival("d" * 64, again=True))
            batch.stored_digest = runtime.store.put(area, f"rows of {batch.id}".encode())
            ids.append(batch.id)
            ledger.add(session, batch.id, SPACE, digests[-1], len(rows))
        recorded = (Sums.of(entries[0]) + Sums.of(entries[1])).digest(SPACE)
        shard = runtime.store.put(SHARDS, b"head")
        parts = [{"part": "head", "digest": shard, "bytes": 4, "learned": ids}]
        facts = replace(made(ids, SPACE), ledger_digest=recorded, shards=parts)
        versions.add(session, digits, learn(session, digits, ids), None, facts)
    return Facts(area, entries, digests, ids, shard, recorded)


def test_the_recorded_digest_is_recomputed_from_the_entries(runtime: Runtime, facts: Facts) -> None:
    verified = verify(runtime, "digits", 1)
    assert verified.holds
    assert (verified.recorded, verified.recomputed) == (facts.recorded, facts.recorded)
    assert (verified.rows, verified.batches, verified.shards) == (16, 2, 1)


@pytest.mark.parametrize("change", ["a feature", "a label", "a row left out", "a row twice"])
def test_an_entry_that_was_replaced_is_noticed(runtime: Runtime, facts: Facts, change: str) -> None:
    """Somebody changed what was learned, and made every digest but the certificate's fit."""
    rows = facts.entries[1]
    if change == "a feature":
        inputs = rows.inputs.copy()
        inputs[3, 1] += 1
        rows = rows.with_features(inputs)
    elif change == "a label":
        labels = rows.labels.copy()
        labels[0] = 1 - labels[0]
        rows = replace(rows, labels=labels)
    else:
        rows = rows.take(np.arange(1, 8) if change == "a row left out" else np.array([0, *range(8)]))
    forged = runtime.store.put(facts.area, pack_rows(rows))
    with runtime.database.writing() as session:
        where = LedgerEntry.batch_id == facts.batch_ids[1]
        session.execute(update(LedgerEntry).where(where).values(digest=forged))
    verified = verify(runtime, "digits", 1)
    assert not verified.holds
    assert verified.recorded == facts.recorded != verified.recomputed


def test_a_save_that_is_replaced_meanwhile_is_no_damage(runtime: Runtime, facts: Facts) -> None:
    save = runtime.store.put(facts.area, b"a save")
    with runtime.database.writing() as session:
        session.execute(update(Update).values(trainings=save))

    def ends(done: int, _: int) -> None:
        if done == 1:
            with runtime.database.writing() as session:
                session.execute(update(Update).values(trainings=None))
            runtime.store.delete(facts.area, save)

    assert verify(runtime, "digits", 1, ends).holds


def path_of(runtime: Runtime, file: NamedFile) -> Path:
    return runtime.settings.store_folder / file.area / file.digest[:2] / file.digest[2:]


@pytest.mark.parametrize("damage", ["one bit", "cut off", "missing"])
def test_every_file_that_a_row_names_is_looked_at_and_each_damage_is_reported_with_what_it_costs(
    runtime: Runtime, facts: Facts, damage: str
) -> None:
    with runtime.database.writing() as session:
        [version] = session.scalars(select(Version))
        version.bits = runtime.store.put(facts.area, b"bits")
        judge = runtime.store.put(SHARDS, b"judge")
        version.shards = [*version.shards, {"part": "judge", "digest": judge, "bytes": 5, "learned": []}]
        named = named_files(session, models.get(session, "digits"))
    assert verify(runtime, "digits", 1).holds
    assert len(named) == 7, "two parts, bits, rows and sums of two batches"
    for file in named:
        data = path_of(runtime, file).read_bytes()
        if damage == "missing":
            path_of(runtime, file).unlink()
        else:
            path_of(runtime, file).write_bytes(data[:-1] if damage == "cut off" else data[:-1] + bytes([data[-1] ^ 1]))
        verified = verify(runtime, "digits", 1)
        assert verified.damaged == (file,)
        assert not verified.holds
        assert (verified.recomputed is None) == ("sums" in file.what)
        path_of(runtime, file).write_bytes(data)
    for file in named:
        path_of(runtime, file).write_bytes(b"")
    assert verify(runtime, "digits", 1).damaged == tuple(named)
    costs = {file.what.split(" of ")[0]: file.costs for file in named}
    assert costs['part "head"'] == "it answers no prediction, and nothing is learned on it"
    assert costs['part "judge"'] == "nothing is learned on it"
    assert set(costs) == {'part "head"', 'part "judge"', "answers", "rows", "sums"}


def test_damage_to_a_version_without_a_ledger_is_reported_too(runtime: Runtime, facts: Facts) -> None:
    with runtime.database.writing() as session:
        session.execute(update(Version).values(ledger_digest=None, feature_space=None))
    runtime.store.delete(SHARDS, facts.shard)
    verified = verify(runtime, "digits", 1)
    assert [file.digest for file in verified.damaged] == [facts.shard]
    assert not verified.holds


def test_a_version_without_a_ledger_says_why_there_is_nothing_to_verify(runtime: Runtime, facts: Facts) -> None:
    with runtime.database.writing() as session:
        session.execute(update(Version).values(ledger_digest=None, feature_space=None))
    with pytest.raises(Conflict, match="no digest"):
        verify(runtime, "digits", 1)


def test_a_version_whose_entries_are_gone_from_the_registry_is_a_conflict(runtime: Runtime, facts: Facts) -> None:
    with runtime.database.writing() as session:
        ledger.erase(session, facts.batch_ids[:1])
    with pytest.raises(Conflict, match="never summed"):
        verify(runtime, "digits", 1)


@pytest.mark.parametrize(("numbers", "width"), [(None, 3), ({"offset": [0.0, 1.0]}, 7)])
def test_a_version_from_which_everything_was_taken_back_holds_the_digest_of_no_rows(
    runtime: Runtime, facts: Facts, numbers: dict[str, list[float]] | None, width: int
) -> None:
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        judge = runtime.store.put(SHARDS, pack({"weight": np.zeros((0, 3), np.float32)}))
        parts = [{"part": "judge", "digest": judge, "bytes": 4, "learned": []}]
        empty = replace(made([], SPACE), ledger_digest=Sums.empty(width).digest(SPACE), shards=parts)
        empty = replace(empty, layout={"numbers": numbers})
        versions.add(session, digits, learn(session, digits, []), None, empty)
    verified = verify(runtime, "digits", 2)
    assert verified.holds
    assert (verified.rows, verified.batches) == (0, 0)


def test_an_unknown_model_or_version_is_not_found_and_an_erased_one_is_refused(runtime: Runtime, facts: Facts) -> None:
    for name, number in (("letters", 1), ("digits", 9)):
        with pytest.raises(NotFound):
            verify(runtime, name, number)
    with runtime.database.writing() as session:
        session.execute(update(Version).values(erased_at=1.0))
    with pytest.raises(Erased):
        verify(runtime, "digits", 1)
