"""Tables.

Times are milliseconds since the Unix epoch. Names and ids compare byte by byte in every database.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, UniqueConstraint
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import Field, SQLModel

REVISION: Final = "0002"
"""Of the migrations that make these tables. Revisions are ordered as texts."""
_BYTES_OF_CHARACTER: Final = 4


class ConversationKind(IntEnum):
    """What a conversation is. Values are stored."""

    UNKNOWN = 0
    PRIVATE = 1
    ROOM = 2


class EventKind(IntEnum):
    """What a stored event is. Values are stored."""

    UNKNOWN = 0
    """From a newer schema; kept whole."""
    MESSAGE = 1
    TOMBSTONE = 2
    ROOM = 3
    """A change of a room."""


class Utf8(TypeDecorator[str]):
    """Text as its bytes.

    No collation of MySQL does it: some ignore case, accents or spaces at the end, and of those that do not
    none has the same name in MariaDB.
    """

    impl = mysql.VARBINARY
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: object) -> bytes | None:
        """To the database."""
        return None if value is None else value.encode()

    def process_result_value(self, value: Any | None, _dialect: object) -> str | None:
        """From the database."""
        return None if value is None else bytes(value).decode()


def exact(length: int) -> TypeEngine[str]:
    """Text that is compared byte by byte: case and spaces at the end count. `length` is in characters."""
    return String(length).with_variant(Utf8(length * _BYTES_OF_CHARACTER), "mysql", "mariadb")


def text(length: int) -> TypeEngine[str]:
    """Text that is read and never compared."""
    return String(length).with_variant(mysql.VARCHAR(length, charset="utf8mb4"), "mysql", "mariadb")


def digest() -> TypeEngine[bytes]:
    """A SHA-256."""
    return LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")


def snowflake() -> TypeEngine[int]:
    """A key of 64 bits. SQLite keeps a table in the order of a key only if its type is INTEGER."""
    return BigInteger().with_variant(Integer, "sqlite")


def whole_envelope() -> TypeEngine[bytes]:
    """An envelope of up to 16 MiB."""
    return LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


class UserRow(SQLModel, table=True):
    """An account."""

    __tablename__ = "users"

    id: int = Field(sa_column=Column(snowflake(), primary_key=True, autoincrement=False))
    username: str = Field(sa_column=Column(exact(64), nullable=False))
    username_key: str = Field(sa_column=Column(exact(64), nullable=False, unique=True))
    """The name in lower case."""
    password_hash: str = Field(sa_column=Column(exact(255), nullable=False))
    """Argon2id, in its own encoding."""
    display_name: str = Field(default="", sa_column=Column(text(128), nullable=False, server_default=""))
    about: str = Field(default="", sa_column=Column(text(2000), nullable=False, server_default=""))
    created_at: int = Field(sa_column=Column(BigInteger, nullable=False))


class LoginRow(SQLModel, table=True):
    """A login: what a refresh token stands for."""

    __tablename__ = "logins"

    id: int = Field(sa_column=Column(snowflake(), primary_key=True, autoincrement=False))
    user_id: int = Field(sa_column=Column(snowflake(), ForeignKey("users.id"), nullable=False, index=True))
    refresh_hash: bytes = Field(sa_column=Column(digest(), nullable=False, unique=True))
    """SHA-256 of the refresh token that may be used next."""
    device: str = Field(default="", sa_column=Column(text(128), nullable=False, server_default=""))
    used_at: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    """When a refresh token was last used."""
    created_at: int = Field(sa_column=Column(BigInteger, nullable=False))
    expires_at: int = Field(sa_column=Column(BigInteger, nullable=False))
    revoked_at: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))


class UsedRefreshTokenRow(SQLModel, table=True):
    """A refresh token that was exchanged.

    Whoever shows it again ends its login, unless they repeat the exchange.
    """

    __tablename__ = "used_refresh_tokens"

    refresh_hash: bytes = Field(sa_column=Column(digest(), primary_key=True))
    """SHA-256 of the token."""
    login_id: int = Field(sa_column=Column(snowflake(), ForeignKey("logins.id"), nullable=False, index=True))
    request_hash: bytes = Field(sa_column=Column(digest(), nullable=False))
    """SHA-256 of the client request id of the exchange; of none, 32 bytes that belong to no id."""
    used_at: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))


class ConversationRow(SQLModel, table=True):
    """A conversation and its last stored position."""

    __tablename__ = "conversations"

    id: str = Field(sa_column=Column(exact(128), primary_key=True))
    kind: int = Field(sa_column=Column(Integer, nullable=False))
    """One of `ConversationKind`."""
    epoch: int = Field(sa_column=Column(BigInteger, nullable=False))
    last_seq: int = Field(sa_column=Column(BigInteger, nullable=False))
    last_message_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    """By which conversations are recent: ids grow with time."""


class RoomRow(SQLModel, table=True):
    """What makes a conversation a room."""

    __tablename__ = "rooms"

    conversation_id: str = Field(
        sa_column=Column(exact(128), ForeignKey("conversations.id"), primary_key=True)
    )
    name: str = Field(sa_column=Column(text(128), nullable=False))
    description: str = Field(sa_column=Column(text(2000), nullable=False))
    join_policy: int = Field(sa_column=Column(Integer, nullable=False))
    """A value of im.logic.v1.JoinPolicy."""
    history_policy: int = Field(sa_column=Column(Integer, nullable=False))
    """A value of im.logic.v1.HistoryPolicy."""
    created_by: int = Field(sa_column=Column(BigInteger, nullable=False))
    created_at: int = Field(sa_column=Column(BigInteger, nullable=False))
    changed_seq: int = Field(sa_column=Column(BigInteger, nullable=False))
    """Number of the last change of settings that is in this row."""


class MembershipRow(SQLModel, table=True):
    """Who is, or was, in a conversation: recipients of seq s are those with joined_seq ≤ s < left_seq."""

    __tablename__ = "memberships"

    user_id: int = Field(sa_column=Column(snowflake(), primary_key=True, autoincrement=False))
    conversation_id: str = Field(
        sa_column=Column(exact(128), ForeignKey("conversations.id"), primary_key=True, index=True)
    )
    joined_seq: int = Field(sa_column=Column(BigInteger, nullable=False))
    left_seq: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    read_seq: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    delivered_seq: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
    role: int = Field(default=1, sa_column=Column(Integer, nullable=False, server_default="1"))
    """A value of im.logic.v1.Role."""
    changed_seq: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
    """Number of the last change of the membership that is in this row."""


class MessageRow(SQLModel, table=True):
    """An event under its position, with its whole envelope."""

    __tablename__ = "messages"
    __table_args__ = (
        # Uniqueness of the position; in this order it also serves history, because seq grows over epochs too.
        Index("uq_messages_position", "conversation_id", "seq", "epoch", unique=True),
        UniqueConstraint(
            "conversation_id", "sender_id", "client_message_id", name="uq_messages_client_message_id"
        ),
    )

    id: int = Field(sa_column=Column(snowflake(), primary_key=True, autoincrement=False))
    conversation_id: str = Field(sa_column=Column(exact(128), nullable=False))
    epoch: int = Field(sa_column=Column(BigInteger, nullable=False))
    seq: int = Field(sa_column=Column(BigInteger, nullable=False))
    sender_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    client_message_id: str | None = Field(default=None, sa_column=Column(exact(128), nullable=True))
    """NULL where the row does not claim the id: tombstones, and events that are not messages."""
    kind: int = Field(sa_column=Column(Integer, nullable=False))
    """One of `EventKind`."""
    envelope: bytes = Field(sa_column=Column(whole_envelope(), nullable=False))
    created_at: int = Field(sa_column=Column(BigInteger, nullable=False))


class PartitionMarkRow(SQLModel, table=True):
    """How much of a partition's stream is stored."""

    __tablename__ = "partition_marks"

    partition: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    ordinal: int = Field(sa_column=Column(BigInteger, nullable=False))
