"""Buttons that no other test presses, whether all were, and what happens around a form: back, two tabs, a restart."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.web.rendering import TEMPLATES
from service.web.words import LANGUAGES, catalogue
from tests.running import Server
from tests.web.browser.conftest import Look, Open
from tests.web.browser.page_checks import check_looks, check_tab_order, enter, tab_to

pytestmark = pytest.mark.browser

BUTTON, KEY = re.compile(r"<button.*?</button>", re.DOTALL), re.compile(r't\("([\w.]+)"')
VECTOR = {"kind": "vector", "size": 2}
ROWS: dict[str, Any] = {
    "inputs": [[k % 2 * 9 + k % 7 / 9, k % 5 / 9] for k in range(60)],
    "labels": ["ab"[k % 2] for k in range(60)],
}


RUNS = {
    "phase": "training",
    "done": 2,
    "total": 9,
    "losses": [{"epoch": n, "training": 1 / n, "kept_back": None} for n in (1, 2)],
}
"""How far an update is that stays there."""


def check_everywhere(open_page: Open, axe: Look, url: str, pages: dict[str, str], state: Any = None) -> None:
    """Looks at pages in both languages, light and dark, wide and narrow, and goes through them by the Tab key."""
    for width, scheme, language in ((1280, "light", "en"), (320, "dark", "ja")):
        page = open_page(f"{url}/?lang={language}", width, color_scheme=scheme, storage_state=state)
        check_looks(page, axe, url, pages, scheme, language)
    check_tab_order(page, [url + path for path in pages.values()])


def test_keys_are_made_and_revoked(
    open_page: Open, axe: Look, tmp_path: Path, migrated: Path, request: pytest.FixtureRequest
) -> None:
    request.node.expected_complaints = ["401 (Unauthorized)"]
    with Server(tmp_path, migrated=migrated, worker=False) as server:
        with server.client() as http:
            http.post("/v1/models", json={"name": "waits", "input": VECTOR}).raise_for_status()
            orders = ({**ROWS, "new_classes": "allow", "again": True} for _ in range(2))
            runs, waits = (http.post("/v1/models/waits/updates", json=order).json()["id"] for order in orders)
        with sqlite3.connect(server.data / "tsuika.db") as database:
            database.execute(
                "UPDATE updates SET state = 'running', progress = ? WHERE id = ?", (json.dumps(RUNS), runs)
            )
        database.close()
        there = {"update-waiting": f"/updates/{waits}", "update-running": f"/updates/{runs}"}
        there["cancel"] = f"/updates/{waits}/cancel"
        page = open_page(f"{server.url}/keys")
        check_everywhere(open_page, axe, server.url, there)
        page.fill("#name", "<b>me</b>" + " of the shop" * 7)
        page.keyboard.press("Enter")
        page.wait_for_selector("[role=status] code")
        secret = page.inner_text("[role=status] code")
        assert axe(page) == ""
        page.click("a:text-is('Sign in')")
        page.fill("#key", secret)
        page.keyboard.press("Enter")
        page.wait_for_selector("h1:has-text('Models')")
        page.goto(f"{server.url}/keys")
        assert secret not in page.content()
        assert page.evaluate("document.querySelector('[href$=revoke]').getBoundingClientRect().right") <= 1280
        page.fill("#name", "the till")
        page.focus("#scope-learn")
        page.keyboard.press("Space")
        enter(page, "Make the key")
        page.wait_for_selector("[role=status]:has-text('the till') code")
        assert page.inner_text("[role=status] code") != secret
        page.focus("[aria-label='Revoke the key of the till']")
        page.keyboard.press("Enter")
        page.wait_for_url("**/revoke")
        there = {"revoke": page.url.removeprefix(server.url)}
        check_everywhere(open_page, axe, server.url, there, page.context.storage_state())
        enter(page, "Revoke the key of the till")
        page.wait_for_url("**/keys")
        assert "revoked" in page.inner_text("tr:has-text('the till')")


def test_what_waits_is_learned_and_an_update_is_stopped_and_tried_again(site: Server, open_page: Open) -> None:
    with httpx.Client(base_url=site.url, timeout=60) as http:
        http.post("/v1/models", json={"name": "pressed", "input": VECTOR}).raise_for_status()
        http.post("/v1/models/pressed/batches", json={**ROWS, "new_classes": "allow"}).raise_for_status()
        page = open_page(f"{site.url}/models/pressed/batches")
        enter(page, "Learn the batch that waits")
        page.wait_for_selector("[href$='/versions/1']", timeout=60_000)
        swapped = {**ROWS, "inputs": [[x + 0.1, y] for x, y in ROWS["inputs"]], "labels": ROWS["labels"][::-1]}
        good = {**ROWS, "inputs": [[x + 0.2, y] for x, y in ROWS["inputs"]]}
        for rows in (swapped, good):
            http.post("/v1/models/pressed/batches", json=rows).raise_for_status()
        page.goto(f"{site.url}/models/pressed/batches")
        enter(page, "Learn the 2 batches that wait")
        page.wait_for_selector("text=stands out", timeout=60_000)
        stopped = page.url
        enter(page, "Learn the others")
        page.wait_for_selector("[href$='/versions/3']", timeout=60_000)
        assert http.get("/v1/models/pressed").json()["live_version"] == 3
        page.goto(stopped)
        assert page.locator("text=Learn the others without it").count() == 1
        assert page.locator("button:text-is('Learn the others')").count() == 0, "they are learned"
        late = {**ROWS, "inputs": [[x + 0.3, y] for x, y in ROWS["inputs"]]}
        later = {**ROWS, "inputs": [[x + 0.4, y] for x, y in ROWS["inputs"]]}
        http.patch("/v1/models/pressed", json={"promotion": "manual"}).raise_for_status()
        for rows in (late, later):
            batch = http.post("/v1/models/pressed/batches", json=rows).raise_for_status().json()["id"]
        page.goto(f"{site.url}/models/pressed/batches/{batch}")
        enter(page, "Learn this batch")
        page.wait_for_selector("[href$='/versions/4']", timeout=60_000)
        page.goto(f"{site.url}/models/pressed/batches")
        enter(page, "Learn the other 2 alone")  # one of them is in a version that passed, and waits for a person
        page.wait_for_selector("[href$='/versions/5']", timeout=60_000)
        many = {"inputs": [[k % 97, k % 89] for k in range(5000)], "labels": ["ab"[k % 2] for k in range(5000)]}
        slow = {**many, "method": {"name": "retrain", "backbone": {"name": "mlp"}, "epochs": 1000}}
        before, update = (
            http.post("/v1/models/pressed/updates", json={**order, "again": True}).raise_for_status().json()["id"]
            for order in (slow, ROWS)
        )
        for shown in (page, open_page(site.url, java_script_enabled=False)):
            shown.goto(f"{site.url}/updates/{before}")
            shown.wait_for_selector("text=How the loss falls", timeout=60_000)  # a minute of 1,000 epochs at least
            assert re.search(r"Training\.\s+\d+ of 1,000 epochs\. About", shown.inner_text(".verdict"))
            assert shown.locator("progress[value]").count() == 1
        page.goto(f"{site.url}/updates/{update}/cancel")
        tab_to(page, "")
        page.keyboard.type("the wrong file")
        enter(page, "Stop the update")
        page.wait_for_selector("text=It was cancelled.", timeout=60_000)
        enter(page, "Try it again")
        page.wait_for_selector("text=Cancel this update…")
        for each in (update, before):
            http.post(f"/v1/updates/{each}/cancel").raise_for_status()
        page.wait_for_selector("text=It was cancelled.", timeout=60_000)


def test_forms_that_ask_show_what_was_asked_for(site: Server, open_page: Open) -> None:
    page = open_page(f"{site.url}/audit")
    page.focus("#model")
    page.keyboard.type("mistakes")
    enter(page, "Show")
    page.wait_for_url("**/audit?model=mistakes")
    assert page.locator("tbody tr td:nth-child(4)").all_inner_texts().count("mistakes") > 3
    page.goto(f"{site.url}/models/mistakes/compare")
    page.focus("#before")
    page.keyboard.press("1")
    page.keyboard.press("Tab")
    page.keyboard.press("2")
    enter(page, "Compare")
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


def test_a_version_that_waits_while_another_went_live_is_learned_again_or_made_live_as_it_is(
    site: Server, open_page: Open
) -> None:
    with httpx.Client(base_url=site.url, timeout=60) as http:
        http.post("/v1/models", json={"name": "later", "input": VECTOR, "promotion": "manual"}).raise_for_status()
        for k in range(3):
            rows = {**ROWS, "inputs": [[x + k / 99, y] for x, y in ROWS["inputs"]], "new_classes": "allow"}
            http.post("/v1/models/later/updates?wait=60", json=rows).raise_for_status()
            if k != 1:
                http.post("/v1/models/later/deployments", json={"version": k + 1}).raise_for_status()
    page = open_page(f"{site.url}/models/later/versions/2")
    page.click("button:has-text('Learn it again on version 3')")
    page.wait_for_url("**/updates/*")
    page.goto(f"{site.url}/models/later/versions/2/promote")
    page.click("button:text-is('Make version 2 live')")
    page.wait_for_url("**/models/later")
    assert "Version 2 is live." in page.inner_text("main")


def test_every_button_of_the_pages_was_pressed(pressed: set[str], request: pytest.FixtureRequest) -> None:
    run = {item.path for item in request.session.items}
    if request.config.option.keyword or not run.issuperset(Path(__file__).parent.glob("test_*.py")):
        pytest.skip("not all tests of the folder run, so not all buttons were pressed")
    buttons = [button for file in TEMPLATES.rglob("*.html") for button in BUTTON.findall(file.read_text())]
    keys = {key for button in buttons for key in KEY.findall(button)}
    assert len(keys) > 20
    assert [key for key in sorted(keys) if not any(said(key, text) for text in pressed)] == []


def said(key: str, text: str) -> bool:
    """Whether a button whose sentence has that key says so, in either language."""
    sentences = [catalogue(language)[key] for language in LANGUAGES]
    forms = [form for of in sentences for form in ([of] if isinstance(of, str) else of.values())]
    return any(re.fullmatch(re.sub(r"\\{[^}]*}", ".*", re.escape(form)), text) for form in forms)
