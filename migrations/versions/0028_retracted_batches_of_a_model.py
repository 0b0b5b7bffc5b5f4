"""Retracted batches of a model are found without reading all of its batches."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    retracted = sa.text("retracted_at IS NOT NULL")  # made anew: of several, SQLite takes the one that was made last
    op.drop_index("ix_batches_retracted", "batches")
    op.create_index(
        "ix_batches_retracted", "batches", ["model_id", "id"], sqlite_where=retracted, postgresql_where=retracted
    )
