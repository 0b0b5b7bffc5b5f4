"""GET /metrics: what a process counts, and which of it a key sees."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as read
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from service.api.waiting_rows import WaitingRows
from service.contract.enums import UpdateKind
from service.registry.sql.tables import Model, Version
from service.registry.updates import Order, enqueue
from service.telemetry import metrics, requests
from service.telemetry.metrics import OTHER, NamedModels
from tests.api.conftest import Api, MakeApi
from tests.making import make_model, make_version

OPERATOR = {"Authorization": "Bearer secret"}
PREDICTIONS = {"method": "POST", "route": "/v1/models/{model}/predictions"}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was counted, and no model is named yet."""
    monkeypatch.setattr(requests, "_routes", {})
    monkeypatch.setattr(requests.MODEL_ERRORS, "_values", {})
    monkeypatch.setattr("service.serving.live.NAMED", NamedModels(100))
    monkeypatch.setattr(metrics, "NAMED", NamedModels(100))


def figure(api: Api, name: str, headers: dict[str, str] | None = None, **labels: str) -> float | None:
    """The value of the one line of that name with these labels; None where there is none."""
    answer = api("GET", "/metrics", headers=headers or {})
    assert (answer.status_code, answer.headers["content-type"]) == (200, metrics.MEDIA)
    values = [
        sample.value
        for family in read(answer.text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(values) <= 1, values
    return values[0] if values else None


def predict(api: Api, path: str = "digits", rows: Any = (1, 2, 3)) -> int:
    return api("POST", f"/v1/models/{path}/predictions", {"inputs": [rows]}).status_code


def test_requests_are_counted_by_route_and_status_whatever_they_name(make_api: MakeApi) -> None:
    api = make_api()
    make_model(api.runtime)
    make_version(api.runtime)
    assert [predict(api), predict(api), predict(api, "nobody"), predict(api, rows="x")] == [200, 200, 404, 422]
    api("GET", "/v1/models/digits")
    api("GET", "/no/such/address")
    api("GET", "/readyz")
    for status, count in (("200", 2), ("404", 1), ("422", 1)):
        assert figure(api, "tsuika_requests_total", **PREDICTIONS, status=status) == count
    assert figure(api, "tsuika_request_duration_seconds_count", **PREDICTIONS) == 4
    assert figure(api, "tsuika_requests_total", route="/v1/models/{model}", status="200") == 1
    assert figure(api, "tsuika_requests_total", route=requests.NO_ROUTE, status="404") == 1
    assert figure(api, "tsuika_requests_total", route="health", status="200") == 1
    assert figure(api, "tsuika_predictions_total", model="digits", version="1") == 2


def test_a_request_that_is_refused_before_its_route_is_counted_there(
    make_api: MakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    api = make_api(key="secret")
    caplog.set_level("INFO", "tsuika.requests")
    batches, updates = "/v1/models/digits/batches", "/v1/models/digits/updates"
    assert api("GET", batches).status_code == 401
    assert api("POST", updates, content="x", headers={**OPERATOR, "Content-Type": "text/html"}).status_code == 415
    too_long = {**OPERATOR, "Content-Type": "application/json", "Content-Length": str(10**12)}
    assert api("POST", "/v1/models", content=b"{}", headers=too_long).status_code == 413
    assert api("POST", "/no/such", content="x", headers={**OPERATOR, "Content-Type": "text/html"}).status_code == 415
    assert api("POST", "/models/digits/rollback", content=b"x" * (2**20 + 1), headers=OPERATOR).status_code == 413
    for route, status in (
        ("/models/{model}/rollback", "413"),
        ("/v1/models/{model}/batches", "401"),
        ("/v1/models/{model}/updates", "415"),
        ("/v1/models", "413"),
        (requests.NO_ROUTE, "415"),
    ):
        assert figure(api, "tsuika_requests_total", OPERATOR, route=route, status=status) == 1
    assert "POST /v1/models 413 in" in caplog.text


def test_what_is_live_is_told_and_what_waits(make_api: MakeApi) -> None:
    api = make_api()
    model = make_model(api.runtime)
    for seed in range(2):
        make_version(api.runtime, seed=seed)
    assert predict(api) == 200
    assert figure(api, "tsuika_live_version", model="digits") == 2
    assert figure(api, "tsuika_loaded_versions") == 1
    assert figure(api, "tsuika_ready") == 1
    with api.runtime.database.writing() as session:
        enqueue(session, session.get_one(Model, model), Order(UpdateKind.LEARN, []), "somebody")
    api.look()
    assert figure(api, "tsuika_waiting_updates") == 1
    assert figure(api, "tsuika_oldest_waiting_update_seconds") is not None
    assert figure(api, "tsuika_degraded", part="storage") == 0


def test_how_good_the_live_version_is_follows_the_pointer(make_api: MakeApi) -> None:
    api = make_api()
    make_model(api.runtime)
    classes = {"ok": {"accuracy": 0.99, "rows": 200}, "rare": {"accuracy": 0.0, "rows": 4}}
    first = {
        "old_classes": {"after": 0.9},
        "new_classes": {"after": None, "classes": {"fraud": {"accuracy": 0.6, "rows": 5}}},
    }
    reports = [first | {"after": {"classes": classes}}, {"old_classes": None, "skill": 0.4}]
    for seed, report in enumerate(reports):
        make_version(api.runtime, seed=seed)
        with api.runtime.database.writing() as session:
            session.execute(update(Version).where(Version.number == seed + 1).values(report=report))
        api.look()
        assert figure(api, "tsuika_accuracy", model="digits", group="old_classes") == (0.9 if seed == 0 else None)
        assert figure(api, "tsuika_accuracy", model="digits", group="new_classes") is None
        assert figure(api, "tsuika_accuracy", model="digits", group="worst_class") == (0.6 if seed == 0 else None)
        assert figure(api, "tsuika_skill", model="digits") == (0.4 if seed == 1 else None)
    api.ok("POST", "/v1/models/digits/rollback", {"reason": "bad"})
    api.look()
    assert figure(api, "tsuika_accuracy", model="digits", group="old_classes") == 0.9
    assert figure(api, "tsuika_skill", model="digits") is None


def test_rows_that_wait_are_counted_and_again_once_it_has_rested(
    make_api: MakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = make_api()
    for name in ("digits", "letters"):
        make_model(api.runtime, name)
    rows = {"inputs": [[1.0, 2.0, 3.0]] * 4, "labels": ["a"] * 4}

    def counted(model: str) -> float | None:
        api.look()
        return figure(api, "tsuika_pending_rows", model=model)

    monkeypatch.setattr("service.api.waiting_rows.REST", -1)
    api.ok("POST", "/v1/models/digits/batches", {**rows, "new_classes": "allow"})
    assert (counted("digits"), counted("letters")) == (4, 0)
    api.ok("POST", "/v1/models/letters/batches", {**rows, "new_classes": "allow"})
    assert counted("letters") == 4
    api.ok("DELETE", "/v1/models/letters")
    assert (counted("letters"), counted("digits")) == (None, 4)


def test_a_look_at_rows_that_wait_is_followed_by_a_rest(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = WaitingRows()
    with api.runtime.database.reading() as session:
        monkeypatch.setattr("service.api.waiting_rows.REST", 10**9)
        looks.refresh(session, 1)
        assert (looks.is_due(1), looks.is_due(2)) == (False, False)
        monkeypatch.setattr(looks, "_next", 0.0)
        assert (looks.is_due(1), looks.is_due(2)) == (False, True)


def test_a_key_of_some_models_sees_their_figures_and_no_others(make_api: MakeApi) -> None:
    api = make_api(key="secret")
    for name in ("digits", "letters"):
        make_model(api.runtime, name)
        make_version(api.runtime, name)
    api.look()
    order = {"name": "prometheus", "scopes": ["predict"], "models": ["digits"]}
    theirs = {"Authorization": f"Bearer {api.ok('POST', '/v1/keys', order, headers=OPERATOR)['secret']}"}
    assert api("GET", "/metrics").status_code == 401
    answers = [api("GET", "/metrics", headers=headers) for headers in (OPERATOR, theirs)]
    assert [answer.status_code for answer in answers] == [200, 200]
    everything, some = (answer.text for answer in answers)
    for part in ('model="digits"', 'model="letters"', "tsuika_requests_total", 'tsuika_pending_rows{model="letters"}'):
        assert part in everything
    lines = [line for line in some.splitlines() if not line.startswith("#")]
    assert lines
    assert all('model="digits"' in line for line in lines)


def test_as_many_models_are_named_as_the_setting_says(make_api: MakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api = make_api()
    monkeypatch.setattr("service.serving.live.NAMED", NamedModels(2))
    for name in ("a", "b", "c"):
        make_model(api.runtime, name)
        make_version(api.runtime, name)
    api.runtime.live.refresh()
    figures = api("GET", "/metrics").text
    assert figures.count("tsuika_live_version{") == 2
    assert OTHER not in figures


def test_what_the_store_and_the_database_refuse_is_counted(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    before = figure(api, "tsuika_store_errors_total", operation="get", reason="corrupt-artifact") or 0
    make_version(api.runtime)
    for path in (api.runtime.settings.store_folder or api.runtime.settings.data).rglob("*"):
        if path.is_file() and "shards" in str(path):
            path.write_bytes(b"damaged")
    assert predict(api) == 503
    assert figure(api, "tsuika_store_errors_total", operation="get", reason="corrupt-artifact") == before + 1
    assert figure(api, "tsuika_version_loads_total", result="failed")
    assert figure(api, "tsuika_models_not_served") == 1


def test_what_the_database_refuses_is_counted(api: Api) -> None:
    before = figure(api, "tsuika_database_errors_total", reason="unexpected") or 0
    with pytest.raises(DBAPIError), api.runtime.database.reading() as session:
        session.execute(text("SELECT nothing FROM nowhere"))
    assert figure(api, "tsuika_database_errors_total", reason="unexpected") == before + 1
