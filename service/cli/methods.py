"""`tsuika methods`: lists the methods by which a model can learn."""

from __future__ import annotations

import argparse

from rich import box
from rich.console import Console
from rich.table import Table

from service.cli.exits import DONE
from service.learning.methods import METHODS


def run(arguments: argparse.Namespace) -> int:
    """Prints a table of the methods."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in ("method", "family", "what it does", "good when"):
        table.add_column(column, no_wrap=column in ("method", "family"))
    for method in METHODS.values():
        table.add_row(method.name, str(method.family), method.summary, method.good_when)
    Console(highlight=False).print(table)
    return DONE
