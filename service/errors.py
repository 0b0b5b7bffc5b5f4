"""The tree of errors: kinds of refusal, not HTTP statuses; api/problems.py gives each kind its status.

    TsuikaError
    ├── InvalidContent          the content of a request is wrong: which field, and what to do
    │   ├── UnknownLabels       labels that the vocabulary does not have, with near matches
    │   └── MethodRefused       a method or parameter that cannot work here, with those that would
    ├── BrokenJSON              the body is not JSON
    ├── UnsupportedMedia        the body is of a type that this route does not take
    ├── TooLarge                the body is over the limit
    ├── LongAddress             the query is over the limit
    ├── NotFound                nothing of that name
    ├── Erased                  it was here and its bytes were erased on request
    ├── BodyTimeout             the body arrives too slowly
    ├── Conflict                the state of things forbids it now
    │   ├── LiveMoved           `if_live` names a version that is no longer live
    │   ├── NotLive             the model has no version that can answer
    │   │   └── KnowsNothing    the version knows no class
    │   └── InProgress          the first try under this Idempotency-Key is still at work
    ├── PreconditionFailed      `If-Match` names an older state
    ├── Unauthorized            no key, or a wrong one
    ├── ForbiddenHost           the Host header is not one that an unkeyed service answers to
    ├── Busy                    try again in a moment
    ├── DeadlinePassed          the time that the request gave itself was over before it was its turn
    ├── DiskFull                no room to store it; nothing was stored
    ├── NotWritable             the data folder or the database was moved, deleted or made read-only
    ├── SchemaMismatch          the tables of the database are not those of this version
    ├── CorruptArtifact         stored bytes do not hash to their digest
    ├── Incomplete              a version that was made lacks what its certificate would need
    ├── LeaseLost               another worker owns this update now: publish nothing
    ├── Cancelled               the update was asked to stop
    ├── BudgetSpent             a challenger took longer than its budget
    ├── Diverged                training left the finite numbers, also at lower rates
    └── ImpossibleSettings      settings that contradict each other

Every error carries a sentence that names the thing and the remedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class TsuikaError(Exception):
    """Something was refused, or failed for a known reason."""

    slug = "error"
    title = "Something went wrong"

    def __init__(self, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.members = members


class InvalidContent(TsuikaError):
    """The content of a request is wrong. `errors` lists (JSON pointer, sentence) pairs."""

    slug = "invalid-content"
    title = "The content is not valid"

    def __init__(self, detail: str, errors: Sequence[tuple[str, str]] = (), **members: Any) -> None:
        super().__init__(detail, **members)
        self.errors = list(errors)

    @classmethod
    def at(cls, pointer: str, detail: str) -> InvalidContent:
        """One field is wrong: the sentence is both the detail and the field's own message."""
        return cls(detail, [(pointer, detail)])


class UnknownLabels(InvalidContent):
    """Labels that the model's vocabulary does not have: a typo must not become a class."""

    slug = "unknown-labels"
    title = "Unknown labels"


class MethodRefused(InvalidContent):
    """The method, or a parameter of it, cannot work here; the sentence names those that would."""

    slug = "method-refused"
    title = "The method cannot do this"


class BrokenJSON(TsuikaError):
    """The body is not JSON."""

    slug = "broken-json"
    title = "The body is not JSON"


class UnsupportedMedia(TsuikaError):
    """The body is of a type that this route does not take."""

    slug = "unsupported-media-type"
    title = "Unsupported media type"


class TooLarge(TsuikaError):
    """The body is over the limit."""

    slug = "too-large"
    title = "The body is too large"


class LongAddress(TsuikaError):
    """The query of the address is over the limit."""

    slug = "address-too-long"
    title = "The address is too long"


class BodyTimeout(TsuikaError):
    """The body arrives too slowly."""

    slug = "body-timeout"
    title = "The body came too slowly"


class NotFound(TsuikaError):
    """Nothing of that name is here."""

    slug = "not-found"
    title = "Not found"


class Erased(TsuikaError):
    """It was here; its bytes were erased on request."""

    slug = "erased"
    title = "Erased"


class Conflict(TsuikaError):
    """The state of things forbids it now."""

    slug = "conflict"
    title = "Not possible in this state"


class LiveMoved(Conflict):
    """`if_live` names a version that is no longer live."""

    slug = "live-moved"
    title = "Another version is live"


class NotLive(Conflict):
    """The model has no version that can answer."""

    slug = "not-live"
    title = "No version is live"


class KnowsNothing(NotLive):
    """The version knows no class: it cannot answer."""

    title = "The version knows no class"


class InProgress(Conflict):
    """The first try under this Idempotency-Key is still at work: ask again in `retry_after` seconds."""

    slug = "in-progress"
    title = "The first try is still at work"
    retry_after = 1


class PreconditionFailed(TsuikaError):
    """`If-Match` names an older state of the model."""

    slug = "precondition-failed"
    title = "Another version is live"


class Unauthorized(TsuikaError):
    """No key, or a wrong one."""

    slug = "unauthorized"
    title = "A key is needed"


class ForbiddenHost(TsuikaError):
    """The Host header is not one that a service without a key answers to."""

    slug = "forbidden-host"
    title = "This host name is not served"


class Busy(TsuikaError):
    """Not now: try again in `retry_after` seconds."""

    slug = "busy"
    title = "Not now"

    def __init__(self, detail: str, retry_after: int = 1, **members: Any) -> None:
        super().__init__(detail, **members)
        self.retry_after = retry_after


class DeadlinePassed(TsuikaError):
    """The time that the request gave itself was over before it was its turn."""

    slug = "deadline-passed"
    title = "Too late"


class DiskFull(TsuikaError):
    """No room to store it; nothing was stored."""

    slug = "disk-full"
    title = "No space left"


class NotWritable(TsuikaError):
    """The data folder or the database was moved, deleted or made read-only: nothing was stored."""

    slug = "not-writable"
    title = "Nothing can be stored now"


class SchemaMismatch(TsuikaError):
    """The tables of the database are not those that this version works with."""

    slug = "schema-mismatch"
    title = "The database is of another version"


class CorruptArtifact(TsuikaError):
    """Stored bytes do not hash to their digest."""

    REMEDY = "Roll back to a version that is whole, or restore the data folder from a copy."
    slug = "corrupt-artifact"
    title = "Stored bytes are damaged"


class Incomplete(TsuikaError):
    """A version that was made lacks what its certificate would need: it is not published."""

    slug = "incomplete"
    title = "The version is not whole"


class LeaseLost(TsuikaError):
    """Another worker owns this update now: publish nothing."""

    slug = "lease-lost"
    title = "The lease was lost"


class Cancelled(TsuikaError):
    """The update was asked to stop."""

    slug = "cancelled"
    title = "Cancelled"


class BudgetSpent(TsuikaError):
    """A challenger took longer than its budget."""

    slug = "budget-spent"
    title = "The budget is spent"


class Diverged(TsuikaError):
    """Training left the finite numbers, also at lower rates."""

    slug = "diverged"
    title = "Training diverged"


class ImpossibleSettings(TsuikaError):
    """Settings that contradict each other, or that would be unsafe."""

    slug = "impossible-settings"
    title = "These settings cannot be used"
