"""Steps of migrations that find out whether they were taken already.

MySQL commits every change of a table by itself: a migration that ended half-way goes on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

BIG = sa.BigInteger()
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
HASH = sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
ENVELOPE = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


def exact(length: int) -> sa.types.TypeEngine[str]:
    """Text that is compared byte by byte."""
    return sa.String(length).with_variant(mysql.VARBINARY(length * 4), "mysql", "mariadb")


def text(length: int) -> sa.types.TypeEngine[str]:
    """Text that is read and never compared."""
    return sa.String(length).with_variant(mysql.VARCHAR(length, charset="utf8mb4"), "mysql", "mariadb")


def create_table(name: str, *parts: sa.schema.SchemaItem) -> None:
    """Creates a table unless it is there."""
    if not _inspector().has_table(name):
        op.create_table(name, *parts, mysql_engine="InnoDB")


def create_index(index: str, table: str, columns: Sequence[str], *, unique: bool = False) -> None:
    """Creates an index unless it is there."""
    if index not in {found["name"] for found in _inspector().get_indexes(table)}:
        op.create_index(index, table, list(columns), unique=unique)


def add_column(table: str, column: sa.Column[Any]) -> None:
    """Adds a column unless it is there."""
    if column.name not in _columns(table):
        op.add_column(table, column)


def drop_table(name: str) -> None:
    """Drops a table if it is there."""
    if _inspector().has_table(name):
        op.drop_table(name)


def drop_column(table: str, column: str) -> None:
    """Drops a column if it is there."""
    if column in _columns(table):
        op.drop_column(table, column)


def _columns(table: str) -> set[str]:
    return {found["name"] for found in _inspector().get_columns(table)}


def _inspector() -> sa.Inspector:
    """A new one, because they remember what they saw."""
    return sa.inspect(op.get_bind())
