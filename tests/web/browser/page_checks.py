"""How all pages of a list are looked at: by axe, by the width, by the Tab key, and where their links lead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import httpx

from tests.web.browser.conftest import PICTURES, Look

if TYPE_CHECKING:
    from playwright.sync_api import Page

STOPS = """[...document.querySelectorAll(
  'a, button, input:not([type=hidden]), select, textarea, summary, [tabindex]:not([tabindex="-1"])'
)].filter(each => each.checkVisibility()).filter(
  each => each.type !== 'radio' || each === each.form.querySelector(`[name=${each.name}]`)
).length"""
"""How many stops the Tab key has: of answers that exclude one another the first, and nothing that is folded."""
PLACE = "[...document.querySelectorAll('*')].indexOf(document.activeElement)"


BARE = """[...document.querySelectorAll('main h1, main h2')].filter(heading => {
  const after = [...document.querySelectorAll('main :is(p, table, svg, dl, h1, h2)')];
  const next = after.find(each => heading.compareDocumentPosition(each) & Node.DOCUMENT_POSITION_FOLLOWING);
  return next && !['P', 'H1', 'H2'].includes(next.tagName);
}).map(heading => heading.innerText)"""
"""Headings that numbers follow, without a sentence before them."""
OVER = """[...document.querySelectorAll('td')].filter(cell => getComputedStyle(cell).overflow === 'visible')
  .filter(cell => cell.scrollWidth > cell.clientWidth + 1).map(cell => cell.innerText)"""
"""Cells whose words stand over those of the next one."""
LOOKED_AT = dict.fromkeys(
    ("limits", "audit", "docs", "gate", "updates", "lineage", "lineage-numbers", "disputes", "classes"), "it is read"
)
WITHOUT = {
    **LOOKED_AT,
    "cancel-ended": "nothing can be stopped any more",
    "update-waiting": "it is watched; to stop it is the exception",
    "update-running": "it is watched; to stop it is the exception",
    "compare-hostile": "there is one version: nothing else can be chosen",
}
"""Pages without a main button, by the name of their picture, and why; all others have one."""


def check_looks(page: Page, axe: Look, url: str, pages: Mapping[str, str], scheme: str, language: str) -> None:
    """Asserts that axe finds nothing on any page, that none is wider than the window, that none shows HTML of names,
    that no cell of a table covers the next one, that a sentence stands before numbers, and that each has its one main
    button; and takes their pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    width, found = page.viewport_size["width"], {}
    for name, path in pages.items():
        page.goto(url + path)
        assert page.get_attribute("html", "lang") == language
        page.screenshot(path=PICTURES / f"{name}-{width}-{scheme}-{language}.png", full_page=True)
        found[name] = axe(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate("document.querySelectorAll('main img:not(.pixels), main b b').length") == 0, name
        assert page.evaluate(BARE) == [], name
        assert page.evaluate(OVER) == [], name
        assert page.locator(".primary").count() == (name not in WITHOUT), name
    assert {name: faults for name, faults in found.items() if faults} == {}


def check_tab_order(page: Page, addresses: Iterable[str]) -> None:
    """Asserts that the Tab key reaches every link, button and field of the pages in their order."""
    for address in addresses:
        page.goto(address)
        wanted, places = page.evaluate(STOPS), list[int]()
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
    with httpx.Client(timeout=60) as client:
        answers = {link: client.get(link).status_code for link in links}
    assert {link: status for link, status in answers.items() if status != 200} == {}


def tab_to(page: Page, text: str) -> None:
    """Presses Tab until what has the focus says so; "": until it is a field."""
    for _ in range(60):
        page.keyboard.press("Tab")
        name, said = page.evaluate("[document.activeElement.tagName, document.activeElement.innerText]")
        if (text and text in said) or (not text and name == "INPUT"):
            return
    raise AssertionError(f"no {text or 'field'} has the focus")


def enter(page: Page, text: str) -> None:
    """Tabs to what says so, and presses Enter."""
    tab_to(page, text)
    page.keyboard.press("Enter")
