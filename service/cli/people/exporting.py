"""`tsuika export MODEL[@VERSION]`: a version as a safetensors file, or as a folder with a program and a model card."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from service.cli.connection import connected
from service.cli.exits import DONE, WrongUsage
from service.cli.names import VersionName, version_of
from service.cli.options import Json
from service.cli.output import print_result
from service.contract.enums import LEFT_OUT

if TYPE_CHECKING:
    from service.client import RemoteModel

WEIGHTS = ".safetensors"


def run(
    name: VersionName,
    output: Annotated[
        Path | None,
        Option(
            "--output", "-o", metavar="PATH", help="A .safetensors file, or a new folder; MODEL-N.safetensors else."
        ),
    ] = None,
    onnx: Annotated[bool, Option("--onnx", help="Into the folder also an ONNX file (needs the extra onnx).")] = False,
    whole: Annotated[
        bool, Option("--whole", help="Into the file also weights of a pretrained backbone that other services have.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Writes a version as a safetensors file, which `tsuika import` takes; into a folder, with a program and a card.

    The program runs with torch alone, and has answered a few rows as the service does (docs/exporting.md).
    """
    named = version_of(name)
    with connected() as client:
        remote = client.model(named.model)
        number = remote.version(named.version or "live").number
        path = output or Path(f"{named.model}-{number}{'' if onnx else WEIGHTS}")
        if onnx and path.suffix == WEIGHTS:
            raise WrongUsage("An ONNX file is written into a folder. Name a folder: --output FOLDER.")
        line = _weights(remote, number, path, whole) if path.suffix == WEIGHTS else _folder(remote, number, path, onnx)
    members = {"model": named.model, "version": number, "path": str(path)}
    print_result("export", members, [f"{path}: version {number} of {named.model}, {line}."], as_json)
    return DONE


def _weights(remote: RemoteModel, number: int, path: Path, whole: bool) -> str:
    """Writes the file, whole or not at all. Raises WrongUsage where there is one."""
    from service.client.exported import written

    if path.exists():
        raise WrongUsage(f"{path} is there already. Name another file: --output FILE.")
    data = remote.weights(number, whole=whole)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")  # another export may write the same file now
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    entry = written(data)
    lacks = f", without the weights of {entry['layout']['backbone']['name']}, which any service with it has"
    return f"{len(data) / 1e6:,.1f} MB{f'{lacks} (with them: --whole)' if LEFT_OUT in entry else ''}"


def _folder(remote: RemoteModel, number: int, path: Path, onnx: bool) -> str:
    """Writes weights, programs and card. Raises WrongUsage for a folder that has files, and where there is no ONNX."""
    from service.export import NoOnnx, export_version  # it loads torch

    try:
        done = export_version(remote, number, path, onnx)
    except (FileExistsError, NoOnnx) as fault:
        raise WrongUsage(str(fault)) from None
    written = "weights, program, ONNX file and model card" if onnx else "weights, program and model card"
    return f"{written}; the program answered {done.rows} rows as the service does"
