"""Disputes of an update are found without reading all of a model."""

from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.create_index("ix_disputes_update_id", "disputes", ["update_id"])
