"""`tsuika export MODEL[@VERSION]`: a version as a safetensors file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from service.cli.connection import connected
from service.cli.exits import DONE, WrongUsage
from service.cli.names import VersionName, version_of
from service.cli.options import Json
from service.cli.output import print_result


def run(
    name: VersionName,
    output: Annotated[
        Path | None,
        Option("--output", "-o", metavar="FILE", help="Where it goes; MODEL-VERSION.safetensors if left out."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Writes a version as a safetensors file, which `tsuika import` and other services take."""
    named = version_of(name)
    with connected() as client:
        remote = client.model(named.model)
        version = remote.version(named.version or "live")
        path = output or Path(f"{named.model}-{version.number}.safetensors")
        if path.exists():
            raise WrongUsage(f"{path} is there already. Name another file: --output FILE.")
        data = remote.weights(version.number)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(data)
    part.replace(path)
    line = f"{path}: version {version.number} of {named.model}, {len(data) / 1e6:,.1f} MB."
    members = {"model": named.model, "version": version.number, "file": str(path), "bytes": len(data)}
    print_result("export", members, [line], as_json)
    return DONE
