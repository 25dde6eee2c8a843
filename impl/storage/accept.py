"""Accepting messages: one script call for a batch of one partition, repeated until Redis has answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from idiom.v1 import reason_errors as runtime_errors
from im.errors.v1 import reason_errors
from im.stream.v1.conversation_event_stream import CONVERSATION_EVENT
from redis.asyncio import Redis
from redis.exceptions import RedisError

from codegen.runtime.errors import Error, Reason
from codegen.runtime.streams.backoff import Backoff
from codegen.runtime.streams.stamp import varint_tag
from impl.storage.generation import SEQ_JUMP, Recovery
from impl.storage.keys import ConversationKeys, script
from impl.storage.membership import Stored

logger = logging.getLogger(__name__)

Argument = str | int | bytes

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5

_REFUSALS: Final[Mapping[bytes, tuple[Reason, str]]] = {
    b"NOT_A_MEMBER": (reason_errors.NOT_A_MEMBER, "the sender is not a member of the conversation"),
    b"REUSED": (
        reason_errors.CLIENT_MESSAGE_ID_REUSED,
        "the client_message_id was used for another message",
    ),
}


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
class Attempt:
    """A send, with what the database said if it was asked."""

    send: Send
    asked: bool = False
    stored: Stored | None = None

    def arguments(self) -> list[Argument]:
        """Its part of the script's ARGV."""
        send = self.send
        field = f"{len(send.conversation_id)}:{send.conversation_id}{send.sender_id}:{send.client_message_id}"
        facts = f"{send.sender_id} {send.message_id} {send.created_ms}"
        return [field, send.payload_hash, send.event, facts, self._loaded()]

    def _loaded(self) -> str:
        if not self.asked:
            return ""
        if self.stored is None:
            return f"NEW 0 0 {_joined(self.send.members)}"
        members = _joined([member.user_id for member in self.stored.members])
        return f"STORED {self.stored.epoch} {self.stored.seq} {members}"


class Acceptance:
    """Calls the script for batches of one partition."""

    def __init__(self, redis: Redis, partitions: int, recovery: Recovery | None, *, patience: float) -> None:
        """`patience` is how long, in seconds, a batch is tried while Redis is away."""
        self._redis = redis
        self._patience = patience
        self._seen = recovery.seen if recovery else [0] * partitions
        self._script = redis.register_script(script("accept"))
        self._shared_arguments: tuple[Argument, ...] = (
            varint_tag(CONVERSATION_EVENT.epoch_number),
            varint_tag(CONVERSATION_EVENT.sequence_number),
            SEQ_JUMP,
        )

    async def append(self, partition: int, attempts: Sequence[Attempt]) -> Sequence[Accepted | Error | None]:
        """One outcome for each attempt; None means that the database must be asked first.

        After a failure in mid-call it is unknown whether the batch was accepted. Calling again is safe: what
        was accepted is found again as its own duplicate.

        Raises:
            Error: DEPENDENCY_UNAVAILABLE or RECOVERING when Redis did not answer for too long.
        """
        failure = _away()
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        repeated = False
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    answer = await self._attempted(partition, attempts)
                    if not isinstance(answer, Error):
                        return self._outcomes(partition, attempts, answer, repeated=repeated)
                    failure, repeated = answer, True
                    await asyncio.sleep(backoff.pause())
        except TimeoutError:
            raise failure from None

    async def _attempted(self, partition: int, attempts: Sequence[Attempt]) -> list[bytes] | Error:
        try:
            answer = await self._call(partition, attempts)
        except (RedisError, OSError) as error:
            logger.info("partition %d: accepting is repeated: %s", partition, error)
            return _away()
        except Error as error:  # from the check of a new connection
            return error
        return await self._stale(partition) if answer[0] == b"STALE" else answer

    async def _call(self, partition: int, attempts: Sequence[Attempt]) -> list[bytes]:
        keys = ConversationKeys(partition)
        runtime = keys.of_partition
        names = [runtime.stream, runtime.counters, runtime.generation, *keys.dedupe]
        arguments: list[Argument] = [self._seen[partition], *self._shared_arguments]
        for attempt in attempts:
            conversation = attempt.send.conversation_id
            names += (keys.head(conversation), keys.members(conversation), keys.tail(conversation))
            arguments += attempt.arguments()
        answer: bytes = await self._script(keys=names, args=arguments)
        return answer.split(b"\n")

    def _outcomes(
        self, partition: int, attempts: Sequence[Attempt], answer: Sequence[bytes], *, repeated: bool
    ) -> list[Accepted | Error | None]:
        self._seen[partition] = max(self._seen[partition], int(answer[0]))
        return [
            _outcome(attempt.send, result, repeated=repeated)
            for attempt, result in zip(attempts, answer[1:], strict=True)
        ]

    async def _stale(self, partition: int) -> Error:
        # Connections check the generation when they are made: without them, the next call recovers first.
        logger.warning("partition %d does not hold what was accepted", partition)
        await self._redis.connection_pool.disconnect(inuse_connections=False)
        return Error(reason_errors.RECOVERING, "the partition is being recovered", retry_after=1.0)


def _outcome(send: Send, result: bytes, *, repeated: bool) -> Accepted | Error | None:
    status, *facts = result.split(b" ")
    if status == b"COLD":
        return None
    if status in _REFUSALS:
        return Error(*_REFUSALS[status])
    message_id, epoch, seq, created_ms = map(int, facts)
    own = repeated and message_id == send.message_id
    return Accepted(message_id, epoch, seq, created_ms, duplicate=status == b"DUPLICATE" and not own)


def _away() -> Error:
    return Error(runtime_errors.DEPENDENCY_UNAVAILABLE, "Redis cannot be reached now", retry_after=1.0)


def _joined(members: Sequence[int]) -> str:
    return " ".join(map(str, members))
