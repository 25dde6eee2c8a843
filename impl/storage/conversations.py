"""Conversations in Redis: accepting messages, heads, hot tails, recency."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from idiom.v1 import reason_errors as runtime_errors
from im.errors.v1 import reason_errors
from redis.asyncio import Redis

from codegen.runtime.errors import Error
from codegen.runtime.streams.partitions import partition_of
from codegen.runtime.streams.producer import Producer
from impl.storage.accept import Acceptance, Accepted, Attempt, Send, Stored
from impl.storage.generation import EPOCH_ORDINALS, Recovery
from impl.storage.keys import ConversationKeys, keys_of, recent, script
from impl.storage.lanes import Lanes
from impl.storage.redis_client import translated

__all__ = ["Accepted", "Conversations", "Load", "Position", "Send", "Stored"]

Load = Callable[[str], Awaitable[Stored | None]]

TAIL_KEEPS: Final = 100
"""Entries of a hot tail that stay though the database holds them."""
RECENT_KEEPS: Final = 1000
"""Conversations in a user's recency."""
_LOADS_AT_ONCE: Final = 64
_ATTEMPTS: Final = 3
_WARM_KNOWN: Final = 65536
"""Conversations that a process remembers to be warm."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a conversation. Positions are ordered by epoch, then seq."""

    conversation_id: str
    epoch: int
    seq: int


class Conversations:
    """The Redis side of conversations. An async context manager."""

    def __init__(
        self,
        redis: Redis,
        partitions: int,
        load: Load,
        recovery: Recovery | None = None,
        *,
        patience: float = 5.0,
    ) -> None:
        """Takes its parts.

        Args:
            redis: made by `connect_redis` with a recovery.
            partitions: number of partitions of the deployment.
            load: reads a conversation from the database; None if it holds nothing of it.
            recovery: that of the client's connections; learns what was accepted.
            patience: seconds for which a send waits for a Redis that is away.
        """
        self._redis = redis
        self._partitions = partitions
        self._load = load
        self._recovery = recovery
        self._patience = patience
        self._loads = asyncio.Semaphore(_LOADS_AT_ONCE)
        self._lanes = Lanes()
        self._warm: dict[str, None] = {}
        acceptance = Acceptance(redis, partitions, recovery, patience=patience)
        self._producer = Producer[Attempt, Accepted | None](partitions, acceptance.append)
        self._persisted = redis.register_script(script("persisted"))

    async def __aenter__(self) -> Self:
        """Starts accepting."""
        await self._producer.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finishes what was begun."""
        await self._producer.__aexit__(kind, error, trace)

    async def accept(self, send: Send) -> Accepted:
        """Sequences a message and puts it on the stream, on disk when this returns.

        Raises:
            Error: CLIENT_MESSAGE_ID_REUSED, NOT_A_MEMBER, RECOVERING, OVERLOADED, DEPENDENCY_UNAVAILABLE.
        """
        try:
            # A little more than a batch's patience, so that a batch's own error is heard.
            async with asyncio.timeout(self._patience + 0.5):
                return await self._accept(send)
        except TimeoutError:
            raise Error(
                runtime_errors.DEPENDENCY_UNAVAILABLE, "Redis did not answer in time", retry_after=1.0
            ) from None

    async def _accept(self, send: Send) -> Accepted:
        conversation = send.conversation_id
        partition = partition_of(conversation, self._partitions)
        while True:
            # Until it is known to be warm, one send at a time finds out, and the others keep their order.
            if conversation not in self._warm or conversation in self._lanes:
                async with self._lanes.enter(conversation):
                    if conversation not in self._warm:
                        return await self._explore(partition, send)
            accepted = await self._producer.append(partition, Attempt(send))
            if accepted:
                return accepted
            self._warm.pop(conversation, None)

    async def _explore(self, partition: int, send: Send) -> Accepted:
        attempt = Attempt(send)
        for _ in range(_ATTEMPTS):
            accepted = await self._producer.append(partition, attempt)
            if accepted:
                self._remember(send.conversation_id)
                return accepted
            stored = await self._read(partition, send.conversation_id)
            attempt = Attempt(send, asked=True, stored=stored)
        raise Error(reason_errors.RECOVERING, "the partition is being recovered", retry_after=1.0)

    def _remember(self, conversation_id: str) -> None:
        self._warm[conversation_id] = None
        if len(self._warm) > _WARM_KNOWN:
            del self._warm[next(iter(self._warm))]

    async def _read(self, partition: int, conversation_id: str) -> Stored | None:
        async with self._loads:
            stored = await self._load(conversation_id)
        if stored and self._recovery:
            # A partition in an earlier epoch than this has lost something.
            self._recovery.saw(partition, stored.epoch * EPOCH_ORDINALS)
        return stored

    async def heads(self, conversation_ids: Sequence[str]) -> Mapping[str, Position]:
        """Last positions of those conversations that Redis knows.

        Raises:
            Error: DEPENDENCY_UNAVAILABLE.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for conversation in conversation_ids:
            pipeline.hmget(keys_of(conversation, self._partitions).head(conversation), "epoch", "seq")
        with translated():
            heads = await pipeline.execute() if conversation_ids else []
        return {
            conversation: Position(conversation, int(epoch), int(seq))
            for conversation, (epoch, seq) in zip(conversation_ids, heads, strict=True)
            if epoch is not None
        }

    async def tail(
        self, conversation_id: str, after: int | None, before: int | None, limit: int
    ) -> list[bytes]:
        """Envelopes of the hot tail with after < seq < before, ascending.

        The newest `limit` of them, or the oldest if only `after` is given.

        Raises:
            Error: DEPENDENCY_UNAVAILABLE.
        """
        key = keys_of(conversation_id, self._partitions).tail(conversation_id)
        low = "-inf" if after is None else f"({after}"
        high = "+inf" if before is None else f"({before}"
        with translated():
            if after is not None and before is None:
                oldest: Any = await self._redis.zrangebyscore(key, low, high, start=0, num=limit)
                return list(oldest)
            newest: Any = await self._redis.zrevrangebyscore(key, high, low, start=0, num=limit)
            return list(newest[::-1])

    async def recent(self, user_id: int, limit: int) -> list[str]:
        """A user's conversations, newest first.

        Raises:
            Error: DEPENDENCY_UNAVAILABLE.
        """
        with translated():
            found: Any = await self._redis.zrevrange(recent(user_id), 0, limit - 1) if limit > 0 else []
        return [conversation.decode() for conversation in found]

    async def touch(self, recency: Sequence[tuple[int, str, int]]) -> None:
        """Moves conversations up: (user, conversation, message id). Older ids change nothing.

        Raises:
            Error: DEPENDENCY_UNAVAILABLE.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for user, conversation, message_id in recency:
            pipeline.zadd(recent(user), {conversation: message_id}, gt=True)
        for user in {user for user, _, _ in recency}:
            pipeline.zremrangebyrank(recent(user), 0, -RECENT_KEEPS - 1)
        with translated():
            if recency:
                await pipeline.execute()

    async def persisted(self, partition: int, seqs: Mapping[str, int]) -> None:
        """Notes what the database holds of the partition's conversations, and trims their hot tails.

        Raises:
            Error: DEPENDENCY_UNAVAILABLE.
        """
        keys = ConversationKeys(partition)
        names = [name for conversation in seqs for name in (keys.head(conversation), keys.tail(conversation))]
        with translated():
            if seqs:
                await self._persisted(keys=names, args=[TAIL_KEEPS, *seqs.values()])
