"""An update may challenge the version that another one made."""

from service.registry.sql.migrating import TEXT, add, reference

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    add("updates", reference("challenges", "updates", TEXT, optional=True))
