"""The gate beside PostgreSQL and S3: what it compares with comes from there, and its verdicts are those of a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from tests.acceptance.environments import Environment, scaled
from tests.acceptance.service import Caller, until
from tests.learning.samples import load_digits
from tests.postgres import PostgresServer
from tests.s3 import S3Server

pytestmark = [pytest.mark.postgres, pytest.mark.s3]

SPEC = {"kind": "vector", "size": 64, "scale": {"range": [0, 16]}}
METHOD = {"name": "ridge", "lift": "relu", "width": 128}
FIRST = 400


class Digits:
    """Rows in an order of their own, those of the class "9" last. Each is taken once."""

    def __init__(self) -> None:
        digits = load_digits()
        order = np.random.default_rng(0).permutation(len(digits.target))
        self._rows = [(digits.data[k].tolist(), str(digits.target[k])) for k in order]
        self._rows.sort(key=lambda row: row[1] == "9")

    def take(self, count: int, label: str = "") -> tuple[list[list[float]], list[str]]:
        """The next so many rows, or those of a label."""
        taken = [row for row in self._rows if not label or row[1] == label][:count]
        self._rows = [row for row in self._rows if row not in taken]
        return [inputs for inputs, _ in taken], [name for _, name in taken]


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, s3: S3Server) -> Iterator[Environment]:
    replicas = scaled(tmp_path_factory.mktemp("gate"), postgres, s3)
    yield replicas
    replicas.stop()


def learned(caller: Caller, inputs: Sequence[Sequence[float]], labels: Sequence[str]) -> dict[str, Any]:
    """An update of these rows, once it has succeeded."""
    return caller.sent(inputs=inputs, labels=labels, new_classes="allow")


def test_wrong_labels_never_go_live_and_honest_ones_do(replicas: Environment) -> None:
    here, there = (Caller(service, "digits") for service in replicas.services)
    here.create(input=SPEC, method=METHOD)
    digits, random = Digits(), np.random.default_rng(0)
    assert learned(here, *digits.take(FIRST))["verdict"] == "promoted"
    for rows in (20, 60, 200):
        inputs, labels = digits.take(rows)
        done = learned(there, inputs, random.permutation(labels).tolist())
        assert done["verdict"] == "rejected", done["report"]["gate"]["why"]
    for rows in (100, 200):
        inputs, labels = digits.take(rows)
        done = learned(here, inputs, [{"3": "8", "8": "3"}.get(label, label) for label in labels])
        assert done["verdict"] in ("rejected", "held"), done["report"]["gate"]["why"]
        assert (here.live(), there.live()) == (1, 1)
    for rows, label in ((1, ""), (60, ""), (300, ""), (60, "9")):
        done = learned(there, *digits.take(rows, label))
        assert done["verdict"] == "promoted", done["report"]["gate"]["why"]
        until(lambda number=done["version"]: here.live() == number, what="the news")
    assert here.version(here.live() or 0)["classes"][-1] == "9"
    for caller in (here, there):
        caller.http.close()
    replicas.hold()


def test_a_first_batch_of_one_class_goes_live(replicas: Environment) -> None:
    with Caller(replicas.services[0], "one-class") as caller:
        caller.create(input=SPEC, method=METHOD)
        assert learned(caller, *Digits().take(20, "0"))["verdict"] == "promoted"
        assert caller.predict(Digits().take(1, "0")[0])["predictions"][0]["class"] == "0"
    replicas.hold()
