"""`tsuika import MODEL FILE`: takes in a safetensors file as a version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from service.cli.connection import connected
from service.cli.exits import DONE, WrongUsage
from service.cli.names import ModelName
from service.cli.options import Json, Reason, reason_of
from service.cli.output import print_result


def run(
    model: ModelName,
    path: Annotated[Path, Argument(metavar="FILE", help="A safetensors file, as `tsuika export` writes it.")],
    promote: Annotated[bool, Option("--promote", help="Make it live at once.")] = False,
    reason: Reason = None,
    as_json: Json = False,
) -> int:
    """Takes in a safetensors file as a version of a model; it is not live until you promote it.

    Where there is no such model, an exported file makes it.
    """
    if not path.is_file():
        raise WrongUsage(f"There is no file {path}.")
    with connected() as client:
        why = reason_of(reason) if promote else reason
        version = client.model(model).import_version(path.read_bytes(), promote=promote, reason=why)
    name = f"{model}@{version.number}"
    lines = [f"● Live: version {version.number}." if promote else f"Version {version.number} is there, and not live."]
    lines.append(f"  Undo: tsuika rollback {model}" if promote else f"  Make it live: tsuika promote {name}")
    print_result("import", version.model_dump(mode="json"), lines, as_json)
    return DONE
