"""`digits`, `digits@3`, `digits@live`, `digits@previous`: names of models and of their versions on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from typer import Argument

from service.cli.connection import models_that_begin
from service.cli.exits import WrongUsage

ModelName = Annotated[str, Argument(metavar="MODEL", help="Name of the model.", autocompletion=models_that_begin)]
VersionName = Annotated[
    str,
    Argument(
        metavar="MODEL[@VERSION]",
        help="Name of the model; @3, @live, @previous or an alias behind it.",
        autocompletion=models_that_begin,
    ),
]


@dataclass(frozen=True)
class VersionOf:
    """A model, and which of its versions: number or alias as text, None where nobody said."""

    model: str
    version: str | None

    def __str__(self) -> str:
        return self.model if self.version is None else f"{self.model}@{self.version}"


def version_of(name: str) -> VersionOf:
    """Reads such a name, also as registries of models write it, `digits:3`. Raises WrongUsage."""
    model, mark, version = name.replace(":", "@", 1).partition("@")
    if mark and version == "latest":
        raise WrongUsage(
            f"{name} is not a name here: the latest version may be a rejected one, and need not be live. Say "
            f"{model}@live, {model}@previous, or a number such as {model}@3."
        )
    if not model or (mark and not version):
        raise WrongUsage(f'"{name}" names no version. Write MODEL@NUMBER, MODEL@live or MODEL@previous.')
    return VersionOf(model, version or None)


def number_of(name: str) -> tuple[str, int]:
    """A model, and a version by its number. Raises WrongUsage."""
    named = version_of(name)
    if named.version is None or not named.version.isdecimal():
        raise WrongUsage(f"Name a version by its number, such as {named.model}@3.")
    return named.model, int(named.version)


def check_name(name: str) -> None:
    """Raises WrongUsage for a name that no model can have."""
    from pydantic import TypeAdapter, ValidationError

    from service.contract.requests import MODEL_NAME, ModelName

    try:
        TypeAdapter(ModelName).validate_python(name)
    except ValidationError:
        raise WrongUsage(f"{name[:100]}: {MODEL_NAME}") from None
