"""Models take turns: each remembers when an update of it was last claimed."""

from service.registry.sql.migrating import REAL, add, optional

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    add("models", *optional(REAL, "claimed_at"))
