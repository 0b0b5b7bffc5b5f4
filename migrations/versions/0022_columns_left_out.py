"""A model remembers which columns of CSV files it does not look at."""

from service.registry.sql.migrating import JSON_OR_NONE, add, optional

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    add("models", *optional(JSON_OR_NONE, "leave_out"))
