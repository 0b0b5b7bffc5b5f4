"""Pages that act, in Chromium: for who cannot see well, who has no mouse, on a phone, in both languages."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from service.web import starting
from tests.running import Server
from tests.web.browser.conftest import Look, Open
from tests.web.browser.page_checks import check_links, check_looks, check_tab_order, enter

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("width", "scheme", "language"), [(1280, "light", "en"), (320, "dark", "ja")])
def test_axe_finds_nothing_and_nothing_sticks_out(
    site: Server, open_page: Open, axe: Look, pages: dict[str, str], width: int, scheme: str, language: str
) -> None:
    page = open_page(f"{site.url}/?lang={language}", width, color_scheme=scheme)
    check_looks(page, axe, site.url, pages, scheme, language)


def test_every_link_leads_somewhere_and_the_tab_key_reaches_it(
    site: Server, open_page: Open, pages: dict[str, str]
) -> None:
    page = open_page(site.url)
    check_links(page, [site.url + path for path in pages.values()])
    check_tab_order(page, [site.url + path for path in pages.values()])


def test_a_version_is_promoted_by_the_keyboard_alone(site: Server, http: httpx.Client, open_page: Open) -> None:
    page = open_page(f"{site.url}/models/grown/versions/2/promote")
    page.focus("#reason")
    page.keyboard.type("I <b>know</b> better")
    page.keyboard.press("Enter")
    page.wait_for_url("**/models/grown")
    assert "Version 2 is live." in page.inner_text("main")
    assert "I <b>know</b> better" in page.inner_text("main")
    http.post("/v1/models/grown/rollback").raise_for_status()


def test_a_dispute_is_settled_by_the_keyboard_alone(site: Server, open_page: Open, pages: dict[str, str]) -> None:
    page = open_page(site.url + pages["dispute"])
    page.focus("#confirmed")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.type("a slip")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Settled: the model is right.")
    page.goto(site.url + pages["dispute-contested"])
    page.check("#confirmed")
    page.fill("#reason", "they are new")
    page.click("text=Settle it")
    page.wait_for_selector("text=Settled: the labels are right.")


def test_a_batch_is_taken_back_and_watched(site: Server, http: httpx.Client, open_page: Open) -> None:
    sent = {"inputs": [[[[0] * 8] * 8]] * 20, "labels": ["0"] * 20, "source": "to go"}
    batch = http.post("/v1/models/grown/batches", json=sent).raise_for_status().json()["id"]
    page = open_page(f"{site.url}/models/grown/batches/{batch}/retract")
    enter(page, "Take it back")
    page.wait_for_selector("text=It is taken back, and no new version was needed.", timeout=60_000)
    page.goto(f"{site.url}/models/grown/batches/{batch}")
    page.click("text=Erase it…")
    page.click("button.primary")
    page.wait_for_url("**/updates/*")
    page.wait_for_selector("text=It is taken back, and no new version was needed.", timeout=60_000)
    page.goto(f"{site.url}/models/grown/batches/{batch}")
    page.wait_for_selector("text=Erased.")


def test_a_file_is_refused_with_its_line_and_then_learned(
    site: Server,
    http: httpx.Client,
    open_page: Open,
    axe: Look,
    pages: dict[str, str],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    request.node.expected_complaints = ["422 (Unprocessable"]
    page = open_page(site.url + pages["send"])
    rows = [f"{k},Osaka,{('yes', 'no')[k % 2]}" for k in range(40)]
    file = tmp_path / "guests.csv"
    for slip, sentence in (("yse", "Line 42"), ("yes", "")):
        file.write_text("\n".join(["nights,<b>city</b>,label", *rows, f"3,Osaka,{slip}"]) + "\n")
        page.set_input_files("#file", file)
        page.focus(".primary")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        if sentence:
            assert sentence in page.inner_text("#file-fault")
            assert axe(page) == ""
    assert "/updates/" in page.url
    page.wait_for_selector("text=/Look at version|It failed/", timeout=60_000)
    assert http.get("/v1/models/guests/batches").json()["items"][0]["rows"] == 41


def test_what_stands_for_a_page_can_be_read_by_everybody(
    site: Server, open_page: Open, axe: Look, request: pytest.FixtureRequest
) -> None:
    request.node.expected_complaints = ["409 (Conflict", "413 (Request Entity"]
    scope = {"path": "/", "query_string": b"", "headers": [(b"accept-language", b"ja")]}
    _, _, page_of_start = starting.answer(scope, "the database")
    page = open_page(f"{site.url}/models/grown/versions/2/promote?lang=ja", 320, color_scheme="dark")
    page.evaluate("document.querySelector('[name=if_live]').value = 7")
    page.click("button.primary")
    assert "別のバージョンが公開されました" in page.inner_text("[role=alert]")
    assert axe(page) == ""
    page.fill("#reason", "x" * 1_100_000)
    page.click("button.primary")
    page.wait_for_selector("text=大きすぎるため")
    assert axe(page) == ""
    page.set_content(page_of_start.decode().replace('content="2"', 'content="99999"'))  # axe wants time to read it
    assert "データベースを待っています。" in page.inner_text("main")
    assert axe(page) == ""
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
