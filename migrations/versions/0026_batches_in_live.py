"""A batch says whether the live version learned it, and a version how many batches it learned."""

import sqlalchemy as sa
from alembic import op

from service.registry.sql.migrating import BOOLEAN, LARGE, add_filled

revision = "0026"
down_revision = "0025"

_FACTS = sa.text("SELECT id, parent_id, learned, more, less FROM versions ORDER BY id")
_FACTS = _FACTS.columns(learned=sa.JSON, more=sa.JSON, less=sa.JSON)
_LIVE = sa.text("SELECT live_version_id FROM models WHERE live_version_id IS NOT NULL")
_COUNT = sa.text("UPDATE versions SET batch_count = :count WHERE id = :id")
_IN_LIVE = sa.text("UPDATE batches SET in_live = :in_live WHERE id = :id")


def upgrade() -> None:
    add_filled("versions", "batch_count", LARGE, "0")
    add_filled("batches", "in_live", BOOLEAN, sa.false())
    connection = op.get_bind()
    facts = {id_: row for id_, *row in connection.execute(_FACTS)}
    counts = dict[int, int]()
    for id_, (parent_id, learned, more, less) in facts.items():  # a parent has a lower id
        counts[id_] = (
            len(learned) if learned is not None else counts.get(parent_id, 0) + len(more or ()) - len(less or ())
        )
    if counts:
        connection.execute(_COUNT, [{"id": id_, "count": count} for id_, count in counts.items()])
    for live_id in connection.scalars(_LIVE).all():
        if in_live := _learned(facts, live_id):
            connection.execute(_IN_LIVE, [{"id": batch, "in_live": True} for batch in in_live])
    waiting = {
        f"{name}_where": sa.text(f"in_live IS {false} AND retracted_at IS NULL AND rejected_by IS NULL")
        for name, false in (("sqlite", "0"), ("postgresql", "FALSE"))
    }
    lacking = sa.text("kept_rows < rows")  # made anew: of several that do, SQLite takes the one that was made last
    op.drop_index("ix_batches_lacking", "batches")
    op.create_index("ix_batches_lacking", "batches", ["model_id", "id"], sqlite_where=lacking, postgresql_where=lacking)
    op.create_index("ix_batches_waiting", "batches", ["model_id", "id"], **waiting)


def _learned(facts: dict[int, list], id_: int) -> set[str]:
    """The batches of a version, by its row and those above it."""
    way = []
    while True:
        parent_id, learned, more, less = facts[id_]
        way.append((learned, more, less))
        if learned is not None or parent_id is None:
            break
        id_ = parent_id
    known = set[str]()
    for learned, more, less in reversed(way):
        known = set(learned) if learned is not None else known.difference(less or ()).union(more or ())
    return known
