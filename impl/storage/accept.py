"""Writing to conversations: one script call for a batch of a partition, repeated until Redis has answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from im.errors.v1 import reason_errors
from im.logic.v1.room_pb2 import JOIN_POLICY_OPEN
from im.stream.v1.conversation_event_pb2 import ConversationEvent, Marked
from im.stream.v1.conversation_event_stream import CONVERSATION_EVENT
from redis.asyncio import Redis
from redis.exceptions import RedisError

from codegen.runtime.errors import Error
from codegen.runtime.streams.backoff import Backoff
from codegen.runtime.streams.stamp import varint_tag
from impl.storage.generation import SEQ_JUMP, Recovery
from impl.storage.keys import ConversationKeys, script
from impl.storage.redis_client import away
from impl.storage.writes import Accepted, Answer, Argument, Send, Write

__all__ = ["Acceptance", "Accepted", "Attempt", "Send"]

logger = logging.getLogger(__name__)

_PARTS: Final = ("accept/batch", "accept/members", "accept/changes", "accept/items")
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Attempt:
    """A write, with what the database said if it was asked."""

    write: Write
    loaded: Argument = ""


class Acceptance:
    """Calls the script for batches of one partition."""

    def __init__(self, redis: Redis, partitions: int, recovery: Recovery | None, *, patience: float) -> None:
        """`patience` is how long, in seconds, a batch is tried while Redis is away."""
        self._redis = redis
        self._patience = patience
        self._seen = recovery.seen if recovery else [0] * partitions
        self._script = redis.register_script(script(*_PARTS))
        self._shared_arguments: tuple[Argument, ...] = (
            varint_tag(CONVERSATION_EVENT.epoch_number),
            varint_tag(CONVERSATION_EVENT.sequence_number),
            SEQ_JUMP,
            # An empty message is its tag and a length of 0.
            ConversationEvent(mark=Marked()).SerializeToString()[:-1],
            varint_tag(Marked.DELIVERED_SEQ_FIELD_NUMBER),
            varint_tag(Marked.READ_SEQ_FIELD_NUMBER),
            JOIN_POLICY_OPEN,
        )

    async def append(self, partition: int, attempts: Sequence[Attempt]) -> Sequence[Answer]:
        """One answer for each attempt.

        After a failure in mid-call it is unknown whether the batch was accepted. Calling again is safe: what
        was accepted is found again as its own duplicate.

        Raises:
            Error: DEPENDENCY_UNAVAILABLE or RECOVERING when Redis did not answer for too long.
        """
        failure = away()
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        repeated = False
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    answer = await self._attempted(partition, attempts)
                    if not isinstance(answer, Error):
                        return self._answers(partition, answer, repeated=repeated)
                    failure, repeated = answer, True
                    await asyncio.sleep(backoff.pause())
        except TimeoutError:
            raise failure from None

    async def _attempted(self, partition: int, attempts: Sequence[Attempt]) -> list[bytes] | Error:
        try:
            answer = await self._call(partition, attempts)
        except (RedisError, OSError) as error:
            logger.info("partition %d: accepting is repeated: %s", partition, error)
            return away()
        except Error as error:  # from the check of a new connection
            return error
        return await self._stale(partition) if answer[0] == b"STALE" else answer

    async def _call(self, partition: int, attempts: Sequence[Attempt]) -> list[bytes]:
        keys = ConversationKeys(partition)
        runtime = keys.of_partition
        names = [runtime.stream, runtime.counters, runtime.generation, *keys.dedupe]
        arguments: list[Argument] = [self._seen[partition], *self._shared_arguments]
        for attempt in attempts:
            write = attempt.write
            names += keys.written(write.conversation_id)
            arguments += write.arguments
            arguments.append(attempt.loaded)
        answer: bytes = await self._script(keys=names, args=arguments)
        return answer.split(b"\n")

    def _answers(self, partition: int, answer: Sequence[bytes], *, repeated: bool) -> list[Answer]:
        self._seen[partition] = max(self._seen[partition], int(answer[0]))
        lines = (line.split(b" ") for line in answer[1:])
        return [Answer(status, facts, repeated) for status, *facts in lines]

    async def _stale(self, partition: int) -> Error:
        # Connections check the generation when they are made: without them, the next call recovers first.
        logger.warning("partition %d does not hold what was accepted", partition)
        await self._redis.connection_pool.disconnect(inuse_connections=False)
        return Error(reason_errors.RECOVERING, "the partition is being recovered", retry_after=1.0)
