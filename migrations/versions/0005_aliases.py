"""Names for versions; erased versions are found without reading all of them."""

import sqlalchemy as sa
from alembic import op

from service.registry.sql.migrating import INTEGER, REAL, TEXT, needed, reference

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "aliases",
        sa.Column("id", INTEGER, primary_key=True),
        reference("model_id", "models"),
        *needed(TEXT, "name"),
        reference("version_id", "versions"),
        *needed(TEXT, "by"),
        *needed(REAL, "at"),
        sa.UniqueConstraint("model_id", "name"),
        sqlite_autoincrement=True,
    )
    erased = sa.text("erased_at IS NOT NULL")
    op.create_index(
        "ix_versions_erased", "versions", ["model_id", "number"], sqlite_where=erased, postgresql_where=erased
    )
