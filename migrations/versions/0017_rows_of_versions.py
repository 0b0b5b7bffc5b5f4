"""A version says how many rows it learned, and batches that lack rows are found without reading all of them."""

import sqlalchemy as sa
from alembic import op

from service.registry.sql.migrating import LARGE, add, optional

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    add("versions", *optional(LARGE, "rows"))
    lacking = sa.text("kept_rows < rows")
    op.create_index("ix_batches_lacking", "batches", ["model_id", "id"], sqlite_where=lacking, postgresql_where=lacking)
