"""A model says how many of its versions keep their parts."""

from service.registry.sql.migrating import LARGE, add, optional

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    add("models", *optional(LARGE, "keep_versions"))
