"""The latest updates of a model are found without reading all of them."""

from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.create_index("ix_updates_model_id_id", "updates", ["model_id", "id"])
