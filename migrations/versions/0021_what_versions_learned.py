"""A version says what it learned more than its parent, and less; those that are there go on naming all of it."""

from service.registry.sql.migrating import JSON_OR_NONE, changing, optional

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    with changing("versions") as changed:
        for column in optional(JSON_OR_NONE, "more", "less"):
            changed.add_column(column)
        changed.alter_column("learned", nullable=True)
