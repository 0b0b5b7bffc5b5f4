"""Which pages are made from what: whole pages, and parts of pages that people write.

A part stands between two comments, `<!-- made: NAME -->` and `<!-- /made -->`; the page around it is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from service.learning.methods import METHODS
from tests.docs.errors import errors_tables
from tests.docs.examples import examples_page
from tests.docs.home import home
from tests.docs.http import routes
from tests.docs.limits import limits_table
from tests.docs.methods import method_page, methods_tables
from tests.docs.scopes import scopes_table
from tests.docs.settings import settings_tables
from tests.docs.verbs import verbs_page
from tests.running import ROOT

COMMAND = "python -m tests.docs"
PARTS: dict[str, Callable[[], str]] = {
    "settings": settings_tables,
    "methods": methods_tables,
    "routes": routes,
    "errors": errors_tables,
    "limits": limits_table,
    "scopes": scopes_table,
}
"""Parts by name."""
PART = re.compile(r"(?<=<!-- made: )(\w+) -->\n.*?(?=<!-- /made -->)", re.S)
WHOLE: dict[str, Callable[[], str]] = {
    "docs/index.md": partial(home, "README.md"),
    "docs/ja/index.md": partial(home, "README.ja.md"),
    "docs/examples.md": examples_page,
    "docs/verbs.md": verbs_page,
    **{f"docs/methods/{name}.md": partial(method_page, method) for name, method in METHODS.items()},
}
"""Pages that nobody writes, from the root of the repository."""
PAGES = [
    *WHOLE,
    *(f"docs/{name}.md" for name in ("settings", "methods", "http", "errors", "limits", "keys")),
]
"""Every page that is made, or has a made part."""


def text_of(path: str) -> str:
    """What a page should say."""
    if path in WHOLE:
        return WHOLE[path]()
    return PART.sub(lambda part: f"{part[1]} -->\n\n{PARTS[part[1]]()}\n", (ROOT / path).read_text())
