"""Which server holds the partitions, and whether it still holds everything that was accepted.

A new connection may be used only if the server is the one that every partition's generation names. Otherwise
the partitions are recovered first: kept in their epoch when nothing is missing, moved to a new one when
something is.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from idiom.v1 import reason_errors
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from codegen.runtime.discovery import Etcd
from codegen.runtime.errors import Error
from codegen.runtime.streams.redis_pool import redis_client
from impl.storage.keys import ConversationKeys, script
from impl.storage.shared_calls import SharedCalls

logger = logging.getLogger(__name__)

EPOCH_ORDINALS: Final = 1 << 40
"""Ordinals of epoch e begin at e times this, so that an ordinal alone tells an epoch."""
SEQ_JUMP: Final = 1000
"""What a conversation's seq jumps by when it enters a new epoch."""

_EPOCHS_KEY = "deployment/epochs"
_LOADING_POLL_SECONDS = 0.1
_RECOVERY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """What INFO says of a server."""

    run_id: str
    replication_id: str
    may_have_lost: bool
    """Whether a restart of it, or the failover to it, may have lost what it had answered."""


@dataclass(frozen=True, slots=True)
class PartitionState:
    """What Redis holds of one partition."""

    run_id: str
    replication_id: str
    epoch: int
    accepted: int

    def belongs_to(self, run_id: str, replication_id: str) -> bool:
        """Whether the partition was last checked on that server."""
        return self.epoch > 0 and (self.run_id, self.replication_id) == (run_id, replication_id)


def next_epoch(state: PartitionState, server: Server, known: int, announced: int) -> int:
    """The epoch in which a partition goes on.

    Args:
        state: what Redis holds.
        server: the server that holds it.
        known: highest ordinal that the database or this process has seen.
        announced: highest epoch that any recovery has announced.
    """
    moved = not state.belongs_to(server.run_id, server.replication_id)
    lost = state.accepted < known or (moved and server.may_have_lost)
    if state.epoch > 0 and not lost:
        return state.epoch
    return max(state.epoch, state.accepted // EPOCH_ORDINALS, known // EPOCH_ORDINALS, announced) + 1


class Recovery:
    """Checks every new connection, and recovers the partitions when the server is not the one they know.

    `connect_redis` enters and leaves it. One recovery at a time runs in a process, and in the deployment.
    """

    def __init__(
        self, url: str, etcd: Etcd, partitions: int, ordinal: Callable[[int], Awaitable[int]]
    ) -> None:
        """`ordinal` gives the highest ordinal of a partition that the database holds, 0 if none."""
        self._url = url
        self._etcd = etcd
        self._partitions = partitions
        self._ordinal = ordinal
        self._recoveries = SharedCalls[None]()
        self._suitable = False
        self.seen = [0] * partitions
        """Highest ordinal of each partition that this process knows to have been accepted."""

    async def __aenter__(self) -> Self:
        """Starts owning recoveries."""
        await self._recoveries.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for a recovery under way."""
        await self._recoveries.__aexit__(kind, error, trace)

    def saw(self, partition: int, ordinal: int) -> None:
        """Notes that an ordinal was accepted: a Redis that does not know it has lost something."""
        self.seen[partition] = max(self.seen[partition], ordinal)

    async def check(self, connection: AbstractConnection) -> None:
        """What a connection does when it is made (`redis_connect_func`).

        Raises:
            Error: DEPENDENCY_UNAVAILABLE when the server is unsuitable or cannot be recovered now.
            RedisError: the connection broke.
        """
        try:
            await connection.on_connect()
            await self._accept_server(connection)
        except BaseException:
            # An unchecked connection must not stay open: the pool would hand it out as if it were checked.
            await connection.disconnect(nowait=True)
            raise

    async def _accept_server(self, connection: AbstractConnection) -> None:
        if await self._current(connection):
            return
        await self.recover()
        if not await self._current(connection):
            raise RedisConnectionError("the server changed again while it was recovered")

    async def recover(self) -> None:
        """Compares what Redis holds with what is known, and makes it usable again.

        Raises:
            Error: DEPENDENCY_UNAVAILABLE when that is not possible now.
        """
        await self._recoveries.run("all", self._bounded_recovery)

    async def _bounded_recovery(self) -> None:
        try:
            async with asyncio.timeout(_RECOVERY_SECONDS):
                await self._recover()
        except (RedisError, OSError) as error:  # a TimeoutError is an OSError
            logger.warning("recovery failed: %s", error)
            raise Error(
                reason_errors.DEPENDENCY_UNAVAILABLE,
                f"Redis cannot be recovered now: {error}",
                retry_after=1.0,
            ) from error

    async def _current(self, connection: AbstractConnection) -> bool:
        """Whether every partition was checked on this server and holds what this process has seen."""
        if not self._suitable:
            refuse_unsuitable(_parse_info(await _ask(connection, ("INFO",))))
            self._suitable = True
        seen = list(self.seen)  # before Redis is asked: other connections go on accepting
        commands: list[tuple[str, ...]] = [("INFO", "server"), ("INFO", "replication")]
        for partition in range(self._partitions):
            commands += _state_commands(partition)
        await connection.send_packed_command(connection.pack_commands(commands))
        answers = [await connection.read_response() for _ in commands]
        info = {**_parse_info(answers[0]), **_parse_info(answers[1])}
        states = _states(answers[2:])
        return all(
            state.belongs_to(info["run_id"], info["master_replid"]) and state.accepted >= ordinal
            for state, ordinal in zip(states, seen, strict=True)
        )

    async def _recover(self) -> None:
        async with (
            self._etcd.lock("redis-recovery", seconds=5),
            redis_client(self._url) as redis,
        ):
            await _loaded(redis)
            server = await _server(redis)
            # What is known first, then what Redis holds: both grow while others go on accepting.
            known = [max(self.seen[p], await self._ordinal(p)) for p in range(self._partitions)]
            states = await self._read(redis)
            announced = await self._announced()
            epochs = [
                next_epoch(state, server, *facts)
                for state, *facts in zip(states, known, announced, strict=True)
            ]
            if epochs != announced:
                # Announced first: if Redis is lost right after this, the epoch is still not used again.
                await self._etcd.put(_EPOCHS_KEY, json.dumps(epochs).encode())
            await self._bind(redis, server, states, epochs)

    async def _read(self, redis: Redis) -> list[PartitionState]:
        pipeline = redis.pipeline(transaction=False)
        for partition in range(self._partitions):
            for command in _state_commands(partition):
                pipeline.execute_command(*command)
        return _states(await pipeline.execute())

    async def _announced(self) -> list[int]:
        entry = await self._etcd.get(_EPOCHS_KEY)
        epochs: list[int] = json.loads(entry.value) if entry else []
        return (epochs + [0] * self._partitions)[: self._partitions]

    async def _bind(
        self, redis: Redis, server: Server, states: Sequence[PartitionState], epochs: Sequence[int]
    ) -> None:
        bind = redis.register_script(script("recover"))
        for partition, (state, epoch) in enumerate(zip(states, epochs, strict=True)):
            keys = ConversationKeys(partition).of_partition
            await bind(
                keys=[keys.generation, keys.counters],
                args=[server.run_id, server.replication_id, epoch, epoch * EPOCH_ORDINALS],
            )
            if epoch != state.epoch:
                level = logging.INFO if epoch == 1 else logging.WARNING
                logger.log(level, "partition %d enters epoch %d (was %d)", partition, epoch, state.epoch)


def refuse_unsuitable(info: Mapping[str, str]) -> None:
    """Refuses a server that evicts keys or keeps nothing on disk.

    Raises:
        Error: DEPENDENCY_UNAVAILABLE, saying which setting to change.
    """
    policy = info.get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        raise Error(
            reason_errors.DEPENDENCY_UNAVAILABLE,
            f"Redis would evict accepted messages: set maxmemory-policy to noeviction (it is {policy})",
        )
    if info.get("aof_enabled") != "1":
        raise Error(
            reason_errors.DEPENDENCY_UNAVAILABLE,
            "Redis would forget accepted messages: set appendonly to yes",
        )


def _state_commands(partition: int) -> list[tuple[str, ...]]:
    keys = ConversationKeys(partition).of_partition
    return [
        ("HMGET", keys.generation, "run_id", "replication_id", "epoch"),
        ("HGET", keys.counters, "accepted"),
    ]


def _states(answers: Sequence[Any]) -> list[PartitionState]:
    return [
        PartitionState(
            (run_id or b"").decode(), (replid or b"").decode(), int(epoch or 0), int(accepted or 0)
        )
        for (run_id, replid, epoch), accepted in zip(answers[::2], answers[1::2], strict=True)
    ]


async def _ask(connection: AbstractConnection, command: tuple[str, ...]) -> Any:
    await connection.send_command(*command)
    return await connection.read_response()


async def _loaded(redis: Redis) -> None:
    while (await _info(redis))["loading"] != "0":  # noqa: ASYNC110 - Redis announces nothing
        await asyncio.sleep(_LOADING_POLL_SECONDS)


async def _server(redis: Redis) -> Server:
    info = await _info(redis)
    refuse_unsuitable(info)
    promoted = info.get("master_replid2", "").strip("0") != ""
    return Server(info["run_id"], info["master_replid"], promoted or not await _syncs_always(redis))


async def _syncs_always(redis: Redis) -> bool:
    try:
        config = await redis.config_get("appendfsync")
    except RedisError:  # hosted servers do not tell: assume the worse
        return False
    return "always" in {value.decode() if isinstance(value, bytes) else value for value in config.values()}


async def _info(redis: Redis) -> dict[str, str]:
    connection_info = await redis.info()
    return {key: str(value) for key, value in connection_info.items()}


def _parse_info(text: bytes) -> dict[str, str]:
    lines = text.decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
