"""How all pages of a list are looked at: by axe, by the width, by the Tab key, and where their links lead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import httpx

from tests.web.browser.conftest import PICTURES, Look

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOCUSED = "a, button, input:not([type=hidden]), select, textarea, [tabindex]"
PLACE = "[...document.querySelectorAll('*')].indexOf(document.activeElement)"


def check_looks(page: Page, axe: Look, url: str, pages: Mapping[str, str], scheme: str, language: str) -> None:
    """Asserts that axe finds nothing on any page, that none is wider than the window, that none shows HTML of names,
    and that each has at most one main button; and takes their pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    width, found = page.viewport_size["width"], {}
    for name, path in pages.items():
        page.goto(url + path)
        assert page.get_attribute("html", "lang") == language
        page.screenshot(path=PICTURES / f"{name}-{width}-{scheme}-{language}.png", full_page=True)
        found[name] = axe(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate("document.querySelectorAll('main img:not(.pixels), main b b').length") == 0, name
        assert page.evaluate("document.querySelectorAll('.primary').length") <= 1, name
    assert {name: faults for name, faults in found.items() if faults} == {}


def check_tab_order(page: Page, addresses: Iterable[str]) -> None:
    """Asserts that the Tab key reaches every link, button and field of the pages in their order."""
    for address in addresses:
        page.goto(address)
        wanted, places = page.evaluate(f"[...document.querySelectorAll({FOCUSED!r})].length"), list[int]()
        for _ in range(wanted):
            page.keyboard.press("Tab")
            places.append(page.evaluate(PLACE))
        assert places == sorted(set(places)), address
        assert len(places) == wanted


def check_links(page: Page, addresses: Iterable[str]) -> None:
    """Asserts that every link of the pages leads somewhere."""
    links: set[str] = set()
    for address in addresses:
        page.goto(address)
        links |= set(page.evaluate("[...document.querySelectorAll('a')].map(a => a.href)"))
    with httpx.Client() as client:
        answers = {link: client.get(link).status_code for link in links}
    assert {link: status for link, status in answers.items() if status != 200} == {}
