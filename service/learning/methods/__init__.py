"""METHODS, the one list of methods. A method is one file in the folder of its family, and one entry in this list."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from service.contract.strict import Strict
from service.errors import MethodRefused
from service.learning.method import Method
from service.learning.method_params import GradientParams, MethodParams
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
P = TypeVar("P", bound=Strict)
UNFREEZE = 'unfreeze is a number of last blocks from 0 to 64, "all", or a list of 1 to 64 names such as ["block 15"].'
_SUBJECT = re.compile("^(Input|String|List|Value|Dictionary) (?=should)")
"""What pydantic calls a value, left out since the name of the parameter stands before it."""


def resolve(request: Mapping[str, Any], pointer: str = "/method") -> tuple[Method, MethodParams]:
    """Returns the method of a request {"name": …, …params} and its validated parameters.

    Raises MethodRefused with the pointer to the field, and the allowed names.
    """
    name = str(request.get("name"))
    if name not in METHODS:
        known = ", ".join([AUTO, *METHODS])
        message = f'There is no method "{name[:100]}".{_nearest(name, METHODS)} There are {known}.'
        raise MethodRefused(message, [(f"{pointer}/name", message)])
    method = METHODS[name]
    return method, check_params(name, method.Params, {k: v for k, v in request.items() if k != "name"}, pointer)


def as_learned(request: Mapping[str, Any]) -> dict[str, Any]:
    """The stored method of a learned update, for replaying it as it was: a parameter that did not exist then gets the
    value that does what was done, which need not be its default."""
    method = METHODS.get(str(request.get("name")))
    missing = {"schedule": "constant"} if method is not None and issubclass(method.Params, GradientParams) else {}
    return {**missing, **request}


def check_params(name: str, params: type[P], values: Mapping[str, Any], pointer: str) -> P:
    """Returns the validated parameters. Raises MethodRefused with the pointer to the field, and what it takes."""
    try:
        return params.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        field, message = _first_error(name, params, error)
        raise MethodRefused(message, [(f"{pointer}/{field}" if field else pointer, message)]) from None


def _first_error(name: str, params: type[Strict], error: ValidationError) -> tuple[str, str]:
    """The first field that is wrong, and a sentence with all that it takes, or with the parameters that there are."""
    errors = error.errors(include_input=False, include_url=False)
    field = str(errors[0]["loc"][0]) if errors[0]["loc"] else ""
    allowed = list(params.model_fields)
    if errors[0]["type"] == "extra_forbidden":
        hint, known = _nearest(field, allowed), ", ".join(allowed) or "none"
        return field, f'{name} has no parameter "{field[:100]}".{hint} It takes {known}.'
    if field == "unfreeze":
        return field, f"{name}: {UNFREEZE}"
    if errors[0]["type"] == "value_error":
        return field, f"{name}: {f'{field}: ' if field else ''}{errors[0]['ctx']['error']}."
    messages = dict.fromkeys(_SUBJECT.sub("", e["msg"]) for e in errors if e["loc"][:1] == errors[0]["loc"][:1])
    return field, f"{name}: {field} {', or '.join(messages)}."


def _nearest(word: str, known: Iterable[str]) -> str:
    """The question whether a known word was meant; empty if none is near."""
    near = difflib.get_close_matches(word[:100], list(known), 1)
    return f' Did you mean "{near[0]}"?' if near else ""
