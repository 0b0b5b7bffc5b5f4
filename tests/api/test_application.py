"""The application as a whole: keys, hosts, health, documentation."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.api.access.keyring import Keyring
from service.api.application import ROUTERS
from service.errors import TsuikaError
from service.learning.methods import METHODS
from service.registry.sql.database import now
from tests.api.conftest import Api, MakeApi, pointers
from tests.making import make_model, make_version

ROUTES = [(method, route.path) for router in ROUTERS for route in router.routes for method in sorted(route.methods)]
PUBLIC = {
    "/healthz",
    "/livez",
    "/health",
    "/ping",
    "/readyz",
    "/openapi.json",
    "/v2/health/live",
    "/v2/health/ready",
}


def test_every_route_needs_a_key_that_is_good(make_api: MakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api = make_api(key="secret")
    make_model(api.runtime)
    operator = {"Authorization": "Bearer secret"}
    order, soon = {"name": "till 7", "scopes": ["admin"]}, datetime.now(UTC) + timedelta(hours=1)
    revoked = api.ok("POST", "/v1/keys", order, headers=operator)
    own = {"Authorization": f"Bearer {revoked['secret']}"}
    assert api("DELETE", f"/v1/keys/{revoked['id']}", headers=own).status_code == 204
    ended = api.ok("POST", "/v1/keys", {**order, "expires_at": soon.isoformat()}, headers=operator)
    monkeypatch.setattr(Keyring, "_now", lambda _: now() + 3601.0)
    bad = ["wrong", "secrets", revoked["secret"], ended["secret"]]
    words = ["Basic secret", "Bearer", *(f"Bearer {secret}" for secret in bad)]
    for headers in ({}, *({"Authorization": word} for word in words)):
        for method, path in ROUTES:
            refused = api(method, path, headers=headers)
            if path in PUBLIC:
                assert refused.status_code == 200
            else:
                assert refused.status_code == 401, (method, path, headers)
                assert refused.headers["www-authenticate"].startswith("Bearer")
    for method, path in ROUTES:
        assert api(method, path, headers={"Authorization": "bearer secret"}).status_code != 401


def test_with_a_key_any_host_is_good_and_the_description_is_public(make_api: MakeApi) -> None:
    api = make_api(key="secret")
    good = {"Authorization": "Bearer secret", "Host": "tsuika.example"}
    assert api("GET", "/v1/models", headers=good).status_code == 200
    assert api("GET", "/openapi.json").status_code == 200
    make_model(api.runtime)
    make_version(api.runtime)
    make_version(api.runtime, seed=1)
    api.ok("POST", "/v1/models/digits/rollback", headers={"Authorization": "Bearer secret"})
    listed = api.ok("GET", "/v1/models/digits/deployments", headers={"Authorization": "Bearer secret"})
    assert listed["items"][0]["by"] == "bootstrap key"


def test_every_route_refuses_what_it_does_not_read_of_a_query(api: Api) -> None:
    routes = [(m, p) for m, p in ROUTES if p.startswith("/v1/") and not p.endswith(("/predictions", "/invocations"))]
    assert len(routes) > 20
    for method, path in routes:
        media = "application/octet-stream" if path.endswith(("/versions", "/merges")) else "application/json"
        refused = api(method, f"{path}?erease=true", headers={"Content-Type": media})
        assert (refused.status_code, pointers(refused)) == (422, ["/erease"]), (method, path)
    assert api("DELETE", "/v1/models/digits?erase=true").status_code == 422
    assert api.ok("GET", "/v1/models/digits")["archived_at"] is None


def test_what_is_wrong_in_a_query_is_told_with_what_is_known(api: Api) -> None:
    for path, sentence in [
        ("/v1/models?limt=1", "limt is not known in this query. Did you mean limit?"),
        ("/v1/models/digits/updates?verdict=held", "Known are state, kind, limit, cursor."),
        ("/v1/methods?x=1", "x is not known in this query. Leave it out."),
        ("/v1/models/digits/updates?state=held", "state should be 'queued', 'running', 'succeeded', 'failed' or "),
    ]:
        refused = api("GET", path)
        assert refused.status_code == 422, path
        assert sentence in refused.json()["detail"], path


def test_a_parameter_that_means_one_value_is_refused_where_it_stands_twice(api: Api) -> None:
    make_version(api.runtime)
    asked = set[str]()
    for path, methods in api.ok("GET", "/openapi.json")["paths"].items():
        address = re.sub(r"\{\w+\}", "1", path.replace("{model}", "digits"))
        for method, route in methods.items():
            for parameter in route.get("parameters", ()):
                if parameter["in"] == "query" and parameter["schema"].get("type") != "array":
                    name = parameter["name"]
                    refused = api(method.upper(), f"{address}?{name}=1&{name}=2")
                    if path.endswith("/invocations"):  # it refuses as MLflow does
                        assert f"The query says {name} twice" in refused.json()["message"]
                    else:
                        assert (refused.status_code, pointers(refused)) == (422, [f"/{name}"]), (method, path)
                    asked.add(name)
    assert asked > {"limit", "cursor", "wait", "rows", "top", "state", "model", "after", "whole", "promote", "if_live"}


def test_without_a_key_loopback_and_allowed_hosts_are_answered(make_api: MakeApi) -> None:
    api = make_api(allowed_hosts="shop.lan")
    for host in ["localhost", "localhost:8000", "127.0.0.1:80", "[::1]:8000", "LOCALHOST", "shop.lan"]:
        assert api("GET", "/v1/models", headers={"Host": host}).status_code == 200, host


FOREIGN = ["evil.example", "localhost.evil.example", "192.168.1.7", "127.0.0.1.nip.io", "[::2]", ""]
FOREIGN += [
    "[127.0.0.1]evil.com",
    "[127.0.0.1]",
    "[::1]evil.com",
    "127.0.0.1:80@evil.com",
    "[::1",
    "::1",
    "localhost:80:90",
]


def test_without_a_key_other_hosts_are_refused(make_api: MakeApi) -> None:
    api = make_api()
    for host in FOREIGN:
        refused = api("GET", "/v1/models", headers={"Host": host})
        assert refused.status_code == 403, host
        assert "TSUIKA_ALLOWED_HOSTS" in refused.json()["detail"], host
        assert api("GET", "/healthz", headers={"Host": host}).status_code == 200, host


def test_with_a_key_any_host_is_answered_until_hosts_are_named(make_api: MakeApi) -> None:
    def status(api: Api, host: str) -> int:
        return api("GET", "/v1/models", headers={"Host": host, "Authorization": "Bearer secret"}).status_code

    assert status(make_api(key="secret"), "evil.example") == 200
    bound = make_api(key="secret", allowed_hosts="shop.lan, api.shop.example")
    hosts = ["shop.lan", "API.shop.example:443", "localhost", "evil.example", "shop.lan.evil.example", ""]
    assert [status(bound, host) for host in hosts] == [200, 200, 200, 403, 403, 403]
    refused = bound("GET", "/v1/models", headers={"Host": "evil.example", "Authorization": "Bearer secret"})
    assert "TSUIKA_ALLOWED_HOSTS" in refused.json()["detail"]
    cross = {"Host": "shop.lan", "Origin": "https://page.example", "Authorization": "Bearer secret"}
    assert bound("POST", "/v1/models", {}, headers=cross).status_code == 422


def test_a_request_without_a_host_is_refused_without_a_key(api: Api, make_api: MakeApi) -> None:
    def status(service: Api) -> int:
        scope = {"type": "http", "method": "GET", "path": "/v1/models", "query_string": b"", "headers": []}
        scope["headers"] += [(b"authorization", b"Bearer secret")]
        messages: list[Any] = []

        async def send(message: Any) -> None:
            messages.append(message)

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        service.runner.run(
            service.door({**scope, "raw_path": b"", "root_path": "", "http_version": "1.0"}, receive, send)
        )
        return int(messages[0]["status"])

    assert status(api) == 403
    assert status(make_api(key="secret")) == 200


def test_what_a_browser_says_of_the_page_that_asks_counts(make_api: MakeApi) -> None:
    api = make_api()
    make_model(api.runtime)
    for site, mode, read, write in [
        ("cross-site", "no-cors", 403, 403),
        ("same-site", "cors", 403, 403),
        ("cross-site", "navigate", 200, 403),
        ("same-origin", "cors", 200, 409),
        ("none", "navigate", 200, 409),
    ]:
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
        assert api("GET", "/v1/models", headers=headers).status_code == read, site
        assert api("POST", "/v1/models/digits/rollback", headers=headers).status_code == write, site


def test_of_a_long_query_little_is_read(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search for near matches of each name would take long."""
    looked: list[str] = []

    def counted(name: str, *_: Any) -> str:
        looked.append(name)
        return name

    monkeypatch.setattr("service.api.queries.unknown", counted)
    assert api("GET", f"/v1/models?{'&'.join(f'n{k}=1' for k in range(1000))}").status_code == 422
    assert len(looked) == 10
    longer = api("GET", f"/v1/models?{'&'.join(f'n{k}=1' for k in range(3000))}")
    assert (longer.status_code, longer.json()["title"]) == (414, "The address is too long")
    assert "8,192 bytes" in longer.json()["detail"]


def test_the_description_is_written_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    first = api("GET", "/openapi.json").content
    monkeypatch.setattr("service.api.openapi.describe", lambda _: pytest.fail("it is made anew"))
    assert api("GET", "/openapi.json").content == first


def test_the_schemas_of_methods_are_derived_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    first = api("GET", "/v1/methods").content
    monkeypatch.setattr(METHODS["ridge"].Params, "model_json_schema", lambda: pytest.fail("it is derived anew"))
    assert api("GET", "/v1/methods").content == first


def test_a_page_of_another_origin_cannot_write(make_api: MakeApi) -> None:
    api = make_api()
    make_model(api.runtime)
    for origin in ("https://evil.example", "null", "http://localhost:9999", "http://[", "http://localhost/x"):
        assert api("POST", "/v1/models/digits/rollback", headers={"Origin": origin}).status_code == 403
    own = api("POST", "/v1/models/digits/rollback", headers={"Origin": "http://localhost"})
    assert own.status_code == 409
    preflight = api("OPTIONS", "/v1/models", headers={"Origin": "https://evil.example"})
    assert preflight.status_code == 405
    assert not [name for name in preflight.headers if name.startswith("access-control")]


def test_what_writes_comes_as_json(api: Api) -> None:
    for media in [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "application/json; charset=latin-1",
        "application/zip",
    ]:
        headers = {"Content-Type": media} if media else {}
        refused = api(
            "POST", "/v1/models", content=b'{"name": "x", "input": {"kind": "vector", "size": 1}}', headers=headers
        )
        assert refused.status_code == 415, media
        assert api("GET", "/v1/models/x").status_code == 404, media


def test_json_in_utf8_and_not_compressed(api: Api) -> None:
    for letters in ('"UTF-8"', "utf8"):
        good = {"Content-Type": f"Application/JSON; charset={letters}"}
        assert api("POST", "/v1/models", content=b"{}", headers=good).status_code == 422, letters
    packed = api(
        "POST", "/v1/models", content=b"{}", headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}
    )
    assert packed.status_code == 415
    squeezed = {"Content-Type": "application/json", "Transfer-Encoding": "gzip, chunked"}
    assert "chunked" in api("POST", "/v1/models", content=b"{}", headers=squeezed).json()["detail"]


def test_every_answer_carries_a_request_id_that_counts_nothing(api: Api) -> None:
    one, other = (api("GET", "/v1/models").headers["x-request-id"] for _ in range(2))
    assert len(one) == len(other) == 16
    assert one[:8] != other[:8]
    named = api("GET", "/nowhere", headers={"X-Request-Id": "mine-1"})
    assert (named.headers["x-request-id"], named.json()["request_id"]) == ("mine-1", "mine-1")
    assert api("GET", "/v1/models", headers={"X-Request-Id": "no spaces"}).headers["x-request-id"] != "no spaces"


def test_unknown_addresses_name_the_right_one(api: Api) -> None:
    for path, right in [
        ("/v1/models/digits:predict", "POST /v1/models/digits/predictions"),
        ("/v1/models/digits:classify", "POST /v1/models/digits/predictions"),
        ("/v1/models/digits/versions/2:predict", "POST /v1/models/digits/predictions"),
        ("/v2/models/digits/predict", "POST /v1/models/digits/predictions"),
        ("/predict", "/v1/models/{model}/predictions"),
        ("/predictions/digits", "/v1/models/{model}/predictions"),
        ("/digits/invocations", "/v1/models/{model}/invocations"),
        ("/infer", "/v2/models/{model}/infer"),
        ("/docs.json", "/openapi.json"),
        ("/v1/anything", "/v1/models"),
        ("/a%0Ab", "/docs"),
    ]:
        refused = api("POST", path)
        assert refused.status_code == 404
        message = refused.json()
        assert right in message.get("detail", message.get("message", message.get("error")))
    read = api("GET", "/v1/models/digits:predict")
    assert (read.status_code, "POST /v1/models/digits/predictions" in read.json()["detail"]) == (404, True)
    wrong = api("PUT", "/v1/models/digits")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "DELETE, GET, PATCH")
    assert wrong.json()["detail"].endswith("It takes DELETE, GET, PATCH.")
    importing = api("POST", "/v1/models/digits/versions", {})
    assert importing.status_code == 415
    assert "safetensors" in importing.json()["detail"]


def test_a_fault_of_ours_is_a_problem_without_details(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("the secret reason")

    monkeypatch.setattr("service.registry.models.page", breaks)
    broken = api("GET", "/v1/models")
    assert broken.status_code == 500
    assert broken.headers["content-type"] == "application/problem+json"
    assert "secret" not in broken.text
    assert broken.json()["request_id"] in caplog.text
    assert "the secret reason" in caplog.text
    monkeypatch.setattr("service.serving.live.LiveModels.find", breaks)
    assert api("GET", "/v1/models/digits/predictions?input=[1]").status_code == 500
    monkeypatch.setattr("service.registry.models.get", lambda *_: (_ for _ in ()).throw(TsuikaError("unforeseen")))
    assert api("GET", "/v1/models/digits").status_code == 500


def test_health_has_all_its_usual_names(api: Api) -> None:
    for path in ("/healthz", "/livez", "/health", "/ping"):
        assert api.ok("GET", path) == {"status": "alive"}
        assert api("HEAD", path).status_code == 200
    for path in ("/v1/models/digits", "/v2/models/digits", "/v2", "/docs"):
        assert api("HEAD", path).status_code == api("GET", path).status_code == 200
    assert api.ok("GET", "/readyz") == {"status": "ready"}
    api.door.context.health.waiting_for = "the database"
    starting = api("GET", "/readyz")
    assert (starting.status_code, starting.json()["waiting_for"]) == (503, "the database")
    api.door.context.health.stopping = True
    assert api("GET", "/readyz").json() == {"status": "stopping"}
    assert api("GET", "/v1/models").headers["connection"] == "close"


def test_the_description_is_whole(api: Api) -> None:
    document = api.ok("GET", "/openapi.json")
    text = json.dumps(document)
    for name in {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"], name
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description"), (method, path)
            if path.startswith("/v1"):
                assert "401" in operation["responses"], (method, path)
                assert "HTTPValidationError" not in json.dumps(operation)
            if method in ("post", "patch"):
                assert {"400", "413", "415", "422"} <= operation["responses"].keys(), (method, path)
            if "requestBody" in operation and not path.endswith(("/versions", "/merges")):
                content = operation["requestBody"]["content"]["application/json"]
                body = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
                assert "example" in content or "examples" in body, (method, path)
    imports = document["paths"]["/v1/models/{model}/versions"]["post"]["requestBody"]["content"]
    assert imports.keys() == {"application/octet-stream", "application/x-safetensors", "multipart/form-data"}
    create = document["paths"]["/v1/models"]["post"]
    assert create["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/CreateModel"
    }
    assert document["components"]["schemas"]["CreateModel"]["examples"]
    assert document["info"]["version"]


def test_methods_are_described_with_their_parameters(api: Api) -> None:
    methods = {m["name"]: m for m in api.ok("GET", "/v1/methods")["items"]}
    assert {"ridge", "lda", "l2_sp", "den", "replay", "linear_probe", "fine_tune", "retrain"} <= methods.keys()
    assert methods["l2_sp"]["params"]["properties"]["strength"]["description"]
    assert {"stable_scores", "budget_seconds"} == methods["auto"]["params"]["properties"].keys()
    assert api.ok("GET", "/version")["version"]
