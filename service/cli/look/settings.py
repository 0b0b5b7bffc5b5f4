"""`tsuika settings`: each setting, its value, and where that comes from."""

from __future__ import annotations

import os
from typing import Annotated, Any

from rich.text import Text
from typer import Option

from service.cli.exits import DONE
from service.cli.options import Json
from service.cli.output import print_json, print_table, stderr, stdout

CLIENT = {"TSUIKA_URL": "http://127.0.0.1:8000"}
"""Variables of verbs that talk to a service, and their defaults."""
SECRET = ("key",)


def run(
    changed: Annotated[bool, Option("--changed", help="Only those that are not the default.")] = False,
    as_json: Json = False,
) -> int:
    """Lists each setting, its value, and where that comes from: the environment or the default."""
    from service.contract.body_limits import BodyLimits
    from service.settings import PREFIX, Settings, strange

    known = Settings.from_environment()
    names = sorted(Settings.model_fields, key=lambda name: name in BodyLimits.model_fields)
    rows = [_row(PREFIX + name.upper(), _shown(name, getattr(known, name))) for name in names]
    rows += [_row(name, _without_password(os.environ.get(name) or default)) for name, default in CLIENT.items()]
    rows = [row for row in rows if not changed or row["from"] != "default"]
    if as_json:
        print_json("settings", {"items": rows})
    else:
        cells: list[list[str | Text]] = [
            [row["name"], row["value"], Text(row["from"], "dim" if row["from"] == "default" else "")] for row in rows
        ]
        print_table(stdout(), ("variable", "value", "from"), cells)
    for sentence in strange():
        stderr().print(Text(sentence, "yellow"))
    return DONE


def _row(name: str, value: str) -> dict[str, str]:
    given = os.environ.get(name) or (name == "TSUIKA_PORT" and os.environ.get("PORT"))
    return {"name": name, "value": value, "from": "environment" if given else "default"}


def _shown(name: str, value: Any) -> str:
    """The value as one would set it; of a secret only that there is one."""
    if value is None or value in ((), {}):
        return ""
    if name in SECRET:
        return "(set)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ",".join(f"{key}={path}" for key, path in value.items())
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else _without_password(str(value))


def _without_password(text: str) -> str:
    """An address without the password in it."""
    from urllib.parse import urlsplit

    parts = urlsplit(text) if "://" in text else None
    return text.replace(f":{parts.password}@", ":…@") if parts and parts.password else text
