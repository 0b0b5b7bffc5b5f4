"""What the client raises: one class a kind of refusal, each with the service's own sentence.

ClientError
├── Unreachable             nobody answered at that address, after retries
├── StillRunning            the update was not final in the time that the caller gave
├── WrongFile               a CSV file does not say what it holds: nothing was sent; a ValueError, too
├── NotLearned              `raise_if_rejected` of an update that failed or was cancelled: `.result`
│   └── Rejected            the gate rejected its version, which is kept and not live
└── Refused                 the service said no: `.problem`, `.detail`, `.errors`, `.status`, `.request_id`
    ├── InvalidContent      a field is wrong: `.errors` lists where and what to do
    │   ├── UnknownLabels   labels that the vocabulary does not have: `.unknown`, `.near`, `.rows`
    │   ├── UnknownValues   values that a category of a table does not have
    │   ├── MissingColumns  a frame lacks columns of the model: `.columns`, `.near`; nothing was sent
    │   └── MethodRefused   a method or parameter that cannot work here
    ├── NotFound            nothing of that name
    │   └── Erased          it was here and was erased on request
    ├── Conflict            the state of things forbids it now
    │   ├── NotLive         the model has no live version yet
    │   └── LiveMoved       another version is live than the caller thought: `.live_version`
    ├── Unauthorized        no key, or a wrong one
    ├── Forbidden           the key lacks the scope that the call needs
    ├── TooLarge            the body, or a file before it is read, is over the limit of the service
    ├── NoRoom              no room on the disk, or the share of the model or key is used up; nothing was stored
    └── Busy                try again in a moment
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

import httpx
from pydantic import ValidationError

from service.contract.resources import FieldProblem, Problem
from service.errors import TsuikaError
from service.remedies import Door, worded


class ClientError(TsuikaError):
    """A call did not do what it was asked to do."""


class Unreachable(ClientError):
    """Nobody answered at that address."""


class StillRunning(ClientError):
    """The update goes on, but the caller's time is over."""


class WrongFile(ClientError, ValueError):
    """A CSV file does not say what it holds; nothing of it was sent."""


class Refused(ClientError):
    """The service said no. The message is its `detail`, what is wrong and what to do, with calls of this client."""

    def __init__(self, problem: Problem) -> None:
        where = "".join(f"\n  {e.pointer}: {e.detail}" for e in problem.errors if e.detail not in problem.detail)
        super().__init__(worded(problem.detail + where, Door.PYTHON))
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

    def _member(self, name: str, default: Any) -> Any:
        """A member of the problem that only some problems have."""
        return (self.problem.model_extra or {}).get(name, default)


class InvalidContent(Refused):
    """A field is wrong. file: the name of the CSV file that was sent, "" of other rows."""

    file = ""

    def __str__(self) -> str:
        return f"{self.file}: {super().__str__()}" if self.file else super().__str__()


class UnknownLabels(InvalidContent):
    """Labels that the vocabulary does not have; `new_classes="allow"` adds them."""

    @classmethod
    def likely_slips(cls, near: Mapping[str, str], asked: str) -> UnknownLabels:
        """Of the first rows of a model: label -> the one of many more rows that it is like. Nothing was sent."""
        sentence = (
            f'{asked} Nothing was sent. Mend the rows or, where a label is a class of its own, say new_classes="allow".'
        )
        members = {"unknown": list(near), "near": {name: [other] for name, other in near.items()}}
        return cls(
            Problem(
                type="/problems/unknown-labels",
                title="Unknown labels",
                status=422,
                detail=sentence,
                errors=[],
                request_id="",
                **members,
            )
        )

    @property
    def unknown(self) -> list[str]:
        """These labels, ten at most."""
        return list(self._member("unknown", []))

    @property
    def more(self) -> int:
        """How many more of these labels there are than `unknown` lists."""
        return int(self._member("more", 0))

    @property
    def near(self) -> dict[str, list[str]]:
        """Label -> classes that look like it, nearest first; those that nothing is near to are left out."""
        return dict(self._member("near", {}))

    @property
    def rows(self) -> list[int]:
        """The first row of each of these labels, counted from 0."""
        places = (fault.pointer.rpartition("/")[2] for fault in self.errors)
        return [int(place) for place in places if place.isdigit()]


class UnknownValues(InvalidContent):
    """Values that a category of a table does not have; `new_values="take"` takes them."""


class MissingColumns(InvalidContent):
    """A frame lacks columns of the model. Nothing was sent: the service would take the cells of a table as missing."""

    def __init__(self, sentence: str, columns: Sequence[str], near: Mapping[str, list[str]] | None = None) -> None:
        self.columns, self.near = list(columns), dict(near or {})
        super().__init__(
            Problem(
                type="/problems/invalid-content",
                title="The content is not valid",
                status=422,
                detail=sentence,
                errors=[FieldProblem(pointer="/inputs", detail=sentence)],
                request_id="",
            )
        )

    @classmethod
    def named(cls, model: str, columns: Sequence[str], has: Sequence[str], gaps: bool) -> MissingColumns:
        """`has`: columns of the frame that the model does not have. gaps: it takes rows of which it is not known."""
        near = {name: names for name in columns if (names := get_close_matches(name, has))}
        named = ", ".join(f'"{name}"' for name in columns)
        meant = "".join(f' Is "{names[0]}" "{name}"?' for name, names in near.items())
        way = "Add it, or make a model of its own for such rows; numbers without names go by position: to_numpy()."
        if gaps:
            way = "Where nothing is known of a column, fill it with None."
        sentence = f"This frame has no column {named[:1000]}, which {model} takes.{meant} {way}"
        return cls(sentence, columns, near)


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
        live: int | None = self._member("live_version", None)
        return live


class Unauthorized(Refused):
    """No key, or a wrong one."""


class Forbidden(Refused):
    """The key lacks the scope that the call needs, or the service does not answer to this host name."""


class TooLarge(Refused):
    """The body is over the limit of the service, or a file is, of which nothing was sent."""

    @classmethod
    def of_file(cls, sentence: str) -> TooLarge:
        """Of a file that was not read."""
        problem = Problem(
            type="/problems/too-large",
            title="The body is too large",
            status=413,
            detail=sentence,
            errors=[],
            request_id="",
        )
        return cls(problem)


class NoRoom(Refused):
    """No room on the disk, or the share of the model or key is used up; nothing was stored."""


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
    413: TooLarge,
    422: InvalidContent,
    429: Busy,
    503: Busy,
    507: NoRoom,
}


def refuse(response: httpx.Response) -> NoReturn:
    """Raises the error that the answer stands for."""
    problem = _problem(response)
    slug = problem.type.rpartition("/")[2]
    raise BY_SLUG.get(slug, BY_STATUS.get(response.status_code, Refused))(problem)


def starting(response: httpx.Response) -> str | None:
    """What a service says that is starting; None of any other refusal."""
    problem = _problem(response)
    return problem.detail if "waiting_for" in (problem.model_extra or {}) else None


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
