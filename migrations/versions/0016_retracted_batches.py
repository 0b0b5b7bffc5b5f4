"""Retracted batches are found without reading all of them."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    retracted = sa.text("retracted_at IS NOT NULL")
    op.create_index(
        "ix_batches_retracted", "batches", ["model_id", "id"], sqlite_where=retracted, postgresql_where=retracted
    )
