"""The tree of errors: kinds of refusal, not HTTP statuses; api/problems.py gives each kind its status.

Every error carries a sentence that names the thing and the remedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

KINDS: dict[str, type[TsuikaError]] = {}
"""The kind of error of each slug, as another process reports it."""


class TsuikaError(Exception):
    """Something was refused, or failed for a known reason. slug, title: of the problem that it becomes."""

    slug = "error"
    title = "Something went wrong"
    undone = False
    """Whether the database has undone the transaction for a reason of the moment: it may run once more at once."""

    def __init_subclass__(cls, slug: str | None = None, title: str | None = None) -> None:
        super().__init_subclass__()
        cls.slug, cls.title = slug or cls.slug, title or cls.title
        if slug is not None:
            KINDS[slug] = cls

    def __init__(self, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.members = members


class AtFields(TsuikaError):
    """A request is refused for some of its fields. `errors` lists (JSON pointer, sentence) pairs."""

    def __init__(self, detail: str, errors: Sequence[tuple[str, str]] = (), **members: Any) -> None:
        super().__init__(detail, **members)
        self.errors = list(errors)


class InvalidContent(AtFields, slug="invalid-content", title="The content is not valid"):
    """The content of a request is wrong."""

    @classmethod
    def at(cls, pointer: str, detail: str) -> InvalidContent:
        """One field is wrong: the sentence is both the detail and the field's own message."""
        return cls(detail, [(pointer, detail)])


class UnknownLabels(InvalidContent, slug="unknown-labels", title="Unknown labels"):
    """Labels that the model's vocabulary does not have: a typo must not become a class."""


class UnknownValues(InvalidContent, slug="unknown-values", title="Unknown values"):
    """Values that a category of a table does not have, where new ones are not to be taken."""


class TooManyValues(InvalidContent, slug="too-many-values", title="Too many values"):
    """The categories of a table would have more values than a model may have; `column`: the one with the most."""


class MethodRefused(InvalidContent, slug="method-refused", title="The method cannot do this"):
    """The method, or a parameter of it, cannot work here; the sentence names those that would."""


class BrokenJSON(TsuikaError, slug="broken-json", title="The body is not JSON"):
    """The body is not JSON."""


class UnsupportedMedia(TsuikaError, slug="unsupported-media-type", title="Unsupported media type"):
    """The body is of a type that this route does not take."""


class TooLarge(TsuikaError, slug="too-large", title="The body is too large"):
    """The body is over the limit."""


class LongAddress(TsuikaError, slug="address-too-long", title="The address is too long"):
    """The query of the address is over the limit."""


class BodyTimeout(TsuikaError, slug="body-timeout", title="The body came too slowly"):
    """The body arrives too slowly."""


class NotFound(TsuikaError, slug="not-found", title="Not found"):
    """Nothing of that name is here."""


class Erased(TsuikaError, slug="erased", title="Erased"):
    """It was here; its bytes were erased on request."""


class Conflict(TsuikaError, slug="conflict", title="Not possible in this state"):
    """The state of things forbids it now."""


class LiveMoved(Conflict, slug="live-moved", title="Another version is live"):
    """`if_live` names a version that is no longer live."""


class NotLive(Conflict, slug="not-live", title="No version is live"):
    """The model has no version that can answer."""


class KnowsNothing(NotLive):
    """The version cannot answer. `ignorance`: why, "knows no class" for one."""

    def __init__(self, version: str, ignorance: str) -> None:
        super().__init__(f"{version} {ignorance}. Send it rows first.")
        self.title = f"The version {ignorance}"


class InProgress(Conflict, slug="in-progress", title="The first try is still at work"):
    """The first try under this Idempotency-Key is still at work: ask again in `retry_after` seconds."""

    retry_after = 1


class PreconditionFailed(TsuikaError, slug="precondition-failed", title="Another version is live"):
    """`If-Match` names an older state of the model."""


class Unauthorized(TsuikaError, slug="unauthorized", title="A key is needed"):
    """No key, or a wrong one."""


class Forbidden(AtFields, slug="forbidden", title="The key may not do this"):
    """The key is a good one, and lacks the scope that this call needs."""


class ForbiddenHost(TsuikaError, slug="forbidden-host", title="This host name is not served"):
    """The Host header is not one that the service answers to."""


class Busy(TsuikaError, slug="busy", title="Not now"):
    """Not now: try again in `retry_after` seconds."""

    def __init__(self, detail: str, retry_after: int = 1, **members: Any) -> None:
        super().__init__(detail, **members)
        self.retry_after = retry_after


class TooMany(Busy, slug="too-many", title="Too many at once"):
    """One key, or one model, asks for more than its share: try again in `retry_after` seconds."""


class DeadlinePassed(TsuikaError, slug="deadline-passed", title="Too late"):
    """The time that the request gave itself was over before it was its turn."""


class DiskFull(TsuikaError, slug="disk-full", title="No space left"):
    """No room to store it; nothing was stored."""


class QuotaFull(TsuikaError, slug="quota-full", title="The room is used up"):
    """The batches of a model or a key take as many bytes as they may; nothing was stored."""


class NotWritable(TsuikaError, slug="not-writable", title="Nothing can be stored now"):
    """The data folder or the database was moved, deleted or made read-only: nothing was stored."""


class StoreAway(NotWritable, slug="store-away", title="The object store cannot be reached"):
    """The object store does not answer, or refuses: nothing was stored, and what is there cannot be read now."""


class ClusterAway(TsuikaError, slug="cluster-away", title="The Ray cluster cannot be used now"):
    """The cluster on which updates learn does not answer, has no room, or lacks what they need: they wait."""


class SchemaMismatch(TsuikaError, slug="schema-mismatch", title="The database is of another version"):
    """The tables of the database are not those that this version works with."""


class CorruptArtifact(TsuikaError, slug="corrupt-artifact", title="Stored bytes are damaged"):
    """Stored bytes do not hash to their digest."""

    REMEDY = "Roll back to a version that is whole, or restore the data folder from a copy."


class Incomplete(TsuikaError, slug="incomplete", title="The version is not whole"):
    """A version that was made lacks what its certificate would need: it is not published."""


class LeaseLost(TsuikaError, slug="lease-lost", title="The lease was lost"):
    """Another worker owns this update now: publish nothing."""


class Cancelled(TsuikaError, slug="cancelled", title="Cancelled"):
    """The update was asked to stop."""


class ChildLost(TsuikaError, slug="child-lost", title="The learning process was lost"):
    """The process that learned ended before it was done."""


class ChildFailed(TsuikaError, slug="learning-failed", title="Learning failed"):
    """A process beside met an error that nobody foresaw. It may pass, so an update is tried again."""


class BudgetSpent(TsuikaError, slug="budget-spent", title="The budget is spent"):
    """A challenger took longer than its budget."""


class DeviceMissing(TsuikaError, slug="device-missing", title="The device is not here"):
    """Nothing of that name can be computed on here."""


class DeviceFull(TsuikaError, slug="device-full", title="The device's memory is full"):
    """A training does not fit into the memory of its device, with half the rows at once neither."""


class Diverged(TsuikaError, slug="diverged", title="Training diverged"):
    """Training left the finite numbers, also at lower rates."""


class ImpossibleSettings(TsuikaError, slug="impossible-settings", title="These settings cannot be used"):
    """Settings that contradict each other, or that would be unsafe."""
