"""The first tables: users, logins, conversations, memberships, messages, marks of partitions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BIG = sa.BigInteger()
_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_HASH = sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
_ENVELOPE = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


def _exact(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(mysql.VARCHAR(length, collation="utf8mb4_bin"), "mysql", "mariadb")


def upgrade() -> None:
    """Creates the tables."""
    _create_accounts()
    _create_conversations()
    _create_messages()


def _create_accounts() -> None:
    op.create_table(
        "users",
        sa.Column("id", _KEY, primary_key=True, autoincrement=False),
        sa.Column("username", _exact(64), nullable=False),
        sa.Column("username_key", _exact(64), nullable=False, unique=True),
        sa.Column("password_hash", _exact(255), nullable=False),
        sa.Column("created_at", _BIG, nullable=False),
    )
    op.create_table(
        "logins",
        sa.Column("id", _KEY, primary_key=True, autoincrement=False),
        sa.Column("user_id", _KEY, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("refresh_hash", _HASH, nullable=False, unique=True),
        sa.Column("created_at", _BIG, nullable=False),
        sa.Column("expires_at", _BIG, nullable=False),
        sa.Column("revoked_at", _BIG, nullable=True),
    )
    op.create_index("ix_logins_user_id", "logins", ["user_id"])


def _create_conversations() -> None:
    op.create_table(
        "conversations",
        sa.Column("id", _exact(128), primary_key=True),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("epoch", _BIG, nullable=False),
        sa.Column("last_seq", _BIG, nullable=False),
        sa.Column("last_message_id", _BIG, nullable=False),
    )
    op.create_table(
        "memberships",
        sa.Column("user_id", _KEY, primary_key=True, autoincrement=False),
        sa.Column("conversation_id", _exact(128), sa.ForeignKey("conversations.id"), primary_key=True),
        sa.Column("joined_seq", _BIG, nullable=False),
        sa.Column("left_seq", _BIG, nullable=True),
        sa.Column("read_seq", _BIG, nullable=False),
    )
    op.create_index("ix_memberships_conversation_id", "memberships", ["conversation_id"])


def _create_messages() -> None:
    op.create_table(
        "messages",
        sa.Column("id", _KEY, primary_key=True, autoincrement=False),
        sa.Column("conversation_id", _exact(128), nullable=False),
        sa.Column("epoch", _BIG, nullable=False),
        sa.Column("seq", _BIG, nullable=False),
        sa.Column("sender_id", _BIG, nullable=False),
        sa.Column("client_message_id", _exact(128), nullable=True),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("envelope", _ENVELOPE, nullable=False),
        sa.Column("created_at", _BIG, nullable=False),
        sa.UniqueConstraint(
            "conversation_id", "sender_id", "client_message_id", name="uq_messages_client_message_id"
        ),
    )
    op.create_index("uq_messages_position", "messages", ["conversation_id", "seq", "epoch"], unique=True)
    op.create_table(
        "partition_marks",
        sa.Column("partition", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("ordinal", _BIG, nullable=False),
    )


def downgrade() -> None:
    """Drops the tables, and with them everything."""
    for table in ("partition_marks", "messages", "memberships", "conversations", "logins", "users"):
        op.drop_table(table)
