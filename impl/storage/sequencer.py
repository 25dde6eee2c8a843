"""Every write to a conversation in its order, and the database asked where Redis does not know one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

from idiom.v1 import reason_errors as runtime_errors
from im.errors.v1 import reason_errors
from redis.asyncio import Redis

from codegen.runtime.errors import Error
from codegen.runtime.streams.partitions import partition_of
from codegen.runtime.streams.producer import Producer
from impl.storage.accept import Acceptance, Attempt
from impl.storage.generation import EPOCH_ORDINALS, Recovery
from impl.storage.lanes import Lanes
from impl.storage.membership import Stored
from impl.storage.writes import Answer, Write, loaded, loading

Load = Callable[[str], Awaitable[Stored | None]]

_LOADS_AT_ONCE: Final = 64
_ATTEMPTS: Final = 3
_WARM_KNOWN: Final = 65536
"""Conversations that a process remembers to be warm."""


class Sequencer:
    """Puts writes into the batches of their partitions. An async context manager."""

    def __init__(
        self, redis: Redis, partitions: int, load: Load, recovery: Recovery | None, *, patience: float
    ) -> None:
        """Takes what `Conversations` takes."""
        self._partitions = partitions
        self._load = load
        self._recovery = recovery
        self._patience = patience
        self._loads = asyncio.Semaphore(_LOADS_AT_ONCE)
        self._lanes = Lanes()
        self._warm: dict[str, None] = {}
        acceptance = Acceptance(redis, partitions, recovery, patience=patience)
        self._producer = Producer[Attempt, Answer](partitions, acceptance.append)

    async def __aenter__(self) -> Self:
        """Starts taking writes."""
        await self._producer.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finishes what was begun."""
        await self._producer.__aexit__(kind, error, trace)

    async def write(self, write: Write) -> Answer:
        """What the script says of a write; never that it is cold.

        Raises:
            Error: RECOVERING, OVERLOADED, DEPENDENCY_UNAVAILABLE.
        """
        try:
            # A little more than a batch's patience, so that a batch's own error is heard.
            async with asyncio.timeout(self._patience + 0.5):
                return await self._write(write)
        except TimeoutError:
            raise Error(
                runtime_errors.DEPENDENCY_UNAVAILABLE, "Redis did not answer in time", retry_after=1.0
            ) from None

    async def warm(self, conversation_id: str) -> bool:
        """Brings a conversation into Redis that only the database knows; whether anybody knows it.

        Raises:
            Error: RECOVERING, OVERLOADED, DEPENDENCY_UNAVAILABLE.
        """
        return (await self.write(loading(conversation_id))).known

    async def take(self, conversation_id: str, stored: Stored) -> None:
        """Brings a conversation into Redis of which the database has just said all it knows.

        Raises:
            Error: RECOVERING, OVERLOADED, DEPENDENCY_UNAVAILABLE.
        """
        load = loading(conversation_id)
        partition = partition_of(conversation_id, self._partitions)
        await self._producer.append(partition, Attempt(load, loaded(load, stored)))

    def saw(self, conversation_id: str, epoch: int) -> None:
        """Learns that the database holds something of this epoch."""
        if self._recovery:
            # A partition in an earlier epoch than this has lost something.
            self._recovery.saw(partition_of(conversation_id, self._partitions), epoch * EPOCH_ORDINALS)

    async def _stored(self, conversation_id: str) -> Stored | None:
        async with self._loads:
            stored = await self._load(conversation_id)
        if stored:
            self.saw(conversation_id, stored.epoch)
        return stored

    async def _write(self, write: Write) -> Answer:
        conversation = write.conversation_id
        partition = partition_of(conversation, self._partitions)
        while True:
            # Until it is known to be warm, one write at a time finds out, and the others keep their order.
            if conversation not in self._warm or conversation in self._lanes:
                async with self._lanes.enter(conversation):
                    if conversation not in self._warm:
                        return await self._explore(partition, write)
            answer = await self._producer.append(partition, Attempt(write))
            if not answer.cold:
                return answer
            self._warm.pop(conversation, None)

    async def _explore(self, partition: int, write: Write) -> Answer:
        attempt = Attempt(write)
        for _ in range(_ATTEMPTS):
            answer = await self._producer.append(partition, attempt)
            if answer.known:
                self._remember(write.conversation_id)
            if not answer.cold:
                return answer
            attempt = Attempt(write, loaded(write, await self._stored(write.conversation_id)))
        raise Error(reason_errors.RECOVERING, "the partition is being recovered", retry_after=1.0)

    def _remember(self, conversation_id: str) -> None:
        self._warm[conversation_id] = None
        if len(self._warm) > _WARM_KNOWN:
            del self._warm[next(iter(self._warm))]
