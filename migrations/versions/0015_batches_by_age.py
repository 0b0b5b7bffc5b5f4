"""Batches of a model by age: the newest are found without sorting all of them."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_index(op.f("ix_batches_model_id_id"), "batches", ["model_id", "id"])
