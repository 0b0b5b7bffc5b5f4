"""Closed sets of words; the meaning of a member stands below it."""

from enum import StrEnum


class UpdateKind(StrEnum):
    """What an update does with its batches."""

    LEARN = "learn"
    """Learn from the batches."""
    RETRACT = "retract"
    """Take the batches back out."""


class UpdateState(StrEnum):
    """Where an update stands. Only an update has states; a version is a fact."""

    QUEUED = "queued"
    """Waits for a worker; a worker's claim moves it on."""
    RUNNING = "running"
    """A worker holds the lease and learns."""
    SUCCEEDED = "succeeded"
    """Final: it was learned and judged; the verdict says what became of it."""
    FAILED = "failed"
    """Final unless a person retries it: `error` says why."""
    CANCELLED = "cancelled"
    """Final unless a person retries it: somebody asked it to stop."""


class Verdict(StrEnum):
    """What became of the version that an update made."""

    PROMOTED = "promoted"
    """It went live."""
    HELD = "held"
    """It is kept and a person decides."""
    REJECTED = "rejected"
    """It is kept and can be looked at; it does not go live."""
    SUPERSEDED = "superseded"
    """The live version changed while the update ran."""


class Outcome(StrEnum):
    """What the gate says of the evidence alone."""

    PASS = "pass"
    FAIL = "fail"
    UNDECIDED = "undecided"


class Promotion(StrEnum):
    """Who moves the live pointer after a passed gate."""

    AUTO = "auto"
    MANUAL = "manual"


class Retention(StrEnum):
    """Which raw rows are kept once they are learned."""

    ALL = "all"
    """All of them."""
    EXEMPLARS = "exemplars"
    """A memory of so many a class, and the rows that judge."""
    NONE = "none"
    """None."""


class NewValues(StrEnum):
    """What becomes of values of an open category that no batch of the model has had."""

    TAKE = "take"
    """They are taken, and told in the report."""
    REFUSE = "refuse"
    """The rows are refused."""


class Expect(StrEnum):
    """What the sender of an update says beforehand of its labels or targets."""

    RELABEL = "relabel"
    """Known inputs get other labels on purpose: that they contradict the live version does not stop it."""
    MOVE = "move"
    """Targets that are numbers move at once, as prices do: that they are unlike those before does not stop it."""

    @property
    def on_purpose(self) -> str:
        """Asks for it, before what is to be done then."""
        return "If labels changed on purpose" if self is Expect.RELABEL else "If targets moved on purpose"


class KeyScope(StrEnum):
    """What a key may do. None of them holds another, but for the last."""

    PREDICT = "predict"
    """Ask for predictions."""
    LEARN = "learn"
    """Send rows, order updates, and read what came of them."""
    PROMOTE = "promote"
    """Decide what is live and how that is judged, take batches back, and read what updates came to."""
    ADMIN = "admin"
    """Everything, on every model: make and archive models, make and revoke keys, read the audit."""


class BatchState(StrEnum):
    """State of a batch, computed: the first that holds, from the bottom up."""

    PENDING = "pending"
    LEARNED = "learned"
    REJECTED = "rejected"
    RETRACTED = "retracted"
    ERASED = "erased"


class DisputeState(StrEnum):
    """Whether labels that contradict the live version are right."""

    OPEN = "open"
    """Nobody knows."""
    CONFIRMED = "confirmed"
    """They are."""
    REFUTED = "refuted"
    """They are not."""
    SETTLED = "settled"
    """Somebody decided by deed: the version was made live, or a batch of it taken back."""


class DeploymentKind(StrEnum):
    """How the live pointer moved."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"


class Action(StrEnum):
    """A change of state that the audit records."""

    MODEL_CREATED = "model.created"
    MODEL_CHANGED = "model.changed"
    MODEL_ARCHIVED = "model.archived"
    MODEL_RESTORED = "model.restored"
    CLASSES_ADDED = "classes.added"
    CLASS_REMOVED = "class.removed"
    BATCH_RECEIVED = "batch.received"
    BATCH_RETRACTED = "batch.retracted"
    BATCH_RESTORED = "batch.restored"
    """Its retraction was cancelled before it began to erase."""
    BATCH_ERASED = "batch.erased"
    """Nothing of its rows is left."""
    UPDATE_QUEUED = "update.queued"
    UPDATE_CLAIMED = "update.claimed"
    UPDATE_QUEUED_AGAIN = "update.queued_again"
    """Its worker was lost, stopped, could not learn it yet, or may try again."""
    UPDATE_CANCEL_REQUESTED = "update.cancel_requested"
    UPDATE_CANCELLED = "update.cancelled"
    UPDATE_RETRIED = "update.retried"
    """Somebody had it tried again after its end."""
    UPDATE_SUCCEEDED = "update.succeeded"
    UPDATE_FAILED = "update.failed"
    DISPUTE_OPENED = "dispute.opened"
    DISPUTE_CONFIRMED = "dispute.confirmed"
    DISPUTE_REFUTED = "dispute.refuted"
    VERSION_PROMOTED_BY_GATE = "version.promoted_by_gate"
    VERSION_PROMOTED_BY_RETRACTION = "version.promoted_by_retraction"
    VERSION_PROMOTED_BY_HAND = "version.promoted_by_hand"
    VERSION_ROLLED_BACK = "version.rolled_back"
    """A rollback made it live again."""
    VERSION_IMPORTED = "version.imported"
    VERSION_ERASED = "version.erased"
    ALIAS_PUT = "alias.put"
    ALIAS_DELETED = "alias.deleted"
    KEY_CREATED = "key.created"
    KEY_REPLACED = "key.replaced"
    """Another key takes its place, and it ends."""
    KEY_REVOKED = "key.revoked"


class NewClasses(StrEnum):
    """What to do with a label that the vocabulary does not have."""

    ALLOW = "allow"
    REFUSE = "refuse"


class Family(StrEnum):
    """How a method keeps what was known."""

    FREEZE = "freeze"
    """Keep the feature extractor, learn the head."""
    CONSTRAIN = "constrain"
    """Let weights move, but not far."""
    EXPAND = "expand"
    """Add units and train only those."""
    REHEARSE = "rehearse"
    """Learn again from kept rows."""
    BASELINE = "baseline"
    """What the others are compared with."""


class Interference(StrEnum):
    """How old knowledge was lost."""

    NONE = "none"
    GRADUAL = "gradual"
    SUDDEN = "sudden"


class Severity(StrEnum):
    """What a rule that fires asks for."""

    REJECTED = "rejected"
    HELD = "held"


JSON, CSV = "application/json", "text/csv"
RAW, NPY, PNG, JPEG = "application/octet-stream", "application/x-npy", "image/png", "image/jpeg"
SAFETENSORS, FORM_DATA = "application/x-safetensors", "multipart/form-data"
"""Content types of bodies."""
ENTRY = "tsuika"
"""Name of the one entry of the metadata of a safetensors file that was written here."""
LEFT_OUT = "left_out"
"""Member of that entry: parts of an exported version that are not in the file, each with the digest of its shard."""
ROWS = (RAW, NPY, PNG, JPEG)
"""Content types of a prediction whose body is rows without JSON around them."""
