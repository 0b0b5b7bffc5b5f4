"""A batch may hold rows without a label."""

from service.registry.sql.migrating import INTEGER, add_filled

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    add_filled("batches", "unlabelled", INTEGER, "0")
