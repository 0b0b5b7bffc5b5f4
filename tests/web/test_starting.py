"""What browsers and programs get while a service starts."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from service.api.health import Health
from service.app import _Front
from service.web.frame import POLICY


def ask(path: str, accept: str = "text/html", method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    """-> status, headers, body"""
    named = {"accept": accept, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "method": method,
        "path": path.partition("?")[0],
        "query_string": path.partition("?")[2].encode(),
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
    }
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(_Front(Health(waiting_for="the database"))(scope, lambda: asyncio.sleep(0, {}), send))
    fields = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], fields, b"".join(part["body"] for part in sent[1:]).decode()


@pytest.mark.parametrize("path", ["/", "/models/digits?a=b", "/docs"])
def test_a_browser_gets_a_page_that_loads_itself_again(path: str) -> None:
    status, headers, page = ask(path)
    assert status == 503
    assert headers["content-security-policy"] == POLICY
    assert "It waits for the database." in page
    assert '<meta http-equiv="refresh" content="2">' in page
    assert "<script" not in page


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/?lang=ja", {}), ("/", {"cookie": "a=b; tsuika_language=ja"}), ("/", {"accept_language": "ja, en;q=0.5"})],
)
def test_the_page_is_in_the_language_of_the_reader(path: str, headers: dict[str, str]) -> None:
    _, _, page = ask(path, **headers)
    assert '<html lang="ja">' in page
    assert "データベースを待っています。" in page


def test_its_stylesheet_is_there_and_all_else_is_a_problem() -> None:
    assert ask("/static/style.css", "text/css")[0] == 200
    assert ask("/static/../app.py", "text/css")[0] == 404
    for path, accept in (("/", "*/*"), ("/v1/models", "text/html"), ("/v1/models", "*/*")):
        status, headers, body = ask(path, accept)
        assert (status, headers["content-type"]) == (503, "application/problem+json")
        assert "it waits for the database" in body
        assert json.loads(body)["waiting_for"] == "the database", "so that programs wait, too"
    assert ask("/", method="HEAD")[2] == ""
