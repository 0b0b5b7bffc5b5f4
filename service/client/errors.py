"""What the client raises: one class a kind of refusal, each with the service's own sentence.

ClientError
├── Unreachable             nobody answered at that address, after retries
├── StillRunning            the update was not final in the time that the caller gave
└── Refused                 the service said no: `.problem`, `.detail`, `.errors`, `.status`, `.request_id`
    ├── InvalidContent      a field is wrong: `.errors` lists where and what to do
    │   ├── UnknownLabels   labels that the vocabulary does not have, with near matches
    │   ├── UnknownValues   values that a category of a table does not have, likewise
    │   └── MethodRefused   a method or parameter that cannot work here
    ├── NotFound            nothing of that name
    │   └── Erased          it was here and was erased on request
    ├── Conflict            the state of things forbids it now
    │   ├── NotLive         the model has no live version yet
    │   └── LiveMoved       another version is live than the caller thought: `.live_version`
    ├── Unauthorized        no key, or a wrong one
    ├── Forbidden           the key lacks the scope that the call needs
    └── Busy                try again in a moment
"""

from __future__ import annotations

from typing import Any, NoReturn

import httpx
from pydantic import ValidationError

from service.contract.resources import FieldProblem, Problem
from service.errors import TsuikaError


class ClientError(TsuikaError):
    """A call did not do what it was asked to do."""


class Unreachable(ClientError):
    """Nobody answered at that address."""


class StillRunning(ClientError):
    """The update goes on, but the caller's time is over."""


class Refused(ClientError):
    """The service said no. The message is its `detail`: what is wrong and what to do."""

    def __init__(self, problem: Problem) -> None:
        where = "".join(f"\n  {e.pointer}: {e.detail}" for e in problem.errors if e.detail not in problem.detail)
        super().__init__(problem.detail + where)
        self.detail = problem.detail
        self.problem = problem

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def errors(self) -> list[FieldProblem]:
        return self.problem.errors

    @property
    def request_id(self) -> str:
        return self.problem.request_id


class InvalidContent(Refused):
    """A field is wrong."""


class UnknownLabels(InvalidContent):
    """Labels that the vocabulary does not have; `new_classes="allow"` adds them."""


class UnknownValues(InvalidContent):
    """Values that a category of a table does not have; `new_values="take"` takes them."""


class MethodRefused(InvalidContent):
    """A method or parameter that cannot work here."""


class NotFound(Refused):
    """Nothing of that name."""


class Erased(NotFound):
    """It was here and was erased on request."""


class Conflict(Refused):
    """The state of things forbids it now."""


class NotLive(Conflict):
    """The model has no live version yet."""


class LiveMoved(Conflict):
    """Another version is live than the caller thought."""

    @property
    def live_version(self) -> int | None:
        live: int | None = (self.problem.model_extra or {}).get("live_version")
        return live


class Unauthorized(Refused):
    """No key, or a wrong one."""


class Forbidden(Refused):
    """The key lacks the scope that the call needs, or the service does not answer to this host name."""


class Busy(Refused):
    """Not now; try again in a moment."""


BY_SLUG: dict[str, type[Refused]] = {
    "unknown-labels": UnknownLabels,
    "unknown-values": UnknownValues,
    "method-refused": MethodRefused,
    "not-live": NotLive,
    "live-moved": LiveMoved,
    "precondition-failed": LiveMoved,
    "erased": Erased,
}
BY_STATUS: dict[int, type[Refused]] = {
    400: InvalidContent,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Erased,
    412: LiveMoved,
    422: InvalidContent,
    429: Busy,
    503: Busy,
}


def refuse(response: httpx.Response) -> NoReturn:
    """Raises the error that the answer stands for."""
    problem = _problem(response)
    slug = problem.type.rpartition("/")[2]
    raise BY_SLUG.get(slug, BY_STATUS.get(response.status_code, Refused))(problem)


def _problem(response: httpx.Response) -> Problem:
    """The body as a problem; a proxy in front of the service may have answered in another form."""
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        body: Any = response.text[:200].strip() or response.reason_phrase
        return Problem(
            type="about:blank",
            title=response.reason_phrase,
            status=response.status_code,
            detail=f"{response.request.method} {response.request.url} was answered {response.status_code}: {body}",
            request_id=response.headers.get("x-request-id", ""),
        )
