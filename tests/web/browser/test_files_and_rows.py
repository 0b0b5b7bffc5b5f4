"""A file becomes a model, and rows of a batch are corrected, in Chromium: with a script and without one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.running import Server
from tests.web.browser.conftest import PICTURES, Look, Open
from tests.web.browser.page_checks import enter

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

STAYS = "nights,<b>city</b>,price,label\n" + "".join(
    f"{k % 9},{('Osaka', 'Kyoto')[k % 2]},{k}.5,{('yes', 'no')[k % 2]}\n" for k in range(60)
)


DROPS = """lines => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([lines], "mended.csv"));
  const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
  document.querySelector(".drop label").dispatchEvent(drop);
}"""
"""Drops a file on the frame of the field, as a pointer does."""


def check(page: Page, axe: Look, name: str, width: int) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}-{width}.png", full_page=True)
    assert axe(page) == ""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelectorAll('main b b, main th b').length") == 0


@pytest.mark.parametrize(("width", "scheme", "language"), [(1280, "light", "en"), (320, "dark", "ja")])
def test_a_file_becomes_a_model_by_the_keyboard_alone(
    site: Server,
    http: httpx.Client,
    open_page: Open,
    axe: Look,
    width: int,
    scheme: str,
    language: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    request.node.expected_complaints = ["422 (Unprocessable"]
    file = tmp_path / "stays.csv"
    page = open_page(f"{site.url}/new?lang={language}", width, color_scheme=scheme)
    page.focus("#name")
    page.keyboard.type(f"stays-{width}")
    for content in (b"\x1f\x8b\x08\x00", STAYS.encode()):
        file.write_bytes(content)
        page.set_input_files("#file", file)
        page.focus(".primary")
        page.keyboard.press("Enter")
        page.wait_for_selector("#file-fault" if content != STAYS.encode() else "#target")
        check(page, axe, f"make-{'fault' if content != STAYS.encode() else 'confirm'}", width)
    assert page.evaluate("document.activeElement.tagName") == "H1"
    assert page.evaluate("document.getElementById('file').files.length") == 1  # it is chosen still
    page.focus("#kind-2")
    while page.input_value("#kind-2") != "category":
        before = page.input_value("#kind-2")
        page.keyboard.press("ArrowDown")
        assert page.input_value("#kind-2") != before, "the last choice"
    page.focus(".primary")
    page.keyboard.press("Enter")
    page.wait_for_url("**/updates/*")
    model = http.get(f"/v1/models/stays-{width}").raise_for_status().json()
    assert [column["kind"] for column in model["input"]["columns"]] == ["number", "category", "category"]
    page.wait_for_selector("[href$='/versions/1']", timeout=60_000)
    page.goto(f"{site.url}/models/stays-{width}/predict")
    page.evaluate(DROPS, STAYS)
    assert page.evaluate("document.getElementById('file').files.length") == 1
    page.focus(".primary")
    page.keyboard.press("Enter")
    page.wait_for_selector("a[download]")
    check(page, axe, "answers", width)
    with page.expect_download() as taken:
        page.click("a[download]")
    lines = Path(taken.value.path()).read_text("utf-8-sig").splitlines()
    assert (len(lines), lines[0]) == (61, "row,label,class,score")


@pytest.mark.parametrize(("width", "scheme", "language"), [(1280, "light", "en"), (320, "dark", "ja")])
def test_a_column_of_numbers_is_predicted_as_numbers_with_a_script_and_asked_about_without(
    site: Server,
    open_page: Open,
    axe: Look,
    width: int,
    scheme: str,
    language: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    request.node.expected_complaints = ["422 (Unprocessable"]
    file = tmp_path / "stays.csv"
    file.write_text(STAYS)
    page = open_page(f"{site.url}/new?lang={language}", width, color_scheme=scheme)
    page.fill("#name", f"prices-{width}")
    page.set_input_files("#file", file)
    page.click(".primary")
    page.select_option("select#target", "price")
    assert page.is_checked("#number")
    page.check("#class")
    with page.expect_navigation():
        page.click(".primary")
    assert page.evaluate("document.activeElement.className") == "verdict bad"
    assert page.is_checked("#number")
    check(page, axe, "make-asked", width)
    page.click(".verdict [href='#file']")
    page.set_input_files("#file", file)
    page.click(".primary")
    page.wait_for_url("**/updates/*")


def test_without_a_script_the_file_is_chosen_twice(
    site: Server, open_page: Open, tmp_path: Path, pressed: set[str]
) -> None:
    file = tmp_path / "stays.csv"
    file.write_text(STAYS)
    page = open_page(f"{site.url}/new", java_script_enabled=False)
    page.fill("#name", "stays-plain")
    for _ in range(2):
        page.set_input_files("#file", file)
        page.click(".primary")
    page.wait_for_url("**/updates/*")
    page.goto(f"{site.url}/models/stays-plain/send")
    page.set_input_files("#file", file)
    pressed.add(page.inner_text("[formaction]"))
    page.click("[formaction]")
    page.wait_for_selector("select#target, input#target[value=label]")


def test_from_a_file_to_a_rollback_by_the_pages_alone(site: Server, open_page: Open, tmp_path: Path) -> None:
    """Each page is reached by a link or a button of the one before, and nothing is asked of the API."""
    first, second, asked = tmp_path / "stays.csv", tmp_path / "more.csv", tmp_path / "asked.csv"
    first.write_text(STAYS)
    second.write_text(STAYS.replace(".5,", ".7,"))
    asked.write_text("nights,<b>city</b>,price\n3,Osaka,3.2\n4,Kyoto,7.9\n")
    page = open_page(site.url)
    page.click("text=New model")
    page.fill("#name", "whole-way")
    for version, file in enumerate((first, second), 1):
        page.set_input_files("#file", file)
        page.click(".primary")
        if file == first:
            page.wait_for_selector("#target")
            page.click(".primary")
        page.wait_for_url("**/updates/*")
        page.wait_for_selector(f"[href$='/versions/{version}']", timeout=60_000)
        page.click("a:text-is('whole-way')")
        assert f"Version {version} is live." in page.inner_text("main")
        page.click("text=Send a file…" if file == first else "text=Try it")
    page.set_input_files("#file", asked)
    page.click(".primary")
    page.wait_for_selector("a[download]")
    assert page.locator("main tbody tr").count() == 2
    page.click("a:text-is('whole-way')")
    page.click("text=Roll back…")
    page.fill("#reason", "the second file was of another house")
    page.click("text=Go back to version 1")
    page.wait_for_url("**/models/whole-way")
    assert "Version 1 is live." in page.inner_text("main")
    assert "the second file was of another house" in page.inner_text("main")


def test_a_row_is_looked_at_and_corrected(
    site: Server, http: httpx.Client, open_page: Open, axe: Look, pages: dict[str, str]
) -> None:
    images = [[[[16 * (k % 2 == (row + column) % 2) for column in range(8)] for row in range(8)]] for k in range(30)]
    sent = {"inputs": images, "labels": ["01"[k % 2] for k in range(29)] + ["0"], "source": "to correct"}
    batch = http.post("/v1/models/grown/batches", json=sent).raise_for_status().json()["id"]
    page = open_page(f"{site.url}/models/grown/batches/{batch}?from=20")
    assert page.evaluate("document.querySelectorAll('img.pixels').length") == 10
    assert page.evaluate("[...document.images].every(image => image.naturalWidth === 8)")
    check(page, axe, "rows", 1280)
    page.focus("[name=row-29]")
    page.keyboard.press("Space")
    page.focus("form[action$='/correct'] button")
    page.keyboard.press("Enter")
    page.wait_for_url("**/correct?row-29=on")
    page.focus("[name=label-29]")
    page.keyboard.press("1")
    page.keyboard.press("Tab")
    page.keyboard.type("I looked at it")
    check(page, axe, "correct-row", 1280)
    enter(page, "Make these corrections")
    page.wait_for_url("**/updates/*")
    made = http.get("/v1/models/grown/batches").raise_for_status().json()["items"][0]
    assert (made["corrects"], made["label_counts"]) == (batch, {"0": 15, "1": 15})
    page.goto(site.url + pages["batch-doubtful"])
    page.click("text=/Correct the [0-9]+ doubtful rows…/")
    page.wait_for_url("**/correct?suspects=on")
    assert page.locator("select").count() > 20
    page.click("text=Take all suggestions")
    page.wait_for_selector("text=nothing is sent yet")
    check(page, axe, "correct-taken", 1280)


def test_the_column_that_is_predicted_is_filled_in_once_a_file_is_chosen(
    site: Server, http: httpx.Client, open_page: Open, axe: Look, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    request.node.expected_complaints = ["422 (Unprocessable"]
    columns = [{"name": "nights", "kind": "number"}, {"name": "city", "kind": "category"}]
    model = {"name": "again", "input": {"kind": "table", "columns": columns}}
    http.post("/v1/models", json=model).raise_for_status()
    file = tmp_path / "again.csv"
    page = open_page(f"{site.url}/models/again/send")
    page.fill("#source", "the desk")
    file.write_text("nights,city\n")
    page.set_input_files("#file", file)
    page.wait_for_selector("#file-fault")
    check(page, axe, "send-fault", 1280)
    lines = "nights,city,<b>again\n" + "".join(f"{k % 7},Osaka,{'yn'[k % 2]}\n" for k in range(40))
    page.evaluate(DROPS, lines)
    page.wait_for_selector("select#target")
    assert page.input_value("#target") == "<b>again"
    assert (page.query_selector("#file-fault"), page.input_value("#source")) == (None, "the desk")
    check(page, axe, "send-looked", 1280)
    page.click(".primary")
    page.wait_for_url("**/updates/*")
