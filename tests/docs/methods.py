"""The table of methods and a page for each, made from its file: docstring, parameters, what it is good for, its limits.

What was measured is read from the tables of docs/benchmarks/learning.md, so a figure stands in one place.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from dataclasses import dataclass

from service.contract.enums import Family
from service.contract.targets.number_target import NumberTarget
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
SIDE_BY_SIDE = ("mnist10k", "letter", "emoji32-styles")
"""Streams on which most methods were measured."""
NOTATION = {
    r"\bCE\b": "CE is the cross-entropy",
    r"\btheta\b": "theta are the weights, and theta* those of the version before",
    r"\bKL\b": "KL is the divergence of one answer from another",
}
"""Signs of the papers that docstrings take over, by pattern."""


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
    return "\n".join([*parts, _side_by_side()])


def _side_by_side() -> str:
    """The accuracy of every method on the same streams, by its defaults."""
    streams = {stream: {run.method: run for run in _runs() if run.stream == stream} for stream in SIDE_BY_SIDE}
    named = {"joint": "a network trained anew on all rows", "auto": "`auto`"}
    rows = [
        f"| {named.get(name, f'[`{name}`](methods/{name}.md)')} | {' | '.join(cells)} |"
        for name in (*named, *METHODS)
        if any(cells := [runs[name].accuracy if name in runs else "" for runs in streams.values()])
    ]
    return "\n".join(
        [
            "## Side by side\n",
            "Accuracy on all classes after the last step, by defaults; in brackets the lowest and the highest of "
            "several seeds; others are of one seed. On mnist10k and letter new classes come step by "
            "step, on emoji32-styles new drawing styles of known classes. An empty cell was not measured. Cost, "
            f"forgetting and peers: [{MEASURED.removesuffix('.md').rpartition('/')[2]}]({MEASURED}).\n",
            f"| method | {' | '.join(SIDE_BY_SIDE)} |",
            f"| --- |{' --- |' * len(SIDE_BY_SIDE)}",
            *rows,
            "",
        ]
    )


def method_page(method: Method) -> str:
    """The page of a method."""
    title, _ = FAMILIES[method.family]
    file = inspect.getsourcefile(method.update) or ""
    module = sys.modules[method.update.__module__]
    facts = {
        "Family": f"[{title}](../methods.md#{title.lower()})",
        "Learns": "classes and numbers" if method.learns(NumberTarget) else "classes",
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
        f"## How it works\n\n{_plain(module.__doc__ or '')}{_notation(module.__doc__ or '')}",
        f"## How to ask for it\n\n```json\n{json.dumps({'method': {'name': method.name}})}\n```\n",
        _parameters(method),
    ]
    if runs := [run for run in _runs(all_parameters=True) if run.method == method.name]:
        autos = {run.stream: run.accuracy.split()[0] for run in _runs() if run.method == "auto"}
        head = [
            "| stream | seeds | parameters | accuracy | `auto`'s | of joint | forgets | last update, core s | live |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        say = (
            "On streams whose classes or styles arrive step by step. Accuracy is the mean over the seeds, in brackets "
            "the lowest and the highest. *`auto`'s* is that of `auto` there, *of joint* the share of that of a network "
            "trained anew on all rows. *Forgets*: what is lost of the best accuracy on what was known before the "
            "last step. *Live*: the updates that the gate let pass, in all seeds. What the streams are, and all other "
            f"figures: [the whole tables](../{MEASURED})."
        )
        rows = [
            f"| {run.stream} | {run.seeds} | {f'`{run.parameters}`' if run.parameters else 'defaults'} | "
            f"{run.accuracy} | {autos[run.stream]} | {run.of_joint} | {run.forgets} | {run.last} | {run.live} |"
            for run in runs
        ]
        parts.append("\n".join([f"## Measured\n\n{say}\n", *head, *rows, ""]))
    return "\n".join(parts)


def _notation(docstring: str) -> str:
    """A sentence for the signs that the docstring takes for known."""
    said = [meaning for sign, meaning in NOTATION.items() if re.search(sign, docstring)]
    return f"\n{_plain('; '.join(said))}.\n" if said else ""


def _plain(text: str) -> str:
    """Text of a docstring as it reads, with nothing of it taken for Markdown but lists and fenced formulae."""
    parts = re.split(r"(^```.*?^```$)", text.strip(), flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [re.sub(r"([\\`*_\[\]#])", r"\\\1", part).replace("<", "&lt;") for part in parts[::2]]
    plain = "".join(parts)
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


@dataclass(frozen=True)
class Run:
    """A row of the tables of the benchmarks: what a method reached on a stream. accuracy: with its spread, if any"""

    method: str
    parameters: str
    stream: str
    seeds: str
    accuracy: str
    of_joint: str
    forgets: str
    last: str
    live: str


def _runs(all_parameters: bool = False) -> list[Run]:
    """The rows of the tables, one for each stream, method and its parameters: the first, beside all others."""
    page = (ROOT / "docs" / MEASURED).read_text()
    runs: dict[tuple[str, str, str], Run] = {}
    for block in re.findall(r"```text\n(.*?)```", page, re.S):
        stream, seeds, columns = "", "", [""]
        for line in block.splitlines():
            cells = re.split(r"\s{2,}", line.strip())
            if heading := re.match(r"([\w-]+), (\d+) seeds?$", line):
                stream, seeds = heading.groups()
            elif cells[0] == "method":
                columns = cells
            elif stream and (asked := re.match(r"(\w+)(?::(\S+))?(?: \[(\d+)\])?$", cells[0])):
                cell = dict(zip(columns, cells, strict=False))
                key = stream, asked[1], asked[2] or ""
                if "accuracy" in cell and key not in runs:
                    figures = (cell[column] for column in ("of joint", "forgets", "last", "live"))
                    accuracy = f"{cell['accuracy']} ({cell['lowest-highest']})".removesuffix(" (–)")
                    runs[key] = Run(asked[1], asked[2] or "", stream, asked[3] or seeds, accuracy, *figures)
    return [run for run in runs.values() if all_parameters or not run.parameters]
