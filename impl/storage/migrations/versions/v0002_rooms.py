"""Rooms, roles and marks of members, profiles, names and rotation of logins."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger()
_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_HASH = sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")


def _exact(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(mysql.VARCHAR(length, collation="utf8mb4_bin"), "mysql", "mariadb")


def _text(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(mysql.VARCHAR(length, charset="utf8mb4"), "mysql", "mariadb")


def upgrade() -> None:
    """Adds columns with defaults, so that the code before this goes on, and creates tables."""
    op.add_column("users", sa.Column("display_name", _text(128), nullable=False, server_default=""))
    op.add_column("users", sa.Column("about", _text(2000), nullable=False, server_default=""))
    op.add_column("logins", sa.Column("device", _text(128), nullable=False, server_default=""))
    op.add_column("logins", sa.Column("used_at", _BIG, nullable=True))
    op.add_column("memberships", sa.Column("delivered_seq", _BIG, nullable=False, server_default="0"))
    op.add_column("memberships", sa.Column("role", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("memberships", sa.Column("changed_seq", _BIG, nullable=False, server_default="0"))
    op.create_table(
        "used_refresh_tokens",
        sa.Column("refresh_hash", _HASH, primary_key=True),
        sa.Column("login_id", _KEY, sa.ForeignKey("logins.id"), nullable=False),
        sa.Column("request_hash", _HASH, nullable=False),
        sa.Column("used_at", _BIG, nullable=False),
    )
    op.create_index("ix_used_refresh_tokens_login_id", "used_refresh_tokens", ["login_id"])
    op.create_index("ix_used_refresh_tokens_used_at", "used_refresh_tokens", ["used_at"])
    op.create_table(
        "rooms",
        sa.Column("conversation_id", _exact(128), sa.ForeignKey("conversations.id"), primary_key=True),
        sa.Column("name", _text(128), nullable=False),
        sa.Column("description", _text(2000), nullable=False),
        sa.Column("join_policy", sa.Integer(), nullable=False),
        sa.Column("history_policy", sa.Integer(), nullable=False),
        sa.Column("created_by", _BIG, nullable=False),
        sa.Column("created_at", _BIG, nullable=False),
        sa.Column("changed_seq", _BIG, nullable=False),
    )


def downgrade() -> None:
    """Takes away what was added, and what was in it."""
    op.drop_table("rooms")
    op.drop_table("used_refresh_tokens")
    for table, columns in (
        ("memberships", ("changed_seq", "role", "delivered_seq")),
        ("logins", ("used_at", "device")),
        ("users", ("about", "display_name")),
    ):
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.drop_column(column)
