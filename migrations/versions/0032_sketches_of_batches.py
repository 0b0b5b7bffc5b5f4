"""A batch has a sketch of its rows, by which batches that share rows are found."""

import sqlalchemy as sa
from alembic import op

from service.registry.sql.migrating import JSON_OR_NONE, LARGE, TEXT, add, needed, optional, reference

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    add("batches", *optional(JSON_OR_NONE, "sketch"))
    op.create_table(
        "row_marks",
        reference("model_id", "models", LARGE),
        *needed(LARGE, "mark"),
        reference("batch_id", "batches", TEXT),
        sa.PrimaryKeyConstraint("model_id", "mark", "batch_id"),
    )
