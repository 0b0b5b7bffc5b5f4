"""The updates that name a batch are found by the batch."""

import sqlalchemy as sa
from alembic import op

from service.registry.sql.migrating import TEXT, reference

revision = "0029"
down_revision = "0028"

_FILL = """INSERT INTO named_batches (batch_id, update_id)
SELECT named.value, updates.id FROM updates, {each}(updates.batches) AS named
UNION SELECT named.value, updates.id FROM updates, {each}(updates.adds) AS named"""


def upgrade() -> None:
    op.create_table(
        "named_batches",
        reference("batch_id", "batches", TEXT),
        reference("update_id", "updates", TEXT),
        sa.PrimaryKeyConstraint("batch_id", "update_id"),
    )
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.execute(_FILL.format(each="json_each" if sqlite else "json_array_elements_text"))
