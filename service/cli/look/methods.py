"""`tsuika methods`: lists the methods by which a model can learn."""

from __future__ import annotations

from service.cli.exits import DONE
from service.cli.options import Json
from service.cli.output import print_json


def run(as_json: Json = False) -> int:
    """Lists the methods: what each does and when it is good."""
    from service.contract.targets import KINDS
    from service.learning.methods import METHODS

    others = [kind for kind in KINDS.values() if not all(method.learns(kind) for method in METHODS.values())]
    everywhere = [kind.predicts for kind in KINDS.values() if kind not in others]
    if as_json:
        items = [
            {
                "name": method.name,
                "family": str(method.family),
                **{kind.predicts: method.learns(kind) for kind in others},
                "summary": method.summary,
                "good_when": method.good_when,
            }
            for method in METHODS.values()
        ]
        print_json("methods", {"items": items})
        return DONE
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    words = [kind.predicts for kind in others]  # what every method learns needs no column
    for column in ("method", "family", *words):
        table.add_column(column, no_wrap=True)
    for column in ("what it does", "good when"):
        table.add_column(column)
    for method in METHODS.values():
        learned = ("yes" if method.learns(kind) else "no" for kind in others)
        table.add_row(method.name, str(method.family), *learned, method.summary, method.good_when)
    console = Console(highlight=False)
    console.print(table)
    console.print(
        f"auto, the default, chooses one of these for each update. All learn {' and '.join(everywhere)}; "
        f"{', '.join(words)}: those that say yes."
    )
    return DONE
