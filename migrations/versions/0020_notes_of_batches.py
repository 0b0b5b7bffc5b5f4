"""A batch has notes on how its file was read."""

import sqlalchemy as sa
from alembic import op

from service.registry.sql.migrating import JSON_OR_NONE, add, optional

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    add("batches", *optional(JSON_OR_NONE, "notes"))
    lacking = sa.text("kept_rows < rows")  # SQLite prefers the index that was made last
    op.drop_index("ix_batches_lacking", "batches")
    op.create_index("ix_batches_lacking", "batches", ["model_id", "id"], sqlite_where=lacking, postgresql_where=lacking)
