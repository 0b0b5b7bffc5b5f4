"""A check names each damage, what it costs and what still answers; a repair mends what it can without guessing."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sqlalchemy import select

from service.cli.upkeep.fsck import report_lines
from service.contract.inputs import Architecture, VectorInput
from service.learning.data.serialization import pack_rows, pack_shard
from service.learning.ledger.feature_space import Space, feature_rows
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.input_scale import InputScale
from service.learning.network.network import fresh, parts_of
from service.registry import batches, deployments, models, versions
from service.registry.rows import ledger
from service.registry.sql.tables import AuditEntry, Batch, Version
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, model_area
from service.storage.local import LocalArtifacts
from service.upkeep.fsck import Checked, fsck
from tests.acceptance.service import until
from tests.api.conftest import Api
from tests.damage import flip, unguarded
from tests.making import make_model, make_version
from tests.registry.facts import arrival, made
from tests.updating import make_rows

PATH = "/v1/models/digits/predictions"
ASK = {"inputs": [[1, 2, 3]]}


def part(runtime: Runtime, name: str, number: int, model: str = "digits") -> str:
    """The digest of a part of a version."""
    with runtime.database.reading() as session:
        shards = versions.get(session, models.get(session, model), number).shards
        digest: str = next(shard["digest"] for shard in shards if shard["part"] == name)
        return digest


def damaged(checked: Checked) -> list[str]:
    return [file.digest for file in checked.damaged]


@pytest.fixture
def digits(either: Runtime) -> Runtime:
    """A model with a version that is live, a second one of other weights, and a batch that nobody learned."""
    make_model(either)
    make_version(either)
    make_version(either, seed=1, promote=False)
    with either.database.writing() as session:
        model = models.get(session, "digits")
        batches.accept(session, model, arrival(either.store.put(model_area(model.id), b"rows")))
    return either


def test_a_flipped_bit_is_never_served_the_version_before_answers_on_and_the_check_names_the_shard(
    digits: Runtime,
) -> None:
    api = Api(digits)
    try:
        before = api.ok("POST", PATH, ASK)
        head = part(digits, "head.0", 2)
        flip(digits, SHARDS, head)
        refused = api("POST", "/v1/models/digits/deployments", {"version": 2})
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/corrupt-artifact")
        with digits.database.writing() as session:  # as another service, which had it in memory, would promote it
            model = models.get(session, "digits")
            deployments.promote(session, model, versions.get(session, model, 2), "", "somebody")
        until(lambda: digits.live.refresh() or digits.live.troubles(), what="the news")
        assert api.ok("POST", PATH, ASK) == before
        readiness = api.ok("GET", "/readyz")
        assert readiness["status"] == "degraded"
        assert readiness["models"].keys() == {"digits"}
    finally:
        api.close()
    checked = fsck(digits)
    assert not checked.whole
    [file] = checked.damaged
    assert (file.area, file.digest, file.missing) == (SHARDS, head, False)
    assert file.uses["digits"].what == 'part "head.0" of version 2'
    [serving] = checked.serving
    assert (serving.model, serving.live, serving.broken, serving.whole) == ("digits", 2, (2,), 1)


def test_what_is_whole_is_counted_and_what_is_missing_is_told_from_what_is_damaged(digits: Runtime) -> None:
    progress: list[tuple[int, int]] = []
    checked = fsck(digits, progress=lambda done, total: progress.append((done, total)))
    assert (checked.whole, checked.damaged, checked.serving, checked.unnamed) == (True, (), (), 0)
    assert progress == [(k + 1, len(progress)) for k in range(len(progress))]
    assert len(progress) == checked.files + checked.cached
    with digits.database.reading() as session:
        rows = session.scalars(select(Batch.stored_digest)).one()
    assert rows is not None
    digits.store.delete(model_area(1), rows)
    digits.store.put(SHARDS, b"nobody names it")
    checked = fsck(digits)
    assert [(file.digest, file.missing) for file in checked.damaged] == [(rows, True)]
    assert (checked.whole, checked.serving, checked.unnamed) == (False, (), 1)


def test_what_is_deleted_on_purpose_while_it_looks_is_no_damage(digits: Runtime) -> None:
    with digits.database.reading() as session:
        rows = session.scalars(select(Batch.stored_digest)).one()
    assert rows is not None
    digits.store.delete(model_area(1), rows)

    def erased(done: int, total: int) -> None:
        with digits.database.writing() as session:
            for batch in session.scalars(select(Batch)):
                batch.stored_digest = None

    assert fsck(digits, progress=erased).whole


def test_a_whole_copy_is_put_in_the_place_of_a_damaged_file(digits: Runtime, tmp_path: Path) -> None:
    head, copies = part(digits, "head.0", 2), LocalArtifacts(tmp_path / "copies")
    copies.put(SHARDS, digits.store.get(SHARDS, head))
    flip(digits, SHARDS, head)
    assert [file.mended for file in fsck(digits, copies=copies).damaged] == [None], "only a repair mends"
    left = fsck(digits, repair=True)
    assert [file.mended for file in left.damaged] == [None]
    assert "Try --copies" in report_lines(left, repaired=True)[-1]
    checked = fsck(digits, repair=True, copies=copies)
    assert checked.whole
    assert [file.mended for file in checked.damaged] == ["the copies"]
    assert damaged(fsck(digits)) == []
    assert digits.live.at("digits", 2).number == 2


@pytest.mark.s3
def test_a_copy_in_the_cache_hides_no_damage_and_mends_it(digits: Runtime) -> None:
    if digits.settings.store_folder is not None:
        return  # a folder has no copies
    head = part(digits, "head.0", 2)
    flip(digits, SHARDS, head, cached=True)
    assert digits.store.get(SHARDS, head), "this machine goes on with its copy"
    assert damaged(fsck(digits)) == [head]
    assert [file.mended for file in fsck(digits, repair=True).damaged] == ["the cache of this machine"]
    assert damaged(fsck(digits)) == []


def test_sums_of_a_batch_are_made_anew_from_its_rows_where_they_come_out_the_same(either: Runtime) -> None:
    store, spec = either.store, VectorInput(kind="vector", size=3)
    make_model(either)
    scale = InputScale(torch.tensor(0.0), torch.tensor(1.0))
    network = fresh(spec, Architecture(), scale, ["a", "b"], torch.Generator().manual_seed(0))
    checkpoint = Checkpoint(network.layout.model_copy(update={"shift": 8}), parts_of(network))
    space = Space.of(checkpoint)
    inputs = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    rows = make_rows("b", inputs, list("abababab"), b"secret")
    with either.database.writing() as session:
        model = models.get(session, "digits")
        area = model_area(model.id)
        batch, _ = batches.accept(session, model, arrival(store.put(area, pack_rows(rows))))
        entry = store.put(area, pack_rows(feature_rows(space, rows)))
        ledger.add(session, batch.id, space.id, entry, 8)
        packed = {name: pack_shard(tensors) for name, tensors in checkpoint.parts.items()}
        shards = [{"part": p, "digest": store.put(SHARDS, data), "bytes": len(data)} for p, data in packed.items()]
        facts = replace(made([batch.id], space.id), layout=checkpoint.layout.model_dump(mode="json"), shards=shards)
        versions.add(session, model, None, None, facts)
    store.delete(area, entry)
    assert [file.mended for file in fsck(either, repair=True).damaged] == [f"the rows of batch {batch.id}"]
    assert fsck(either).whole
    with either.database.writing() as session:  # the rows are others by now, and give other sums
        session.get_one(Batch, batch.id).stored_digest = store.put(area, pack_rows(rows.take(np.arange(4))))
    store.delete(area, entry)
    assert [file.mended for file in fsck(either, repair=True).damaged] == [None]
    assert not store.has(area, entry)


def test_what_is_stale_goes_with_a_repair_alone(runtime: Runtime) -> None:
    old, area = time.time() - 1000.0, model_area(1)
    for k in range(3):
        runtime.cache.put(area, f"{k}" * 64, b"sums")
    folder = runtime.settings.data / "cache" / area
    (folder / ("0" * 64)).write_bytes(b"damaged")
    for name in ("old.part", "new.part"):
        (folder / name).write_bytes(b"half")
    assert runtime.settings.store_folder is not None
    temporary = runtime.settings.store_folder / "tmp" / "left"
    temporary.write_bytes(b"half")
    for path in (folder / "old.part", temporary):
        os.utime(path, (old, old))
    checked = fsck(runtime)
    assert (checked.whole, checked.stale) == (True, 3)
    assert temporary.exists()
    assert fsck(runtime, repair=True).stale == 3
    assert sorted(path.name[:8] for path in folder.iterdir()) == ["1" * 8, "2" * 8, "new.part"]
    assert not temporary.exists()
    assert fsck(runtime).stale == 0


def test_where_the_audit_alone_was_changed_that_is_said_and_what_to_do(digits: Runtime) -> None:
    with digits.database.writing() as session:
        unguarded(session)
        session.get_one(AuditEntry, 2).reason = "another"
    checked = fsck(digits)
    assert (checked.whole, checked.damaged) == (False, ())
    first, last = report_lines(checked, repaired=False)
    assert "row 2 does not hold" in first
    assert "compare with a copy of the database" in first
    assert last.startswith("NOT whole: every file is, the audit is not. ")


@pytest.mark.sqlite
def test_a_damaged_database_is_told_and_its_names_are_not_trusted(runtime: Runtime) -> None:
    make_model(runtime)
    make_version(runtime)
    file = runtime.settings.database_file
    assert file is not None
    with runtime.database.writing() as session:
        session.connection().exec_driver_sql("UPDATE versions SET parent_id = id")
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("UPDATE versions SET parent_id = 99")
    checked = fsck(runtime)
    assert not checked.whole
    assert checked.tables == ("1 rows name others that are not there, the first in versions.",)
    with runtime.database.reading() as session:
        assert session.scalars(select(Version.parent_id)).all() == [99]
