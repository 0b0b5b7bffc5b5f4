"""The page of all verbs of the terminal with their options, made from the verbs themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from service.cli.app import EPILOG, VERBS, verb_named

HEAD = f"""# All verbs of the terminal

What `tsuika VERB --help` says, in one place. How they are used: [the terminal](terminal.md). {EPILOG}
"""


TYPE = re.compile(r" <(str|int|path)>$")
"""The type of an argument, which its name says already."""
BAR = "\\|"


def verbs_page() -> str:
    return "\n".join([HEAD, *(line for title, verbs in VERBS.items() for line in _group(title, [*verbs]))])


def _group(title: str, names: list[str]) -> Iterator[str]:
    yield f"## {title}\n"
    for name in names:
        verb = verb_named(name)
        for word, command in getattr(verb, "commands", {"": verb}).items():
            yield from _command(" ".join(filter(None, ("tsuika", name, word))), command)


def _command(called: str, command: Any) -> Iterator[str]:
    """Its heading, what it does, and a line for each argument and option but `--help`."""
    context = command.context_class(command, info_name=called)
    usage = " ".join(piece.strip("{}") for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]")
    yield f"### `{f'{called} {usage}'.strip()}`\n"
    yield f"{_text(command.help)}\n"
    records = [record for p in command.params if (record := p.get_help_record(context)) is not None]
    if records:
        yield "| | |\n| --- | --- |"
        yield from (f"| `{TYPE.sub('', name).replace('|', BAR)}` | {_cell(about)} |" for name, about in records)
        yield ""


def _text(text: str | None) -> str:
    """In one line for each paragraph."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", (text or "").replace("\b", "")).strip()


def _cell(text: str) -> str:
    return _text(text).removesuffix("[required]").strip().replace("|", BAR).replace("<", "&lt;").replace("\n", " ")
