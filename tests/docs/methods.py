"""The table of methods and a page for each, made from its file: docstring, parameters, what it is good for, its limits.

What was measured is read from the tables of docs/benchmarks/learning.md, so a figure stands in one place.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator

from service.contract.enums import Family
from service.learning.method import Method
from service.learning.methods import METHODS
from tests.docs.schema import cell, default, takes
from tests.running import ROOT

FAMILIES = {
    Family.FREEZE: (
        "Freeze",
        "What is learned stays as it is; a new head is computed or trained on features that stand still.",
    ),
    Family.CONSTRAIN: ("Constrain", "All weights may move, and something holds those that matter to what is known."),
    Family.EXPAND: ("Expand", "The network grows: new units, branches or layers learn, beside the old ones."),
    Family.REHEARSE: ("Rehearse", "Rows that are kept are learned again beside the new ones."),
    Family.BASELINE: ("Baselines", "What the others are measured against."),
}
NEEDS = {
    "base": "a live version",
    "kept": "rows of the past that are kept",
    "ledger": "exact sums of everything learned",
    "dense": "hidden dense layers",
    "frozen": "features that do not move",
    "path": "weights that were trained here",
}
MOVES = {
    "head": "the head",
    "backbone": "a backbone that is trained here",
    "pretrained": "a pretrained backbone, with `unfreeze`",
    "added": "what it adds beside the backbone",
}
MEASURED = "benchmarks/learning.md"
"""The page with the tables, under docs/."""


def methods_tables() -> str:
    """A heading and a table for each family."""
    parts = []
    for family, (title, idea) in FAMILIES.items():
        rows = [
            f"| [`{m.name}`](methods/{m.name}.md) | {m.summary} | {m.good_when} |"
            for m in METHODS.values()
            if m.family == family
        ]
        head = ["| method | what it does | good when |", "| --- | --- | --- |"]
        parts.append("\n".join([f"## {title}\n", f"{idea}\n", *head, *rows, ""]))
    return "\n".join(parts)


def method_page(method: Method) -> str:
    """The page of a method."""
    title, _ = FAMILIES[method.family]
    file = inspect.getsourcefile(method.update) or ""
    module = sys.modules[method.update.__module__]
    facts = {
        "Family": f"[{title}](../methods.md#{title.lower()})",
        "Learns": "classes and numbers" if method.learns_numbers else "classes",
        "Needs": ", ".join(NEEDS[need] for need in sorted(method.needs)) or "nothing but the batch",
        "May move": ", ".join(MOVES[part] for part in method.moves),
        "Paper": _plain(method.paper),
        "File": f"`{file.removeprefix(f'{ROOT}/')}`",
    }
    parts = [
        f"# {method.name}\n\n{method.summary}\n",
        "\n".join(
            [f"| Method | `{method.name}` |", "| --- | --- |", *(f"| {k} | {fact} |" for k, fact in facts.items()), ""]
        ),
        f"## When it is good\n\n{_plain(method.good_when)}\n",
        f"## Limits\n\n{_plain(method.limits)}\n",
        f"## How it works\n\n{_plain(module.__doc__ or '')}",
        f"## How to ask for it\n\n```json\n{json.dumps({'method': {'name': method.name}})}\n```\n",
        _parameters(method),
    ]
    if measured := list(_measured(method.name)):
        head = [
            "| stream | seeds | parameters | accuracy | of joint | forgets | last update, core s | live |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        say = (
            "On streams whose classes or styles arrive step by step. *Of joint* is the accuracy as a share of that of "
            "a network trained anew on all rows; *live* counts the updates that the gate let pass, in all seeds. What "
            f"the streams are, and all other figures: [the whole tables](../{MEASURED})."
        )
        parts.append("\n".join([f"## Measured\n\n{say}\n", *head, *measured, ""]))
    return "\n".join(parts)


def _plain(text: str) -> str:
    """Text of a docstring as it reads, with nothing of it taken for Markdown."""
    plain = re.sub(r"([\\`*_\[\]#])", r"\\\1", text.strip()).replace("<", "&lt;")
    return f"{plain}\n" if "\n" in text else plain


def _parameters(method: Method) -> str:
    schema = method.Params.model_json_schema()
    known = schema.get("$defs", {})
    rows = [
        f"| `{name}` | {takes(part, known)} | {default(part)} | {cell(part.get('description', ''))} |"
        for name, part in schema.get("properties", {}).items()
    ]
    if not rows:
        return "## Parameters\n\nIt takes none.\n"
    return "\n".join(
        ["## Parameters\n", "| name | takes | default | meaning |", "| --- | --- | --- | --- |", *rows, ""]
    )


def _measured(name: str) -> Iterator[str]:
    """Rows of the tables of the benchmarks that are this method's, with the stream and its parameters."""
    page = (ROOT / "docs" / MEASURED).read_text()
    for block in re.findall(r"```text\n(.*?)```", page, re.S):
        stream, seeds, columns = "", "", [""]
        for line in block.splitlines():
            cells = re.split(r"\s{2,}", line.strip())
            if heading := re.match(r"([\w-]+), (\d+) seeds?$", line):
                stream, seeds = heading.groups()
            elif cells[0] == "method":
                columns = cells
            elif stream and (asked := re.match(rf"{name}(?::(\S+))?(?: \[(\d+)\])?$", cells[0])):
                cell = dict(zip(columns, cells, strict=False))
                if "accuracy" in cell:
                    wanted = (cell["accuracy"], cell["of joint"], cell["forgets"], cell["last"], cell["live"])
                    yield f"| {stream} | {asked[2] or seeds} | {_set(asked[1])} | {' | '.join(wanted)} |"


def _set(parameters: str | None) -> str:
    return f"`{parameters}`" if parameters else "defaults"
