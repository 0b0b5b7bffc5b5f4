"""Each page in Chromium: who cannot see well, who has no mouse, a phone, light and dark, both languages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from tests.running import Server
from tests.web.browser.conftest import Look, Open
from tests.web.browser.page_checks import check_links, check_looks, check_tab_order, enter, tab_to

pytestmark = pytest.mark.browser

PAGES = {
    "models": "/",
    "model": "/models/mistakes",
    "numbers": "/models/prices",
    "waiting": "/models/grown",
    "empty": "/models/empty",
    "hostile": "/models/hostile",
    "version": "/models/mistakes/versions/2",
    "rejected": "/models/mistakes/versions/3",
    "number-version": "/models/prices/versions/12",
    "several": "/models/tides",
    "several-version": "/models/tides/versions/3",
    "compare-several": "/models/tides/compare?before=2&after=3",
    "hostile-version": "/models/hostile/versions/1",
    "rollback": "/models/mistakes/rollback",
    "updates": "/models/mistakes/updates",
    "compare": "/models/mistakes/compare?before=1&after=2",
    "compare-hostile": "/models/hostile/compare?before=1&after=1",
    "compare-numbers": "/models/prices/compare?before=11&after=12",
    "classes": "/models/hostile/classes",
    "delete-class": "/models/mistakes/classes/delete?class=3",
    "lineage": "/models/mistakes/lineage",
    "lineage-numbers": "/models/prices/lineage",
    "predict": "/models/mistakes/predict",
    "predict-numbers": "/models/prices/predict",
    "keys": "/keys",
    "limits": "/limits",
    "audit": "/audit",
    "docs": "/docs",
    "gate": "/docs/gate",
    "missing": "/models/nobody",
}
"""By the name of the picture: every page is looked at by every test here."""
MISSING = "404 (Not Found)"


@pytest.fixture(autouse=True)
def _expected(request: pytest.FixtureRequest) -> None:
    """A page that is not there is one of those that are looked at: the console says its status."""
    request.node.expected_complaints = [MISSING]


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (320, "dark")])
def test_axe_finds_nothing_and_nothing_sticks_out(
    site: Server, open_page: Open, axe: Look, width: int, scheme: str, language: str
) -> None:
    page = open_page(f"{site.url}/?lang={language}", width, color_scheme=scheme)
    check_looks(page, axe, site.url, PAGES, scheme, language)


def test_the_tab_key_reaches_every_link_button_and_field_in_their_order(site: Server, open_page: Open) -> None:
    check_tab_order(open_page(site.url), [site.url + path for path in PAGES.values()])


def test_the_first_tab_skips_to_the_content(site: Server, open_page: Open) -> None:
    page = open_page(site.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getBoundingClientRect().x") >= 0
    page.keyboard.press("Enter")
    page.wait_for_url("**/#main")


def test_a_model_is_rolled_back_by_the_keyboard_alone_and_has_a_way_forward(
    site: Server, http: httpx.Client, open_page: Open, axe: Look
) -> None:
    page = open_page(f"{site.url}/models/grown")
    http.post("/v1/models/grown/deployments", json={"version": 2}).raise_for_status()
    page.reload()
    enter(page, "Roll back…")
    page.wait_for_url("**/rollback")
    tab_to(page, "")  # the field
    page.keyboard.type('a <b>reason</b> "of" mine')
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/models/grown")
    assert "Version 1 is live." in page.inner_text("main")
    assert 'a <b>reason</b> "of" mine' in page.inner_text("main")
    assert axe(page) == ""
    assert page.locator(".primary").count() == 1
    page.click("text=Make version 2 live again…")
    page.wait_for_url("**/versions/2/promote")
    page.go_back()
    enter(page, "Let new ones go live by themselves")
    page.wait_for_selector("form[action='/models/grown/auto']", state="detached")
    assert http.get("/v1/models/grown").json()["promotion"] == "auto"


@pytest.mark.parametrize("scripts", [True, False])
def test_a_class_is_deleted_by_the_keyboard_alone(
    site: Server, http: httpx.Client, open_page: Open, scripts: bool
) -> None:
    name = 'a/"<b>slip</b>"'
    http.post("/v1/models/empty/classes", json={"names": [name]}).raise_for_status()
    page = open_page(f"{site.url}/models/empty", java_script_enabled=scripts)
    page.click("a[href='/models/empty/classes']")
    page.focus(f"tr:has-text('{name}') a")
    page.keyboard.press("Enter")
    page.wait_for_url("**/delete?**")
    assert name in page.inner_text("h1")
    page.focus("#reason")
    page.keyboard.type("a slip")
    page.keyboard.press("Enter")
    page.wait_for_url("**/empty/classes")
    assert name not in page.inner_text("main")
    assert name not in http.get("/v1/models/empty").json()["classes"]


def test_a_model_is_asked_by_the_keyboard_alone(
    site: Server, open_page: Open, axe: Look, request: pytest.FixtureRequest
) -> None:
    request.node.expected_complaints = ["422 (Unprocessable"]
    page = open_page(f"{site.url}/models/prices", java_script_enabled=False)
    page.click("text=Try it")
    page.focus("#rows")
    page.keyboard.type("1 2 3 4 5 6")
    for _ in range(3):  # past the version and the file
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=status]")
    assert "lies between" in page.inner_text("[role=status]")
    looked = open_page(f"{site.url}/models/hostile/predict")
    looked.fill("#rows", str([[[0] * 8] * 8]))
    looked.click("button.primary")
    assert "What it could be" in looked.inner_text("main")
    assert looked.evaluate("document.querySelectorAll('script:not([src]), main img').length") == 0
    assert axe(looked) == ""
    looked.fill("#rows", "[[1]]")
    looked.click("button.primary")
    assert looked.query_selector("#rows-fault")
    assert axe(looked) == ""


def test_a_digit_is_drawn_and_recognised(site: Server, open_page: Open, axe: Look) -> None:
    page = open_page(f"{site.url}/models/mistakes/predict")
    box = page.locator("canvas").bounding_box()
    assert box is not None

    def draw(*places: tuple[float, float]) -> None:
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
        page.mouse.move(*points[0])
        page.mouse.down()
        for x, y in points[1:]:
            page.mouse.move(x, y, steps=4)
        page.mouse.up()

    draw((0.2, 0.5), (0.8, 0.5))
    page.click("text=Clear")
    assert page.input_value("#rows") == ""
    draw(
        (0.5, 0.05),
        (0.32, 0.2),
        (0.27, 0.5),
        (0.32, 0.8),
        (0.5, 0.95),
        (0.68, 0.8),
        (0.73, 0.5),
        (0.68, 0.2),
        (0.5, 0.05),
    )
    [image] = json.loads(page.input_value("#rows"))
    assert (len(image), {len(row) for row in image}) == (8, {8})
    assert (image[0][0], image[4][4]) == (0, 0)
    assert 8 < max(map(max, image)) <= 16
    page.click("button.primary")
    assert "It is “0”" in page.inner_text("[role=status]")
    assert json.loads(page.input_value("#rows")) == [image]
    assert axe(page) == ""


def test_an_update_is_followed_to_its_end(site: Server, http: httpx.Client, open_page: Open) -> None:
    """With a script and without one: the page of an update that waits becomes that of its verdict by itself."""
    page = open_page(f"{site.url}/models/grown")
    other = open_page(f"{site.url}/models/grown", java_script_enabled=False)
    sent = {"inputs": [[[[0] * 8] * 8]] * 300, "labels": ["0"] * 300, "method": {"name": "fine_tune"}}
    update = http.post("/v1/models/grown/updates", json=sent).raise_for_status().json()["id"]
    for shown in (page, other):
        shown.goto(f"{site.url}/updates/{update}")
        shown.wait_for_selector("text=/Look at version|It failed/", timeout=60_000)
    assert page.query_selector("[hx-get]") is None


def test_every_link_of_every_page_leads_somewhere(site: Server, open_page: Open) -> None:
    check_links(open_page(site.url), [site.url + path for name, path in PAGES.items() if name != "missing"])


def test_hostile_names_are_text(site: Server, open_page: Open) -> None:
    page = open_page(f"{site.url}/models/hostile/versions/1")
    page.click("summary")
    assert "<script>alert(1)</script>" in page.inner_text("main")
    assert page.evaluate("document.querySelectorAll('script, img').length") == 0


def test_a_long_name_of_a_class_is_whole_in_a_matrix_that_scrolls_by_itself(site: Server, open_page: Open) -> None:
    page = open_page(f"{site.url}/models/mistakes/versions/3", 375)
    for head in page.query_selector_all(".matrix th"):
        head.evaluate("head => head.textContent = 'Gelegenheitskäufer'")
        assert head.evaluate("head => head.scrollWidth <= head.clientWidth")
    assert page.eval_on_selector(".scroll:has(.matrix)", "box => box.scrollWidth > box.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_a_page_needs_no_script_and_loads_little(site: Server, http: httpx.Client, open_page: Open) -> None:
    page = open_page(f"{site.url}/models/mistakes", java_script_enabled=False)
    assert "Versions" in page.inner_text("main")
    html, style = (http.get(path).content for path in ("/models/mistakes", "/static/style.css"))
    assert len(html) + len(style) < 40_000


def test_a_person_signs_in_and_out(
    open_page: Open, axe: Look, tmp_path: Path, migrated: Path, request: pytest.FixtureRequest
) -> None:
    request.node.expected_complaints = ["401 (Unauthorized)"]
    with Server(tmp_path, migrated=migrated, worker=False, key="the-key-of-this-test") as server:
        page = open_page(f"{server.url}/")
        assert re.search(r"/sign-in\?next=%2F$", page.url)
        assert axe(page) == ""
        for key in ("wrong", "the-key-of-this-test"):
            page.fill("#key", key)
            with page.expect_navigation():
                page.click("button")
            if key == "wrong":
                assert "does not open the service" in page.inner_text(".fault")
                assert axe(page) == ""
        assert "There is no model here yet." in page.inner_text("main")
        cookies = {cookie["name"]: cookie for cookie in page.context.cookies()}
        assert cookies["tsuika_key"]["httpOnly"]
        assert cookies["tsuika_key"]["sameSite"] == "Strict"
        enter(page, "Sign out")
        page.wait_for_url("**/sign-in")
        page.goto(server.url)
        assert "/sign-in" in page.url
