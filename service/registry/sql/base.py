"""What all tables have in common: names of constraints, types of columns, and the words that a column may hold."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer, MetaData, text
from sqlalchemy.orm import DeclarativeBase

from service.contract.enums import DeploymentKind, Promotion, Retention, UpdateKind, UpdateState, Verdict


class Table(DeclarativeBase):
    """Every constraint has a name, so that a migration can change it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012
        dict[str, Any]: JSON,
        list[str]: JSON,
        list[Any]: JSON,
        int: BigInteger().with_variant(Integer, "sqlite"),
    }


def one_of(
    column: str, words: type[UpdateState | UpdateKind | Verdict | Promotion | Retention | DeploymentKind]
) -> str:
    """A check that a column holds one of an enum's words."""
    return f"{column} IN ({', '.join(repr(str(w)) for w in words)})"


def index_where(condition: str, name: str, *columns: str, unique: bool = False) -> Index:
    """An index of the rows of which a condition holds, as PostgreSQL words it. SQLAlchemy says `IS 0` to SQLite, which
    takes an index for queries of the same words alone."""
    sqlite = text(condition.replace("IS FALSE", "IS 0"))
    return Index(name, *columns, unique=unique, sqlite_where=sqlite, postgresql_where=text(condition))
