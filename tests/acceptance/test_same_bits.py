"""A version that the service trained has the bits of the same calls made in process, and answers the same over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
import torch

from service.contract.inputs import Architecture, VectorInput
from service.learning.data.rows import Known, Rows, rows_of
from service.learning.data.serialization import digest, pack_shard
from service.learning.data.sides import Folding
from service.learning.methods import resolve
from service.learning.network.network import build
from service.learning.run import Run
from service.registry import models, versions
from service.registry.sql.engines import open_database
from tests.acceptance.conftest import NewModel
from tests.acceptance.environments import Environment
from tests.acceptance.service import SPEC, blobs, slow
from tests.learning.memory_data import MemoryData
from tests.running import Server

MLP = {"backbone": {"name": "mlp", "hidden": [8]}}
CASES = [
    ({}, {"name": "ridge"}),
    ({}, {"name": "lda"}),
    (MLP, slow(4)),
    (MLP, {"name": "l2_sp", "strength": 0.5, "epochs": 4}),
    (MLP, {"name": "den", "epochs": 2}),
]
OFTEN = ("ridge", "fine_tune")
"""An exact head and a training; the others are long."""


@pytest.fixture
def service(environment: Environment) -> Server:
    return environment.services[0]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As many as the child has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("architecture", "method"),
    [
        pytest.param(*case, id=case[1]["name"], marks=() if case[1]["name"] in OFTEN else pytest.mark.long)
        for case in CASES
    ],
)
def test_the_service_learns_the_bits_of_the_same_calls_in_process(
    environment: Environment, new_model: NewModel, architecture: dict[str, Any], method: dict[str, Any]
) -> None:
    fields = {"architecture": architecture} if architecture else {}
    caller = new_model(promotion="manual", **fields)
    sent = []
    for k, classes in enumerate(("ab", "abc")):
        done = caller.end(caller.order([caller.batch(k, classes=classes)], wait=60, method=method, seed=7)["id"])
        assert done["state"] == "succeeded", done
        caller.ok("POST", f"{caller.path}/deployments", {"version": k + 1})
        sent.append((done["batches"][0], *blobs(k, classes=classes)))

    with closing(open_database(environment.database_url)) as database, database.reading() as session:
        secret, model = models.installation_secret(session), models.get(session, caller.name)
        folding = Folding.model_validate({"input": model.input, **(model.folding or {})})
        stored = [versions.get(session, models.get(session, caller.name), k + 1) for k in range(2)]

    spec, checkpoint = VectorInput.model_validate(SPEC), None
    built = Architecture.model_validate(architecture)
    history, learning = list[Rows](), dict[str, int]()
    for (batch_id, inputs, labels), version in zip(sent, stored, strict=True):
        known = Known(learning_rows=learning, folding=folding)
        rows = rows_of(batch_id, np.asarray(inputs, np.float32), labels, secret, known)
        for name, n in rows.take(rows.learning).counts().items():
            learning[name] = learning.get(name, 0) + n
        named, params = resolve(method)
        data = MemoryData(spec, built, history, rows)
        checkpoint = named.update(checkpoint, data, params, Run(seed=7)).checkpoint
        history.append(rows)
        digests = {part: digest(pack_shard(tensors)) for part, tensors in checkpoint.parts.items()}
        assert digests == {shard["part"]: shard["digest"] for shard in version.shards}
        assert list(checkpoint.classes) == version.classes

    questions, _ = blobs(50, rows=40, classes="abc")
    with torch.inference_mode():
        logits = build(checkpoint)(torch.tensor(questions, dtype=torch.float32)).double()
    expected = torch.softmax(logits / checkpoint.layout.temperature, 1).numpy()
    for row, prediction in zip(expected, caller.predict(questions)["predictions"], strict=True):
        scores = {entry["class"]: entry["score"] for entry in prediction["top"]}
        assert np.allclose([scores[name] for name in checkpoint.classes], row, atol=1e-5)
        assert abs(sum(scores.values()) - 1) < 1e-9
