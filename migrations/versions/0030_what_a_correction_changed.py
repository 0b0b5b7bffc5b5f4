"""An update of a correction says which batch it corrects, how many rows, and which batch has them."""

from service.registry.sql.migrating import JSON_OR_NONE, add, optional

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    add("updates", *optional(JSON_OR_NONE, "corrected"))
