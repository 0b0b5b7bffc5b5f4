"""Alembic's entry: the connection comes from service.registry.sql.engines.migrate."""

from alembic import context
from sqlalchemy import create_engine

from service.registry.sql.tables import Installation


def run() -> None:
    """Upgrade on the connection that was given, or on sqlalchemy.url."""
    connection = context.config.attributes.get("connection")
    if connection is None:
        connection = create_engine(context.config.get_main_option("sqlalchemy.url")).connect()
    context.configure(connection=connection, target_metadata=Installation.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


run()
