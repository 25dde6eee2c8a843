"""The first tables: users, logins, conversations, memberships, messages, marks of partitions."""

import sqlalchemy as sa

from impl.storage.migrations.steps import (
    BIG,
    ENVELOPE,
    HASH,
    KEY,
    create_index,
    create_table,
    drop_table,
    exact,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables."""
    _create_accounts()
    _create_conversations()
    _create_messages()


def _create_accounts() -> None:
    create_table(
        "users",
        sa.Column("id", KEY, primary_key=True, autoincrement=False),
        sa.Column("username", exact(64), nullable=False),
        sa.Column("username_key", exact(64), nullable=False, unique=True),
        sa.Column("password_hash", exact(255), nullable=False),
        sa.Column("created_at", BIG, nullable=False),
    )
    create_table(
        "logins",
        sa.Column("id", KEY, primary_key=True, autoincrement=False),
        sa.Column("user_id", KEY, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("refresh_hash", HASH, nullable=False, unique=True),
        sa.Column("created_at", BIG, nullable=False),
        sa.Column("expires_at", BIG, nullable=False),
        sa.Column("revoked_at", BIG, nullable=True),
    )
    create_index("ix_logins_user_id", "logins", ["user_id"])


def _create_conversations() -> None:
    create_table(
        "conversations",
        sa.Column("id", exact(128), primary_key=True),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("epoch", BIG, nullable=False),
        sa.Column("last_seq", BIG, nullable=False),
        sa.Column("last_message_id", BIG, nullable=False),
    )
    create_table(
        "memberships",
        sa.Column("user_id", KEY, primary_key=True, autoincrement=False),
        sa.Column("conversation_id", exact(128), sa.ForeignKey("conversations.id"), primary_key=True),
        sa.Column("joined_seq", BIG, nullable=False),
        sa.Column("left_seq", BIG, nullable=True),
        sa.Column("read_seq", BIG, nullable=False),
    )
    create_index("ix_memberships_conversation_id", "memberships", ["conversation_id"])


def _create_messages() -> None:
    create_table(
        "messages",
        sa.Column("id", KEY, primary_key=True, autoincrement=False),
        sa.Column("conversation_id", exact(128), nullable=False),
        sa.Column("epoch", BIG, nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("sender_id", BIG, nullable=False),
        sa.Column("client_message_id", exact(128), nullable=True),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("envelope", ENVELOPE, nullable=False),
        sa.Column("created_at", BIG, nullable=False),
        sa.UniqueConstraint(
            "conversation_id", "sender_id", "client_message_id", name="uq_messages_client_message_id"
        ),
    )
    create_index("uq_messages_position", "messages", ["conversation_id", "seq", "epoch"], unique=True)
    create_table(
        "partition_marks",
        sa.Column("partition", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("ordinal", BIG, nullable=False),
    )


def downgrade() -> None:
    """Drops the tables, and with them everything."""
    for table in ("partition_marks", "messages", "memberships", "conversations", "logins", "users"):
        drop_table(table)
