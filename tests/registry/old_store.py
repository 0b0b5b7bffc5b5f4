"""A data folder as a service of an earlier revision has left it, its rows written by SQL."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from service.contract.inputs import Architecture, VectorInput
from service.learning.data.serialization import pack_rows, pack_shard
from service.learning.network.input_scale import InputScale
from service.learning.network.network import fresh, parts_of
from service.registry.sql.engines import migrate
from service.registry.sql.schema import revisions
from service.runtime import Runtime
from service.serving.predictor import load
from service.settings import Settings
from service.storage.artifacts import SHARDS, model_area
from service.storage.local import LocalArtifacts
from tests.acceptance import invariants
from tests.updating import make_rows

SPEC = VectorInput(kind="vector", size=2)
LATER: dict[str, dict[str, dict[str, Any]]] = {
    "0002": {"updates": {"challenges": None}},
    "0003": {
        "models": {"memory_rows": 500},
        "batches": {"kept_rows": 8, "kept_as": None, "trusted": None, "settled_at": 3.0, "doomed": None},
    },
    "0004": {"batches": {"unlabelled": 0}},
    "0010": {"batches": {"bytes": 0}},
    "0008": {"models": {"target": {"kind": "class"}}},
}
"""Revision -> table -> columns that it added, with what a row of its time holds. Columns that may be left out need not
be named."""


SKETCH, MARK = {"rows": {"distinct": 8, "twins": 0, "marks": "BwAAAA=="}}, 7
_FILLED = Path(tempfile.mkdtemp(prefix="old-stores-"))
"""A store of each revision that a test asked for: the next one gets a copy."""


@cache
def _empty(revision: str) -> Path:
    """The tables of a revision, made of those of the one before."""
    known, file = revisions(), _FILLED / f"{revision}.db"
    if earlier := known[: known.index(revision)]:
        shutil.copyfile(_empty(earlier[-1]), file)
    migrate(f"sqlite:///{file}", revision)
    return file


class Store:
    """A data folder as a service of that revision has left it."""

    def __init__(self, data: Path, revision: str) -> None:
        self.data, self.revision = data, revision
        self.file = data / "tsuika.db"
        self.url = f"sqlite:///{self.file}"
        is_new = not (filled := _FILLED / revision).exists()
        if is_new:
            data.mkdir()
            shutil.copyfile(_empty(revision), self.file)
        else:
            shutil.copytree(filled, data)
        self.store = LocalArtifacts(data / "store")
        if is_new:
            self._fill()
            shutil.copytree(data, filled)
        recipes = [(json.loads(row["layout"]), json.loads(row["shards"])) for row in self.rows()["versions"]]
        self._predicted = [load(*recipe, lambda digest: self.store.get(SHARDS, digest)) for recipe in recipes]

    def is_whole(self, url: str) -> None:
        """Asserts that a database which its rows came to is up to date: its versions predict the bits that they had."""
        invariants.hold_in(url, (self.data / "store").as_uri(), ["bat_1", "bat_2", "bat_3"])
        inputs = np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32)
        runtime = Runtime(Settings(data=self.data, database_url=url))
        try:
            assert runtime.live.get("digits").number == 2
            for number, before in enumerate(self._predicted, 1):
                answered = runtime.live.at("digits", number).predictor.answer(inputs).values
                assert np.array_equal(answered, before.answer(inputs).values)
        finally:
            runtime.close()

    def _fill(self) -> None:
        """A model with two versions, of which the second is live; batches learned, rejected and waiting; a challenger
        that waits, where there are such."""
        batches = {name: self._rows(name) for name in ("bat_1", "bat_2", "bat_3")}
        shards = self._shards(["bat_1"])
        with closing(sqlite3.connect(self.file)) as self._connection, self._connection:
            self._insert(
                "models", id=1, name="digits", input=SPEC.model_dump(mode="json"), architecture={}, classes=["a", "b"],
                live_version_id=2, method={"name": "ridge"}, gate={}, promotion="auto", retention="all", created_at=1.0,
            )  # fmt: skip
            for name, digest in batches.items():
                rejected_by = "upd_3" if name == "bat_3" else None
                in_live = {"in_live": rejected_by is None} if self.revision >= "0026" else {}
                sketch = {"sketch": SKETCH} if self.revision >= "0032" else {}
                self._insert(
                    "batches", id=name, model_id=1, digest=digest, stored_digest=digest, rows=8, lent=[],
                    label_counts={"a": 4, "b": 4}, folds={}, rejected_by=rejected_by, received_at=1.0,
                    **in_live, **sketch,
                )  # fmt: skip
                if sketch:
                    self._insert("row_marks", model_id=1, mark=MARK, batch_id=name)
            self._update("upd_1", ["bat_1"], "succeeded", verdict="promoted", version_id=1)
            self._update("upd_2", ["bat_2"], "succeeded", verdict="promoted", base_version_id=1, version_id=2)
            self._update("upd_3", ["bat_3"], "failed", base_version_id=2, error={"title": "x", "detail": "y"})
            challenges = {"challenges": "upd_2"} if self.revision >= "0002" else {}
            self._update("upd_4", ["bat_2"], "queued", **challenges)
            for number, learned in [(1, ["bat_1"]), (2, ["bat_1", "bat_2"])]:
                count = {"batch_count": number} if self.revision >= "0026" else {}
                self._insert(
                    "versions", id=number, model_id=1, number=number, parent_id=number - 1 or None,
                    update_id=f"upd_{number}", learned=learned, layout=self._layout, shards=shards, classes=["a", "b"],
                    feature_space="5" * 64, ledger_digest="6" * 64, parameters=6, bytes=10, created_at=2.0, **count,
                )  # fmt: skip
                entry = self.store.put(model_area(1), f"entry {number}".encode())
                self._insert(
                    "ledger_entries", batch_id=f"bat_{number}", feature_space="5" * 64, digest=entry, rows=8
                )  # fmt: skip
                self._insert(
                    "deployments", id=number, model_id=1, version_id=number, previous_id=number - 1 or None,
                    kind="promote", left_out=[], reason="", by="the gate", at=2.0,
                )  # fmt: skip
            self._insert(
                "idempotency_keys", caller="anonymous", key="k", method="POST", path="/v1/models", body_hash="h",
                status=201, resource={"model": "digits"}, created_at=1.0,
            )  # fmt: skip
            if self.revision >= "0005":
                self._insert("aliases", id=1, model_id=1, name="best", version_id=1, by="anonymous", at=2.0)

    def _update(self, update_id: str, batches: list[str], state: str, **more: Any) -> None:
        self._insert(
            "updates", id=update_id, model_id=1, kind="learn", batches=batches, method={"name": "ridge"}, seed=0,
            erase=False, state=state, attempts=1, fence=1, run_after=1.0, cancel_requested=False, created_at=1.0,
            **more,
        )  # fmt: skip
        for batch_id in batches if self.revision >= "0029" else ():
            self._insert("named_batches", batch_id=batch_id, update_id=update_id)
        self._insert("update_events", update_id=update_id, at=1.0, kind="queued", detail={"by": "anonymous"})

    def _insert(self, table: str, **values: Any) -> None:
        for revision, tables in LATER.items():
            if revision <= self.revision:
                values = {**tables.get(table, {}), **values}
        written = [json.dumps(v) if isinstance(v, dict | list) else v for v in values.values()]
        marks = ", ".join("?" for _ in values)
        self._connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", written)

    def _rows(self, batch_id: str) -> str:
        inputs = np.random.default_rng(len(batch_id)).normal(size=(8, 2)).astype(np.float32)
        return self.store.put(model_area(1), pack_rows(make_rows(batch_id, inputs, list("abababab"), b"secret")))

    def _shards(self, learned: list[str]) -> list[dict[str, Any]]:
        scale = InputScale(torch.tensor(0.0), torch.tensor(1.0))
        network = fresh(SPEC, Architecture(), scale, ["a", "b"], torch.Generator().manual_seed(0))
        self._layout = network.layout.model_dump(mode="json")
        packed = {part: pack_shard(tensors) for part, tensors in parts_of(network).items()}
        return [
            {"part": part, "digest": self.store.put(SHARDS, data), "bytes": len(data), "learned": learned}
            for part, data in packed.items()
        ]

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """All that is in the tables."""
        with closing(sqlite3.connect(self.file)) as connection:
            connection.row_factory = sqlite3.Row
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            assert [tuple(row) for row in connection.execute("PRAGMA integrity_check")] == [("ok",)]
            names = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
            tables = {row["name"] for row in names} - {"alembic_version"}
            return {t: [dict(row) for row in connection.execute(f"SELECT * FROM {t} ORDER BY rowid")] for t in tables}
