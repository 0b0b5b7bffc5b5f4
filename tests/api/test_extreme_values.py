"""No text and no number of a caller is a fault of ours, wherever a request has it: databases and drivers take
fewer than JSON and addresses do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from service.contract.enums import Verdict
from service.contract.reports.class_report import Dispute as Disputed
from service.registry import disputes, models
from service.registry.sql.engines import migrate
from service.registry.sql.tables import Update, Version
from service.runtime import Runtime
from service.settings import Settings
from tests.acceptance.environments import BOTH, empty_place
from tests.api.conftest import Api
from tests.making import make_version

pytestmark = pytest.mark.long

TEXTS = ["\0", "a\0b", "a\ud800", "\U0010ffff", "%", "\\u0000", "{", "x" * 3000]
"""U+0000 and half of a surrogate pair, which PostgreSQL has no place for; what means something to LIKE and to JSON;
more than a page of an index takes."""
NUMBERS = [-1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 1e308]
"""Around the ends of whole numbers of four and of eight bytes, and of floats."""
DIGITS = [*map(str, NUMBERS), "9" * 4400, "1e400", "\u0663"]
"""The same as texts; more digits than Python reads; infinity; a 3 that is no ASCII."""
KINDS = ("bat_", "upd_", "dis_", "key_")
"""How ids begin."""
ROWS = {"inputs": [[1, 2, 3], [4, 5, 6]], "labels": ["a", "b"], "groups": ["g", None], "source": "lab"}
REASON = {"reason": "why"}
TENSOR = {"name": "inputs", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}


@dataclass
class Place:
    """An installation with one of everything. names: what stands in paths, by the parameter that names it"""

    api: Api
    names: dict[str, str]

    def bodies(self) -> dict[str, Any]:
        """A body that is taken, by the route."""
        batch, version, ridge = self.names["batch"], 1, {"name": "ridge", "alpha": 1.0}
        model = {"name": "more", "input": {"kind": "vector", "size": 3}, "classes": ["a"], "memory_rows": 9}
        infer, invoke = {"id": "1", "inputs": [TENSOR]}, {"inputs": [[1, 2, 3]]}
        predict = {"inputs": [[1, 2, 3]], "top": 1, "source": "lab"}
        return {
            "POST /v1/models": {**model, "leave_out": ["id"], "keep_versions": 3, "method": {"name": "ridge"}},
            "PATCH /v1/models/{model}": {"memory_rows": 9, "leave_out": ["id"], "keep_versions": 3, "gate": {}},
            "POST /v1/models/{model}/batches": {**ROWS, "new_classes": "allow", "again": True},
            "POST /v1/models/{model}/classes": {"names": ["c"]},
            "POST /v1/models/{model}/updates": {"batches": [batch], "seed": 1, "method": ridge},
            "POST /v1/updates/{update}/cancel": REASON,
            "POST /v1/models/{model}/retractions": {"batches": [batch], **REASON, "erase": False},
            "POST /v1/models/{model}/batches/{batch}/corrections": {"rows": {"0": "b"}, **REASON},
            "POST /v1/models/{model}/disputes/{dispute}/settle": {"verdict": "confirmed", **REASON},
            "PUT /v1/models/{model}/aliases/{name}": {"version": version},
            "POST /v1/models/{model}/deployments": {"version": version, **REASON, "if_live": 2, "rebase": False},
            "POST /v1/models/{model}/rollback": {"to": version, **REASON, "if_live": 2},
            "POST /v1/keys": {
                "name": "k", "scopes": ["predict"], "models": ["digits"], "rate": 9.0, "bytes": 9, "queued": 9,
                "expires_at": "2100-01-01T00:00:00Z", "replaces": self.names["key"], "overlap_hours": 1.0,
            },
            "POST /v1/models/{model}/predictions": predict,
            "POST /v1/models/{model}/versions/{version}/predictions": predict,
            "POST /v2/models/{model}/infer": infer,
            "POST /v2/models/{model}/versions/{version}/infer": infer,
            "POST /v1/models/{model}/invocations": invoke,
            "POST /invocations": invoke,
        }  # fmt: skip


@pytest.fixture(params=BOTH)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    where = empty_place(request)
    if "migrated" in where:
        where = {"database_url": f"sqlite:///{tmp_path / 'tsuika.db'}"}
        migrate(where["database_url"])
    runtime = Runtime(Settings.from_environment({"TSUIKA_DATA": str(tmp_path)}, child_priority="normal", **where))
    api = Api(runtime)
    yield Place(api, filled(api))
    api.close()
    runtime.close()


def filled(api: Api) -> dict[str, str]:
    """Makes a model of two versions with one of everything; -> their names."""
    path = "/v1/models/digits"
    api.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}})
    batch: str = api.ok("POST", f"{path}/batches", {**ROWS, "new_classes": "allow"})["id"]
    make_version(api.runtime, learned=[batch])
    make_version(api.runtime, learned=[batch], seed=1)
    api.runtime.live.refresh()
    update: str = api.ok("POST", f"{path}/updates", {**ROWS, "again": True})["id"]
    with api.runtime.database.writing() as session:
        model, row = models.get(session, "digits"), session.get_one(Update, update)
        row.verdict, row.version_id = Verdict.HELD, session.query(Version).filter(Version.number == 2).one().id
        disputes.open_all(session, model, row, [Disputed(class_="a", suggested="b", rows=9, source="lab")])
        dispute = disputes.page(session, model, 1, None)[0][0].id
    api.ok("PUT", f"{path}/aliases/best", {"version": 1})
    me: str = api.ok("POST", "/v1/keys", {"name": "me", "scopes": ["admin"]})["secret"]
    api.http.headers["Authorization"] = f"Bearer {me}"
    key: str = api.ok("POST", "/v1/keys", {"name": "k", "scopes": ["predict"]})["id"]
    return {
        "model": "digits", "version": "1", "update": update, "batch": batch, "dispute": dispute, "name": "best",
        "key": key,
    }  # fmt: skip


def altered(value: Any) -> Iterator[Any]:
    """A body with something else in the place of each of its values, and of each name of a row."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from ({**value, name: other} for other in altered(inner))
        if "0" in value:
            yield from ({text: value["0"]} for text in (*TEXTS, *DIGITS))
    elif isinstance(value, list) and value:
        yield from ([other, *value[1:]] for other in altered(value[0]))
    else:
        yield from TEXTS
        yield from NUMBERS
        if isinstance(value, str) and value.startswith(KINDS):
            yield from (value[:4] + text for text in TEXTS)


def texts_like(name: str) -> Iterator[str]:
    """What may stand for a part of an address that is `name` where it is taken."""
    yield from TEXTS
    yield from DIGITS
    if name.startswith(KINDS):
        yield from (name[:4] + text for text in TEXTS)


def spelt(text: str) -> str:
    """A text in an address, half a surrogate pair as the bytes that stand for it."""
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def requests_of(place: Place) -> Iterator[tuple[str, str, Any, dict[str, str]]]:
    """Method, address, body and headers of every request; those that delete come last."""
    paths = place.api.ok("GET", "/openapi.json")["paths"]
    operations = [
        (method.upper(), path, operation)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if isinstance(operation, dict) and "responses" in operation
    ]
    bodies = place.bodies()
    taking = {
        f"{method} {path}"
        for method, path, each in operations
        if "application/json" in each.get("requestBody", {}).get("content", {})
    }
    assert taking == set(bodies)
    for method, path, operation in sorted(operations, key=lambda each: each[0] == "DELETE"):
        given = operation.get("parameters", [])
        body = bodies.get(f"{method} {path}")
        address = path.format_map(place.names)
        for name in (each["name"] for each in given if each["in"] == "path"):
            for text in texts_like(place.names[name]):
                yield method, path.format_map({**place.names, name: spelt(text)}), body, {}
        for name in (each["name"] for each in given if each["in"] == "query"):
            for text in [*TEXTS, *DIGITS, *(KINDS if name == "cursor" else ())]:
                yield method, f"{address}?{name}={spelt(text)}", body, {}
        for name in (each["name"] for each in given if each["in"] == "header"):
            for text in (*DIGITS[:-1], "x" * 3000, "\xff", '"9"'):
                yield method, address, body, {name: text}
        if body is not None:
            for other in altered(body):
                yield method, address, other, {}


def test_no_text_and_no_number_is_a_fault_of_the_service(place: Place) -> None:
    faults, asked = dict[str, str](), 0
    for method, address, body, headers in requests_of(place):
        content = json.dumps(body).encode("ascii") if body is not None else None
        sent = {"Content-Type": "application/json", **headers}
        try:
            answer = place.api(
                method, address, content=content, headers=[(k, v.encode("latin-1")) for k, v in sent.items()]
            )
            status, words = answer.status_code, answer.text
        except Exception as error:  # of the application, once it has answered with 500
            status, words = 500, repr(error)
        if status >= 500 and not (status == 504 and "Tsuika-Timeout-Ms" in headers):
            faults[f"{method} {address[:150]} {str(content)[:150]} {str(headers)[:150]}"] = words[:300]
        assert status != 401, (method, address, body)
        asked += 1
    assert not faults, "\n".join(f"{request}: {words}" for request, words in faults.items())
    assert asked > 3000
