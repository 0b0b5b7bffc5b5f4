"""Updates know the request that ordered them, and the span within which it was."""

from service.registry.sql.migrating import TEXT, add, optional

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    add("updates", *optional(TEXT, "request_id", "traceparent"))
