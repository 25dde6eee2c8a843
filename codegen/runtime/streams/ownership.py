"""Who owns the partitions of a group."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, Never, Protocol

from idiom.v1 import reason_errors
from redis.exceptions import RedisError

from codegen.runtime.discovery import Entry, Etcd, Instance, Instances, Lease
from codegen.runtime.errors import Error
from codegen.runtime.streams.fenced_group import Claim, FencedGroup

logger = logging.getLogger(__name__)

_LOOK_AGAIN_SECONDS: Final = 1.0
"""After which a decision that failed is tried again, whatever happens."""


class Worker(Protocol):
    """What works on an owned partition."""

    async def run(self) -> None:
        """Works until stopped; raises Error FENCED when there is a later owner."""

    def stop(self) -> None:
        """Lets `run` return after what is under way."""


def assigned(names: Sequence[str], partition: str) -> str:
    """The instance that should own a partition: rendezvous hashing, the same in every process."""
    return max(names, key=lambda name: blake2b(f"{partition}\0{name}".encode()).digest())


@dataclass(slots=True)
class _Held:
    """A partition that this process works on."""

    entry: Entry
    claim: Claim
    worker: Worker
    task: asyncio.Task[None]
    lost: bool = False
    """Whether the key is gone, so that there is nothing to delete."""


@dataclass(slots=True)
class _View:
    """What etcd last said of the group's owner keys."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    known: bool = False


class Ownership:
    """Acquires, keeps and hands over the partitions of one group.

    An owner has the key `owners/<stream>/<group>/<partition>` in etcd, and the greatest token in Redis. The
    key decides who should work, the token who can: a process that lost its key unawares is refused by the
    scripts. While etcd is away everybody keeps what they have.
    """

    def __init__(  # noqa: PLR0913 - it takes its parts
        self,
        etcd: Etcd,
        group: FencedGroup,
        work: Callable[[Claim], Worker],
        *,
        instance: Instance,
        instances: Instances,
        lease: Lease,
        partitions: int,
    ) -> None:
        """`work` makes the worker of an acquired partition."""
        self._etcd = etcd
        self._group = group
        self._work = work
        self._instance = instance
        self._instances = instances
        self._lease = lease
        self._partitions = partitions
        self._prefix = f"owners/{group.stream.name}/{group.group.name}/"
        self._held: dict[int, _Held] = {}
        self._tokens: dict[int, int] = {}
        self._view = _View()
        self._wake = asyncio.Event()
        self._stopping = False

    def owned(self) -> list[int]:
        """Partitions that this process works on now."""
        return sorted(self._held)

    def stop(self) -> None:
        """Lets `run` hand everything over and return."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Owns until stopped. When cancelled, the keys stay until the lease ends."""
        async with asyncio.TaskGroup() as tasks:
            watchers = [tasks.create_task(self._watch_keys()), tasks.create_task(self._watch_instances())]
            while not self._stopping or self._held:
                self._wake.clear()
                await self._look(tasks)
                await self._woken()
            for watcher in watchers:
                watcher.cancel()

    async def _look(self, tasks: asyncio.TaskGroup) -> None:
        try:
            await self._settle()
            await self._decide(tasks)
        except (Error, RedisError, OSError) as error:
            logger.warning("%s: ownership stays as it is for now: %s", self._prefix, error)
        except Exception:  # the outermost loop: a defect must not end ownership
            logger.exception("%s: deciding failed", self._prefix)

    async def _woken(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
                await self._wake.wait()

    async def _settle(self) -> None:
        """Takes leave of the partitions whose workers have ended."""
        for partition, held in list(self._held.items()):
            if not held.task.done():
                continue
            if not held.lost:
                await self._delete(held.entry)
            del self._held[partition]
            logger.info("%s%d: released", self._prefix, partition)

    async def _delete(self, entry: Entry) -> None:
        """Deletes our key. Also after FENCED: if it is still ours, it was Redis that forgot the owner."""
        try:
            await self._etcd.delete(entry.key, entry.create_revision)
        except Error:
            if not self._stopping:
                raise
            logger.warning("%s: left to the end of the lease", entry.key)

    async def _decide(self, tasks: asyncio.TaskGroup) -> None:
        wanted = self._wanted()
        for partition, held in list(self._held.items()):
            if partition not in wanted or await self._is_lost(held):
                held.worker.stop()
        await self._give_up(wanted)
        if self._view.known:
            for partition in sorted(wanted - self._held.keys()):
                await self._claim(partition, tasks)

    async def _give_up(self, wanted: set[int]) -> None:
        """Deletes keys of ours under which nobody works, so that others may: acquiring can fail half-way."""
        for partition in set(range(self._partitions)) - wanted - self._held.keys():
            entry = self._view.entries.get(f"{self._prefix}{partition}")
            if entry and entry.value == self._value:
                await self._delete(entry)

    def _wanted(self) -> set[int]:
        if self._stopping:
            return set()
        names = [instance.name for instance in self._instances.all()]
        if self._instance.name not in names:
            return set(self._held)  # not registered (yet, or again): nothing changes
        return {
            partition
            for partition in range(self._partitions)
            if assigned(names, f"{self._prefix}{partition}") == self._instance.name
        }

    async def _is_lost(self, held: _Held) -> bool:
        seen = self._view.entries.get(held.entry.key)
        if seen and seen.create_revision == held.entry.create_revision:
            return False
        if not held.lost:  # unless the watch is only late
            found = await self._etcd.get(held.entry.key)
            held.lost = found is None or found.create_revision != held.entry.create_revision
        return held.lost

    async def _claim(self, partition: int, tasks: asyncio.TaskGroup) -> None:
        entry = await self._own_key(f"{self._prefix}{partition}")
        if entry is None:
            return  # its owner is alive or not yet dead: the watch says when the key goes
        least = max(entry.create_revision, self._tokens.get(partition, 0) + 1)
        claim = await self._group.acquire(partition, least)
        self._tokens[partition] = claim.token
        worker = self._work(claim)
        task = tasks.create_task(self._run(worker, entry.key))
        self._held[partition] = _Held(entry, claim, worker, task)
        logger.info("%s: acquired with token %d", entry.key, claim.token)

    @property
    def _value(self) -> bytes:
        """What our keys hold."""
        return f"{self._instance.name}|{self._instance.boot_id}|{self._lease.generation}".encode()

    async def _own_key(self, key: str) -> Entry | None:
        value = self._value
        seen = self._view.entries.get(key)
        if seen and seen.value != value:
            return None
        if created := await self._etcd.create(key, value, self._lease):
            return created
        # After a failure it may be our own, made by an attempt whose answer was lost.
        found = await self._etcd.get(key)
        return found if found and found.value == value else None

    async def _run(self, worker: Worker, key: str) -> None:
        try:
            await worker.run()
        except Error as error:
            if error.reason != reason_errors.FENCED:
                logger.exception("%s: the worker failed", key)
            else:
                logger.warning("%s: %s", key, error)
        except Exception:  # the outermost loop of the partition: it is acquired again
            logger.exception("%s: the worker failed", key)
        finally:
            self._wake.set()

    async def _watch_keys(self) -> Never:
        while True:
            async with aclosing(self._etcd.watch(self._prefix)) as views:
                async for entries in views:
                    self._view = _View(entries, known=True)
                    self._wake.set()

    async def _watch_instances(self) -> Never:
        while True:
            await self._instances.changed()
            self._wake.set()
