"""Every answer is as the served description says: no fault of ours, and no status or body that it does not name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.acceptance.environments import BOTH, opened
from tests.acceptance.service import Caller

if TYPE_CHECKING:
    from schemathesis import APIOperation, BaseSchema, Case, Response

pytestmark = pytest.mark.long

EXAMPLES = 25
"""Requests of each operation."""
SECRET = {"Authorization": "Bearer secret"}
REFUSED = ("400", "401", "403", "404", "405", "408", "409", "410", "412", "413", "414", "415", "422", "429")
"""One of these is the answer to what does not fit the description."""


@pytest.fixture(params=BOTH)
def caller(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Caller]:
    """Of an environment of its own: the requests make models and keys, and delete what is there."""
    environment = opened(request, tmp_path, key="secret")
    with Caller(environment.services[0], "digits") as caller:
        caller.http.headers.update(SECRET)
        admin = caller.ok("POST", "/v1/keys", {"name": "me", "scopes": ["admin"]})["secret"]
        caller.http.headers["Authorization"] = f"Bearer {admin}"  # requests may make another one that ends TSUIKA_KEY
        yield caller
    environment.stop()


def things(caller: Caller) -> dict[str, list[str]]:
    """Makes one of everything; -> what can be named, by the parameter that names it, and something that is not there"""
    caller.create()
    done = [caller.learn(k) for k in range(3)]
    caller.ok("PUT", f"{caller.path}/aliases/best", {"version": 1})
    key: str = caller.ok("POST", "/v1/keys", {"name": "k", "scopes": ["predict"]})["id"]
    return {
        "model": [caller.name] * 9 + ["none"],
        "version": ["1", "2", "3", "99"],
        "update": [done[0]["id"], done[2]["id"], "upd_0"],
        "batch": [*done[0]["batches"], caller.batch(10), "bat_0"],
        "name": ["best", "a", "none"],
        "key": [key, "key_0"],
    }


def requests_of(operation: APIOperation) -> st.SearchStrategy[Case]:
    """Requests that fit the description, and such as do not."""
    from schemathesis import GenerationMode

    fit = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if not (operation.body or operation.query or operation.headers or operation.path_parameters):
        return fit
    return st.one_of(fit, operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))


def faults_of(case: Case, answer: Response) -> Iterator[str]:
    """What is wrong with an answer, each in some words and a command that shows it."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.core.failures import FailureGroup
    from schemathesis.specs.openapi import checks

    if answer.status_code == 504 and "Tsuika-Timeout-Ms" in case.headers:
        return  # it was asked to be given up at once
    asked = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.negative_data_rejection,
    ]
    if not case.operation.path.endswith("/events"):  # whose schema is that of the text, not of an event
        asked.append(checks.response_schema_conformance)
    try:
        case.validate_response(answer, checks=asked)
    except FailureGroup as group:
        for failure in group.exceptions:
            yield f"{case.operation.label}: {answer.status_code}: {failure}\n{case.as_curl_command()}"


def schema_of(caller: Caller) -> BaseSchema:
    """The description, as the service gives it."""
    import schemathesis  # takes a quarter of a second, which is not for runs that leave this test out

    schema = schemathesis.openapi.from_dict(caller.ok("GET", "/openapi.json"))
    schema.config.checks.negative_data_rejection.expected_statuses = list(REFUSED)
    return schema


def test_every_answer_is_one_that_the_description_names(caller: Caller) -> None:
    import requests

    there, session, statuses = things(caller), requests.Session(), Counter[str]()
    admin = {"Authorization": caller.http.headers["Authorization"]}
    operations = [operation.ok() for operation in schema_of(caller).get_all_operations()]
    operations.sort(key=lambda operation: operation.method.upper() == "DELETE")
    faults: dict[str, str] = {}
    for operation in operations:

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=requests_of(operation), data=st.data())
        def ask(case: Case, data: st.DataObject) -> None:
            for name in case.path_parameters:
                if name in there and data.draw(st.integers(0, 9)):
                    case.path_parameters[name] = data.draw(st.sampled_from(there[name]))
            case.headers.pop("Content-Length", None)  # of random letters: HTTP refuses that before any operation
            answer = case.call(base_url=caller.server.url, headers=admin, session=session, timeout=30)
            statuses[f"{answer.status_code // 100}xx"] += 1
            for fault in faults_of(case, answer):
                faults.setdefault(fault.partition("\n")[0], fault)

        ask()
    assert not faults, "\n\n".join(faults.values())
    assert len(operations) > 50
    assert min(statuses["2xx"], statuses["4xx"]) > 3 * len(operations), statuses
    assert "Traceback" not in caller.server.said()
