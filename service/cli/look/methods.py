"""`tsuika methods`: lists the methods by which a model can learn."""

from __future__ import annotations

from service.cli.exits import DONE
from service.cli.options import Json
from service.cli.output import print_json


def run(as_json: Json = False) -> int:
    """Lists the methods: what each does and when it is good."""
    from service.contract.targets.number_target import NumberTarget
    from service.learning.methods import METHODS

    if as_json:
        items = [
            {
                "name": method.name,
                "family": str(method.family),
                "numbers": method.learns(NumberTarget),
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
    for column in ("method", "family", "numbers", "what it does", "good when"):
        table.add_column(column, no_wrap=column in ("method", "family", "numbers"))
    for method in METHODS.values():
        numbers = "yes" if method.learns(NumberTarget) else "no"
        table.add_row(method.name, str(method.family), numbers, method.summary, method.good_when)
    console = Console(highlight=False)
    console.print(table)
    console.print(
        "auto, the default, chooses one of these for each update. All learn classes; numbers: those that say yes."
    )
    return DONE
