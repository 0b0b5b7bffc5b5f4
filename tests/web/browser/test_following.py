"""The page of an update that has not ended follows it by itself."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.running import Server
from tests.web.browser.conftest import Look, Open

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request

pytestmark = pytest.mark.browser

AWAY = "ERR_CONNECTION_REFUSED"
HIDE = "hidden => Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden})"
TICKS = """ticks => new Promise(resolve => document.querySelector("[hx-get]").addEventListener("every", () => {
  if (!--ticks) setTimeout(resolve);
}))"""
"""Waits until so many seconds have called for an answer."""
MADE = {"kind": "vector", "size": 2}
ROWS: dict[str, Any] = {"inputs": [[k, k % 3] for k in range(30)], "labels": ["a", "b"] * 15, "new_classes": "allow"}


class Running:
    """A service with one update that runs, without a worker: it is as far as a test says."""

    def __init__(self, server: Server) -> None:
        self.server = server
        with server.client() as http:
            http.post("/v1/models", json={"name": "runs", "input": MADE}).raise_for_status()
            self.id = http.post("/v1/models/runs/updates", json=ROWS).raise_for_status().json()["id"]
        self.url = f"{server.url}/updates/{self.id}"

    def trained(self, epochs: int) -> None:
        """So many of its 40 epochs are done."""
        losses = [{"epoch": k + 1, "training": 1 / (k + 2), "kept_back": None} for k in range(epochs)]
        self._is("running", progress=json.dumps({"phase": "training", "done": epochs, "total": 40, "losses": losses}))

    def cancelled(self) -> None:
        """Somebody else has stopped it."""
        self._is("cancelled", progress=None)

    def _is(self, state: str, progress: str | None) -> None:
        with closing(sqlite3.connect(self.server.data / "tsuika.db")) as database, database:
            change = "UPDATE updates SET state = ?, progress = ? WHERE id = ?"
            database.execute(change, (state, progress, self.id))


@pytest.fixture
def running(tmp_path: Path, migrated: Path) -> Iterator[Running]:
    with Server(tmp_path, migrated=migrated, worker=False) as server:
        update = Running(server)
        update.trained(3)
        yield update


def watched(page: Page, running: Running) -> list[Request]:
    """What the page asks from here on."""
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if request.url.endswith(running.id) else None)
    return asked


def test_what_is_open_and_has_the_focus_stays_through_each_swap(running: Running, open_page: Open, axe: Look) -> None:
    page = open_page(f"{running.server.url}/?lang=ja")
    page.goto(running.url)
    page.focus("summary")
    page.keyboard.press("Enter")
    page.evaluate("window.first = document.querySelector('summary')")
    for epochs in (4, 9):
        running.trained(epochs)
        page.wait_for_selector(f"details[open] tbody tr:nth-child({epochs})")
        assert page.evaluate("document.activeElement === window.first")
        assert page.get_attribute("progress", "value") == str(epochs)
        assert page.get_attribute("html", "lang") == "ja"
        assert "訓練" in page.inner_text("[role=status]")
    assert axe(page) == ""
    page.keyboard.press("Enter")
    running.trained(11)
    page.wait_for_selector("progress[value='11']")
    assert page.query_selector("details[open]") is None, "it was closed"


def test_one_that_has_ended_is_shown_whole_is_said_and_asks_no_more(running: Running, open_page: Open) -> None:
    page = open_page(running.url)
    status = page.query_selector("[role=status]")
    page.focus("text=Cancel this update")
    running.cancelled()
    page.wait_for_selector("button:has-text('Try it again')")
    assert status.inner_text() == "It was cancelled.", "a screen reader says it: the place is the same"
    assert page.query_selector("details, progress, a:has-text('Cancel this update')") is None
    assert page.query_selector("main [hx-get]") is None
    assert page.evaluate("document.activeElement === document.body"), "no other link has taken the place of the one"
    asked = watched(page, running)
    with page.expect_navigation():
        page.click("text=Try it again")
    assert [request.method for request in asked if "retry" not in request.url] == ["GET"]
    page.wait_for_selector("text=It waits for its turn.")


def test_a_hidden_window_asks_nothing_until_it_is_looked_at(running: Running, open_page: Open) -> None:
    page = open_page(running.url)
    page.evaluate(HIDE, True)
    page.evaluate(TICKS, 1)  # what was asked before is answered
    asked = watched(page, running)
    running.trained(5)
    page.evaluate(TICKS, 2)
    assert asked == []
    page.evaluate(HIDE, False)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector("progress[value='5']")


@pytest.mark.parametrize("starts_with", ["nothing", "a page that it starts"])
def test_a_service_that_was_away_is_followed_again(
    running: Running, open_page: Open, request: pytest.FixtureRequest, starts_with: str
) -> None:
    request.node.expected_complaints = [AWAY, "503 (Service", "htmx: htmx:error: Failed to fetch"]
    page = open_page(running.url)
    running.server.stop()
    running.trained(7)
    if starts_with == "nothing":
        with page.expect_event("requestfailed"):
            pass
        assert "training" in page.inner_text("[role=status]").lower(), "what was known stays"
    else:
        with page.expect_event("requestfailed"):
            pass
        starting = (Path("service") / "web" / "templates" / "starting.html").read_text()
        page.route("**/updates/*", lambda route: route.fulfill(status=503, body=starting, content_type="text/html"))
        page.wait_for_selector("main h1:has-text('$title')")
        page.unroute("**/updates/*")
    running.server.restart()
    page.wait_for_selector("progress[value='7']")
    assert re.search(r"/updates/\w+$", page.url)


def test_who_must_sign_in_meanwhile_does_so_and_comes_back(tmp_path: Path, migrated: Path, open_page: Open) -> None:
    with Server(tmp_path, migrated=migrated, worker=False) as server:
        update = Running(server)
        page = open_page(update.url)
        with httpx.Client(base_url=server.url) as http:
            made = http.post("/v1/keys", json={"name": "first", "scopes": ["admin"]}).raise_for_status().json()
        page.wait_for_selector("#key")
        page.fill("#key", made["secret"])
        page.keyboard.press("Enter")
        page.wait_for_selector("text=It waits for its turn.")
        assert page.url == update.url
        page.close()  # it would go on asking
