"""Writes every made page and every made part of a page anew: python -m tests.docs"""

from __future__ import annotations

from tests.docs.pages import COMMAND, PAGES, text_of
from tests.running import ROOT


def main() -> None:
    """Renews the pages that have changed, and names them."""
    for path in PAGES:
        text, file = text_of(path), ROOT / path
        if not file.exists() or file.read_text() != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            print(path)


if __name__ == "__main__":
    main()
    print(f"Pages are as `{COMMAND}` makes them.")
