"""Which page is typed by which test, what it takes as given, and what is typed nowhere, with the reason for it."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from tests.running import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(file.relative_to(DOCS).with_suffix("").as_posix() for file in DOCS.rglob("*.md"))
EVERY = [*PAGES, "../README", "../README.ja", "../CONTRIBUTING"]
SITUATIONS = (
    "new-classes",
    "drift",
    "regions",
    "few-rows",
    "images-and-texts",
    "bad-batch",
    "deletion",
    "not-enrolled",
)
REFERENCE = (
    "audit",
    "backbones",
    "devices",
    "errors",
    "gate",
    "inputs",
    "keys",
    "merging",
    "methods",
    "numbers",
    "serving",
    "tables",
)
SEVERAL_MACHINES = ("postgres", "replicas", "upkeep")
WHOLE = {*SITUATIONS, *REFERENCE, *SEVERAL_MACHINES, "operations", "ray", "../README"}
"""Pages of which every block is typed, or compared with what was printed: `Newcomer.follows`."""
BY_OTHERS = {
    "terminal": ("cli/test_terminal_page.py", {"console", "python", "text"}),
    "client": ("client/test_page.py", {"python"}),
    "exporting": ("client/test_export.py", {"python"}),
    "certificate": ("learning/ledger/test_ledger.py", {"python"}),
    "examples": ("examples/test_programs.py", {"console", "python"}),
    "index": ("docs/test_pages.py", {"sh", "console", "python", "json"}),
    "ja/index": ("docs/test_pages.py", {"sh", "console", "python", "json"}),
    "../README.ja": ("docs/test_japanese.py", {"sh", "console", "python", "json"}),
}
"""Pages that a test of their own takes: it, and the languages of which it takes every block."""
NOT_TYPED = {
    "&& .venv/bin/tsuika demo": "It installs what .ci/run installs; test_package.py runs the demonstration.",
    "&& .venv/bin/pip install --no-deps": "It installs what .ci/run installs, which runs these tests then.",
    ".venv/bin/pytest tests/learning/gate ": "It runs these tests; its words are read.",
    ".venv/bin/pytest --ray": "It runs these tests; its words are read.",
    ".ci/run  ": "It runs these tests.",
    "python -m tests.soak": "Minutes each; .ci/run runs the same for a shorter time (soak/test_short.py).",
    "pytest -n 0 --timeout 0 tests/api/test_any_order.py": "It runs these tests with more examples.",
    "--timeout 0 tests/acceptance/test_contention.py": "It runs this test with more requests.",
    "python -m benchmarks.scale": "An hour; benchmarks/test_documented.py runs it at its smallest.",
    "pip install pip-audit": "It asks the network for a package that nothing here needs.",
    "pip freeze --exclude-editable": "What it lists is for the next line.",
    "pip-audit --strict": "It asks the network what is known of each package.",
}
"""Words of lines that no test types as they stand, and why. Commands in the text are not typed either, but their words
are read (test_commands.py), and those of benchmarks run at their smallest (benchmarks/test_documented.py)."""
TYPED = {"sh", "console", "python", "json"}
SHOWN = {"text", "yaml", "nginx", "caddy"}
"""What was printed, and configuration of other programs."""
GIVEN = re.findall(
    r"^## (\S+): ([^\n]+)\n\n```\w+\n(.*?)^```", Path(__file__).with_name("given.md").read_text(), re.M | re.S
)
PLACES = {"cuda": "cpu", "2027-12-31": f"{date.today().year + 1}-12-31"}
"""What stands here for what pages name: a device that this machine has, a day to come."""


def page(name: str) -> str:
    """The text of a page of docs, and of the pages in the folder of its name."""
    folder = DOCS / name
    return "\n".join(file.read_text() for file in (DOCS / f"{name}.md", *sorted(folder.glob("*.md"))))


def given(name: str) -> dict[str, str]:
    """Of each block that takes something as given, words of it: what is typed before it."""
    return {words: typed for of, words, typed in GIVEN if of == name}
