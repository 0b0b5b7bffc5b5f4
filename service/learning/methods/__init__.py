"""METHODS: the one list of methods. A method is one file here and one entry in this list."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from service.contract.inputs import Strict
from service.errors import MethodRefused
from service.learning.method import Method
from service.learning.methods import den, fine_tune, l2_sp, lda, linear_probe, replay, retrain, ridge

METHODS: dict[str, Method] = {
    m.name: m
    for m in (
        ridge.METHOD,
        lda.METHOD,
        linear_probe.METHOD,
        l2_sp.METHOD,
        den.METHOD,
        replay.METHOD,
        fine_tune.METHOD,
        retrain.METHOD,
    )
}
AUTO = "auto"


def resolve(request: Mapping[str, Any], pointer: str = "/method") -> tuple[Method, Strict]:
    """The method of a request {"name": …, …params} and its validated parameters.

    Raises MethodRefused with the pointer to the field, and the allowed names.
    """
    name = str(request.get("name"))
    check_name(name, pointer)
    method = METHODS[name]
    given = {k: v for k, v in request.items() if k != "name"}
    try:
        return method, method.Params.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = "/".join(str(part) for part in first["loc"])
        allowed = ", ".join(method.Params.model_fields) or "none"
        message = f"{name} takes {allowed}; {field}: {first['msg']}."
        raise MethodRefused(message, [(f"{pointer}/{field}", message)]) from None


def check_name(name: str, pointer: str) -> None:
    """Raises MethodRefused where there is no method of that name."""
    if name not in METHODS:
        known = ", ".join([AUTO, *METHODS])
        near = difflib.get_close_matches(name, METHODS, 1)
        hint = f' Did you mean "{near[0]}"?' if near else ""
        message = f'There is no method "{name[:100]}".{hint} There are {known}.'
        raise MethodRefused(message, [(f"{pointer}/name", message)])
