"""Takes the picture of a model's page that README shows: python -m tests.docs.screenshot. It needs Chromium."""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from rich.console import Console

from service.cli.demonstration.prices import prices
from service.cli.demonstration.teller import Teller
from service.client import Client
from tests.acceptance.service import until
from tests.running import ROOT, Server
from tests.web.browser.conftest import CHROMIUM

PICTURE = ROOT / "docs" / "pictures" / "page.png"
WIDTH, HEIGHT, COLOURS = 1000, 840, 256


def main() -> None:
    """Teaches a service the prices of the demonstration, and looks at them."""
    folder, silent = Path(tempfile.mkdtemp()), Console(file=io.StringIO())
    with Server(folder) as server, Client(server.url) as client, sync_playwright() as playwright:
        prices(client, Teller(silent, silent))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        until(lambda: not [*client.model("prices").updates("running")], 120.0)  # what challenges the live version
        page.goto(f"{server.url}/models/prices")
        taken = Image.open(io.BytesIO(page.screenshot()))
        taken.quantize(COLOURS).save(PICTURE, optimize=True)
        browser.close()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
