"""Conversations in Redis: accepting messages, heads, hot tails, recency."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from redis.asyncio import Redis

from impl.storage.generation import Recovery


@dataclass(frozen=True, slots=True)
class Send:
    """A message to be accepted."""

    conversation_id: str
    sender_id: int
    members: tuple[int, ...]
    """Members that the conversation is created with if it does not exist."""
    client_message_id: str
    payload_hash: bytes
    """What makes two sends under one client_message_id the same."""
    message_id: int
    created_ms: int
    event: bytes
    """Serialized ConversationEvent without epoch and seq, which are appended when it is accepted."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What an accepted message got; of the first one if it is a duplicate."""

    message_id: int
    epoch: int
    seq: int
    created_ms: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a conversation. Positions are ordered by epoch, then seq."""

    conversation_id: str
    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database knows of a conversation."""

    epoch: int
    seq: int
    """Highest seq persisted."""
    members: tuple[int, ...]


Load = Callable[[str], Awaitable[Stored | None]]


class Conversations:
    """The Redis side of conversations. An async context manager."""

    def __init__(self, redis: Redis, partitions: int, load: Load, recovery: Recovery | None = None) -> None:
        """`load` reads a conversation from the database; `recovery` is that of the client's connections."""

    async def __aenter__(self) -> Self:
        """Starts accepting."""
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finishes what was begun."""
        raise NotImplementedError

    async def accept(self, send: Send) -> Accepted:
        """Sequences a message and puts it on the stream, on disk when this returns.

        Raises:
            Error: CLIENT_MESSAGE_ID_REUSED, NOT_A_MEMBER, RECOVERING, OVERLOADED, DEPENDENCY_UNAVAILABLE.
        """
        raise NotImplementedError

    async def heads(self, conversation_ids: Sequence[str]) -> Mapping[str, Position]:
        """Last positions of those conversations that Redis knows."""
        raise NotImplementedError

    async def tail(
        self, conversation_id: str, after: int | None, before: int | None, limit: int
    ) -> list[bytes]:
        """Envelopes of the hot tail with after < seq < before, ascending.

        The newest `limit` of them, or the oldest if only `after` is given.
        """
        raise NotImplementedError

    async def recent(self, user_id: int, limit: int) -> list[str]:
        """A user's conversations, newest first."""
        raise NotImplementedError

    async def touch(self, recency: Sequence[tuple[int, str, int]]) -> None:
        """Moves conversations up: (user, conversation, message id). Older ids change nothing."""
        raise NotImplementedError

    async def persisted(self, partition: int, seqs: Mapping[str, int]) -> None:
        """Notes what the database holds of the partition's conversations, and trims their hot tails."""
        raise NotImplementedError
