"""Rooms, roles and marks of members, profiles, names and rotation of logins."""

import sqlalchemy as sa

from impl.storage.migrations.steps import (
    BIG,
    HASH,
    KEY,
    add_column,
    create_index,
    create_table,
    drop_column,
    drop_table,
    exact,
    text,
)

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds columns with defaults, so that the code before this goes on, and creates tables."""
    add_column("users", sa.Column("display_name", text(128), nullable=False, server_default=""))
    add_column("users", sa.Column("about", text(2000), nullable=False, server_default=""))
    add_column("logins", sa.Column("device", text(128), nullable=False, server_default=""))
    add_column("logins", sa.Column("used_at", BIG, nullable=True))
    add_column("memberships", sa.Column("delivered_seq", BIG, nullable=False, server_default="0"))
    add_column("memberships", sa.Column("role", sa.Integer(), nullable=False, server_default="1"))
    add_column("memberships", sa.Column("changed_seq", BIG, nullable=False, server_default="0"))
    create_table(
        "used_refresh_tokens",
        sa.Column("refresh_hash", HASH, primary_key=True),
        sa.Column("login_id", KEY, sa.ForeignKey("logins.id"), nullable=False),
        sa.Column("request_hash", HASH, nullable=False),
        sa.Column("used_at", BIG, nullable=False),
    )
    create_index("ix_used_refresh_tokens_login_id", "used_refresh_tokens", ["login_id"])
    create_index("ix_used_refresh_tokens_used_at", "used_refresh_tokens", ["used_at"])
    create_table(
        "rooms",
        sa.Column("conversation_id", exact(128), sa.ForeignKey("conversations.id"), primary_key=True),
        sa.Column("name", text(128), nullable=False),
        sa.Column("description", text(2000), nullable=False),
        sa.Column("join_policy", sa.Integer(), nullable=False),
        sa.Column("history_policy", sa.Integer(), nullable=False),
        sa.Column("created_by", BIG, nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("changed_seq", BIG, nullable=False),
    )


def downgrade() -> None:
    """Takes away what was added, and what was in it."""
    drop_table("rooms")
    drop_table("used_refresh_tokens")
    for table, columns in (
        ("memberships", ("changed_seq", "role", "delivered_seq")),
        ("logins", ("used_at", "device")),
        ("users", ("about", "display_name")),
    ):
        for column in columns:
            drop_column(table, column)
