"""One Chromium and one service with acts of the demonstration, for all tests of this folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.running import ROOT, Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
PICTURES = ROOT / "build" / "page"
"""Where pictures of the pages are kept, which git ignores."""

SEVERAL: dict[str, Any] = {"kind": "number", "size": 2, "names": ["height", "<b>salt</b>"]}

LONG = {"2": f'=HYPERLINK("http://x","y"){"z" * 174}', "3": "中" * 200, "4": "🍎 תות"}
"""Names of classes: a formula and signs without a gap, as long as names may be, and some that read from the right."""

LAST = "test_every_button_of_the_pages_was_pressed"
PRESSED = "pressed: "
TELLS = f"""document.addEventListener("click", event => {{
  const button = event.target.closest("button");
  if (button) console.debug("{PRESSED}" + button.textContent.trim());
}}, true)"""
"""Says in the console which button was pressed; of a form that Enter sends it is the first."""

Open = Callable[..., Any]
Look = Callable[["Page"], str]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A real browser."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "no Chromium is here: apt-get install chromium, or name one in CHROMIUM"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> Look:
    """Looks for what keeps people out of a page. -> one line for each kind of fault, none where there is none"""
    from axe_playwright_python.sync_playwright import Axe

    return lambda page: str(Axe().run(page).generate_snapshot())


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Server]:
    """A service with models that were promoted, stopped, rolled back and taken back, one of numbers, one without
    versions, and one with names that are HTML."""
    # what a run without a browser need not load
    import io

    from rich.console import Console

    from service.cli.demonstration.acts import mistakes
    from service.cli.demonstration.data import INPUT, NEW, OLD, digits
    from service.cli.demonstration.prices import prices
    from service.cli.demonstration.teller import Teller
    from service.client import Client

    silent = Teller(Console(file=io.StringIO()), Console(file=io.StringIO()))
    with Server(tmp_path_factory.mktemp("site"), migrated=migrated) as server, Client(server.url) as client:
        sent, aside = digits()
        mistakes(client, silent, sent, aside)
        prices(client, silent)
        first, then = sent.of(OLD), sent.of(NEW)
        model = client.create_model("grown", INPUT, promotion="manual")
        model.update(first.inputs, first.labels, new_classes="allow", method="ridge")
        model.promote(1, "checked")
        model.update(then.inputs, then.labels, new_classes="allow", method="ridge")
        tuned = client.create_model("tuned", INPUT)
        for rows in (first, then):
            tuned.update(rows.inputs, rows.labels, new_classes="allow", method={"name": "fine_tune", "epochs": 2})
        client.create_model("empty", {"kind": "vector", "size": 3})
        tides = client.create_model("tides", {"kind": "vector", "size": 2}, target=SEVERAL)
        for k in range(3):
            tide = [[(13 * j + k) % 17, (7 * j + k) % 11] for j in range(120)]
            tides.update(tide, [[a + b, 1e-3 * (a - b)] for a, b in tide], source="<b>ship</b>")
        hostile = client.create_model("hostile", INPUT)
        names = {"0": "<script>alert(1)</script>", "1": '"><img src=x onerror=alert(1)>', **LONG}
        few = sent.of([*names])
        labels = [names[label] for label in few.labels]
        hostile.update(few.inputs, labels, new_classes="allow", method="ridge", source="s" * 200)
        yield server


@pytest.fixture(scope="session")
def http(site: Server) -> Iterator[httpx.Client]:
    """Asks the API of the service, and waits as long as a busy machine takes."""
    with site.client(timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def pages(http: httpx.Client) -> dict[str, str]:
    """Addresses of pages that act, by the name of their picture."""

    def first(path: str, place: int = 0) -> Any:
        return http.get(path).raise_for_status().json()["items"][place]["id"]

    def made(path: str, body: dict[str, Any]) -> Any:
        return http.post(path, json=body).raise_for_status().json()

    columns = [{"name": "nights", "kind": "number"}, {"name": "<b>city</b>", "kind": "category"}]
    made("/v1/models", {"name": "guests", "input": {"kind": "table", "columns": columns}, "classes": ["yes", "no"]})
    columns = [{"name": "x" * 180, "kind": "number"}]
    made("/v1/models", {"name": "wide", "input": {"kind": "table", "columns": columns}})
    rows = [[k % 2 * 9 + k % 7 / 9, k % 5 / 9 + k / 999] for k in range(200)]
    wrong = [[x + 0.01, y] for x, y in rows]
    for name in ("contested", "disputed"):
        made("/v1/models", {"name": name, "input": {"kind": "vector", "size": 2}})
        updates = f"/v1/models/{name}/updates?wait=60"
        made(updates, {"inputs": rows, "labels": ["ab"[k % 2] for k in range(200)], "new_classes": "allow"})
        made(updates, {"inputs": wrong, "labels": ["bb"[k % 2] for k in range(200)], "source": "<b>lab</b>"})
    made(updates, {"inputs": [[x + 0.02, y] for x, y in rows], "labels": ["a"] * 200, "source": "till"})
    waiting = {"inputs": [[1, 2, 3]], "labels": ["<b>a</b>"], "new_classes": "allow", "source": '"><img src=x>'}
    batch = made("/v1/models/empty/batches", waiting)["id"]
    of = f"/models/mistakes/batches/{first('/v1/models/mistakes/batches')}"
    return {
        "promote": "/models/grown/versions/2/promote",
        "promote-taken-back": "/models/mistakes/versions/3/promote",
        "cancel-ended": f"/updates/{first('/v1/models/mistakes/updates')}/cancel",
        "batches": "/models/mistakes/batches",
        "batches-numbers": "/models/prices/batches",
        "batches-hostile": "/models/empty/batches",
        "batch": of,
        "batch-long": f"/models/hostile/batches/{first('/v1/models/hostile/batches')}",
        "batch-hostile": f"/models/empty/batches/{batch}",
        "correct": f"{of}/correct?row-0=on&row-1=on",
        "correct-doubtful": f"/models/disputed/batches/{first('/v1/models/disputed/batches')}/correct?suspects=on",
        "promote-against": "/models/contested/versions/2/promote",
        "retract": f"{of}/retract",
        "predict-columns": "/models/wide/predict",
        "new": "/new",
        "send": "/models/guests/send",
        "send-json": "/models/grown/send",
        "disputes": "/models/disputed/disputes",
        "dispute": f"/models/disputed/disputes/{first('/v1/models/disputed/disputes')}",
        "dispute-settled": f"/models/disputed/disputes/{first('/v1/models/disputed/disputes', 1)}",
        "dispute-contested": f"/models/contested/disputes/{first('/v1/models/contested/disputes')}",
        "batch-doubtful": f"/models/disputed/batches/{first('/v1/models/disputed/batches')}",
        "update": f"/updates/{first('/v1/models/mistakes/updates')}",
    }


@pytest.fixture(scope="session")
def pressed() -> set[str]:
    """What buttons said that were pressed, by pointer or keyboard; a test without a script adds its own."""
    return set()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What all tests pressed is counted last."""
    items.sort(key=lambda item: item.name == LAST)


@pytest.fixture
def open_page(chromium: Browser, request: pytest.FixtureRequest, pressed: set[str]) -> Iterator[Open]:
    """Opens a page in a fresh profile; options are those of a context. What the console complains of, and whatever is
    asked of another host, fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_at(url: str, width: int = 1280, **options: Any) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        context.add_init_script(TELLS)
        page = context.new_page()
        page.on("console", lambda m: pressed.add(m.text.removeprefix(PRESSED)) if m.text.startswith(PRESSED) else None)
        host = url.split("/")[2]
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda r: complaints.append(r.url) if r.url.split("/")[2] != host else None)
        page.goto(url)
        return page

    yield open_at
    for context in contexts:
        context.close()
    expected: list[str] = getattr(request.node, "expected_complaints", [])
    assert [text for text in complaints if not any(part in text for part in expected)] == []
