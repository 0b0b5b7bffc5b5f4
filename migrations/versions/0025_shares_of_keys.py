"""A key says how many updates it may have waiting, and how many bytes of batches stored."""

from service.registry.sql.migrating import LARGE, add, optional

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    add("api_keys", *optional(LARGE, "bytes", "queued"))
