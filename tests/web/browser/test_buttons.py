"""Buttons that no other test of this folder presses, and what happens around a form: back, two tabs, a restart."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running import Server
from tests.web.browser.conftest import Look, Open

pytestmark = pytest.mark.browser

VECTOR = {"kind": "vector", "size": 2}
ROWS: dict[str, Any] = {
    "inputs": [[k % 2 * 9 + k % 7 / 9, k % 5 / 9] for k in range(60)],
    "labels": ["ab"[k % 2] for k in range(60)],
}


def test_keys_are_made_and_revoked(
    open_page: Open, axe: Look, tmp_path: Path, migrated: Path, request: pytest.FixtureRequest
) -> None:
    request.node.expected_complaints = ["401 (Unauthorized)"]
    with Server(tmp_path, migrated=migrated, worker=False) as server:
        page = open_page(f"{server.url}/keys")
        page.fill("#name", "<b>me</b>")
        page.click("button.primary")
        secret = page.inner_text("[role=status] code")
        assert axe(page) == ""
        page.click("text=Sign in")
        page.fill("#key", secret)
        page.keyboard.press("Enter")
        page.wait_for_selector("h1:has-text('Models')")
        page.goto(f"{server.url}/keys")
        assert secret not in page.content()
        page.fill("#name", "the till")
        page.check("#scope-learn")
        page.click("button.primary")
        assert page.inner_text("[role=status] code") != secret
        page.click("[aria-label='Revoke the key of the till']")
        page.click("button.primary")
        page.wait_for_url("**/keys")
        assert "revoked" in page.inner_text("tr:has-text('the till')")


def test_what_waits_is_learned_and_an_update_is_stopped_and_tried_again(site: Server, open_page: Open) -> None:
    with httpx.Client(base_url=site.url, timeout=60) as http:
        http.post("/v1/models", json={"name": "pressed", "input": VECTOR}).raise_for_status()
        http.post("/v1/models/pressed/batches", json={**ROWS, "new_classes": "allow"}).raise_for_status()
        page = open_page(f"{site.url}/models/pressed/batches")
        page.click("button.primary")
        page.wait_for_selector("[href$='/versions/1']", timeout=60_000)
        many = {"inputs": [[k % 97, k % 89] for k in range(5000)], "labels": ["ab"[k % 2] for k in range(5000)]}
        slow = {**many, "method": {"name": "retrain", "backbone": {"name": "mlp"}, "epochs": 1000}}
        before, update = (
            http.post("/v1/models/pressed/updates", json={**order, "again": True}).raise_for_status().json()["id"]
            for order in (slow, ROWS)
        )
        for shown in (page, open_page(site.url, java_script_enabled=False)):
            shown.goto(f"{site.url}/updates/{before}")
            shown.wait_for_selector("text=How the loss falls", timeout=60_000)  # a minute of 1,000 epochs at least
            assert re.search(r"Training\.\s+\d+ of 1,000\. About", shown.inner_text(".verdict"))
            assert shown.locator("progress[value]").count() == 1
        page.goto(f"{site.url}/updates/{update}/cancel")
        page.fill("#reason", "the wrong file")
        page.click("button.primary")
        page.wait_for_selector("text=It was cancelled.", timeout=60_000)
        page.click("button.primary")  # try it again
        page.wait_for_selector("text=Cancel this update…")
        for each in (update, before):
            http.post(f"/v1/updates/{each}/cancel").raise_for_status()
        page.wait_for_selector("text=It was cancelled.", timeout=60_000)


def test_forms_that_ask_show_what_was_asked_for(site: Server, open_page: Open) -> None:
    page = open_page(f"{site.url}/audit")
    page.fill("#model", "mistakes")
    page.click("main button")
    page.wait_for_url("**/audit?model=mistakes")
    assert page.locator("tbody tr td:nth-child(4)").all_inner_texts().count("mistakes") > 3
    page.goto(f"{site.url}/models/mistakes/compare")
    page.select_option("#before", "1")
    page.select_option("#after", "2")
    page.click("main button")
    page.wait_for_url("**before=1&after=2")
    assert "Version" in page.inner_text("main")


def test_going_back_after_a_form_and_sending_it_again_does_nothing_twice(
    site: Server, open_page: Open, request: pytest.FixtureRequest
) -> None:
    request.node.expected_complaints = ["409 (Conflict"]
    with httpx.Client(base_url=site.url, timeout=60) as http:
        http.post("/v1/models", json={"name": "back", "input": VECTOR, "promotion": "manual"}).raise_for_status()
        for k in range(3):
            rows = {**ROWS, "inputs": [[x + k / 99, y] for x, y in ROWS["inputs"]], "new_classes": "allow"}
            http.post("/v1/models/back/updates?wait=60", json=rows).raise_for_status()
            http.post("/v1/models/back/deployments", json={"version": k + 1}).raise_for_status()
        page, other = (open_page(f"{site.url}/models/back/rollback") for _ in range(2))
        page.click("button.primary")
        page.wait_for_url("**/models/back")
        page.go_back()
        page.click("button.primary")  # the same form, or one of version 2 where the browser asked for it again
        page.wait_for_load_state()
        assert http.get("/v1/models/back").json()["live_version"] in (1, 2)
        live = http.get("/v1/models/back").json()["live_version"]
        other.click("button.primary")  # the other tab still shows version 3
        assert "Another version went live" in other.inner_text("[role=alert]")
        assert http.get("/v1/models/back").json()["live_version"] == live
