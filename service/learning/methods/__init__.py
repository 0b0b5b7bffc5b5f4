"""METHODS: the one list of methods. A method is one file here and one entry in this list."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from service.contract.inputs import Strict
from service.errors import MethodRefused
from service.learning.method import GradientParams, Method
from service.learning.methods.baseline import fine_tune, retrain
from service.learning.methods.constrain import ewc, interpolate, l2_sp, lwf, mas, si
from service.learning.methods.expand import branch, den, lora
from service.learning.methods.freeze import lda, linear_probe, ridge
from service.learning.methods.rehearse import der_pp, icarl, replay

METHODS: dict[str, Method] = {
    m.name: m
    for m in (
        ridge.METHOD,
        lda.METHOD,
        linear_probe.METHOD,
        l2_sp.METHOD,
        ewc.METHOD,
        si.METHOD,
        mas.METHOD,
        lwf.METHOD,
        interpolate.METHOD,
        den.METHOD,
        lora.METHOD,
        branch.METHOD,
        replay.METHOD,
        der_pp.METHOD,
        icarl.METHOD,
        fine_tune.METHOD,
        retrain.METHOD,
    )
}
AUTO = "auto"
UNFREEZE = 'unfreeze is a number of last blocks from 0 to 64, "all", or a list of 1 to 64 names such as ["block 15"].'
_SUBJECT = re.compile("^(Input|String|List|Value|Dictionary) (?=should)")
"""What pydantic calls the value, whose name stands there already."""


def resolve(request: Mapping[str, Any], pointer: str = "/method") -> tuple[Method, Strict]:
    """The method of a request {"name": …, …params} and its validated parameters.

    Raises MethodRefused with the pointer to the field, and the allowed names.
    """
    name = str(request.get("name"))
    check_name(name, pointer)
    method = METHODS[name]
    return method, check_params(name, method.Params, {k: v for k, v in request.items() if k != "name"}, pointer)


def as_learned(request: Mapping[str, Any]) -> dict[str, Any]:
    """The stored method of an update that was learned: a parameter that did not exist then has the value that does what
    was done, so that a lineage is replayed as it was."""
    method = METHODS.get(str(request.get("name")))
    then = {"schedule": "constant"} if method is not None and issubclass(method.Params, GradientParams) else {}
    return {**then, **request}


def check_params(name: str, params: type[Strict], given: Mapping[str, Any], pointer: str) -> Strict:
    """The validated parameters. Raises MethodRefused with the pointer to the field and what there is."""
    try:
        return params.model_validate_json(json.dumps(given), strict=True)
    except ValidationError as error:
        field, message = _told(name, params, error)
        raise MethodRefused(message, [(f"{pointer}/{field}" if field else pointer, message)]) from None


def _told(name: str, params: type[Strict], error: ValidationError) -> tuple[str, str]:
    """The first field that is wrong, and what it takes: every form of it, or the parameters that there are."""
    errors = error.errors(include_input=False, include_url=False)
    field = str(errors[0]["loc"][0]) if errors[0]["loc"] else ""
    allowed = list(params.model_fields)
    if errors[0]["type"] == "extra_forbidden":
        near = difflib.get_close_matches(field[:100], allowed, 1)
        hint = f' Did you mean "{near[0]}"?' if near else ""
        return field, f'{name} has no parameter "{field[:100]}".{hint} It takes {", ".join(allowed) or "none"}.'
    if field == "unfreeze":
        return field, f"{name}: {UNFREEZE}"
    if errors[0]["type"] == "value_error":
        return field, f"{name}: {f'{field}: ' if field else ''}{errors[0]['ctx']['error']}."
    said = dict.fromkeys(_SUBJECT.sub("", e["msg"]) for e in errors if e["loc"][:1] == errors[0]["loc"][:1])
    return field, f"{name}: {field} {', or '.join(said)}."


def check_name(name: str, pointer: str) -> None:
    """Raises MethodRefused where there is no method of that name."""
    if name not in METHODS:
        known = ", ".join([AUTO, *METHODS])
        near = difflib.get_close_matches(name[:100], METHODS, 1)
        hint = f' Did you mean "{near[0]}"?' if near else ""
        message = f'There is no method "{name[:100]}".{hint} There are {known}.'
        raise MethodRefused(message, [(f"{pointer}/name", message)])
