"""Who is alive."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Self

from codegen.runtime.background import background
from codegen.runtime.discovery.etcd import Etcd
from codegen.runtime.discovery.lease import Lease
from codegen.runtime.discovery.watch import Entry, Snapshot
from codegen.runtime.errors import Error

LOG = logging.getLogger(__name__)

FIRST = 2.0
"""Seconds for which a start waits for the first view."""
SETTLE = 6.0
"""Seconds for which an instance that is missing after an interruption of etcd may be late."""
RETRY = 0.3
"""Seconds between attempts to register."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One process that serves a target."""

    target: str
    name: str
    boot_id: str
    """Differs with every start of the process."""
    address: str
    """`host:port` of its gRPC server."""
    attributes: Mapping[str, str] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def register(etcd: Etcd, instance: Instance, seconds: int) -> AsyncIterator[Lease]:
    """Keep `instances/<target>/<name>` in etcd while the context lasts.

    Put again by itself when the lease was lost. On exit only our own registration is deleted.
    """
    async with etcd.lease(seconds) as lease:
        registration = _Registration(etcd, instance, lease)
        await registration.put()
        keeper = background(registration.keep(), f"register-{instance.target}")
        try:
            yield lease
        finally:
            keeper.cancel()
            await asyncio.wait([keeper])
            await registration.delete()


class _Registration:
    def __init__(self, etcd: Etcd, instance: Instance, lease: Lease) -> None:
        self._etcd = etcd
        self._lease = lease
        self._key = f"instances/{instance.target}/{instance.name}"
        self._value = json.dumps(asdict(instance)).encode()
        self._revision = 0
        self._generation = 0

    async def put(self) -> None:
        """Put, however long etcd is away."""
        while True:
            generation = self._lease.generation
            try:
                self._revision = await self._etcd.put(self._key, self._value, self._lease)
            except Error as error:
                LOG.warning("%s cannot be registered now: %s", self._key, error)
                await asyncio.sleep(RETRY)
            else:
                self._generation = generation
                return

    async def keep(self) -> None:
        """Put again after every loss of the lease."""
        while True:
            if self._generation == self._lease.generation:
                await self._lease.renewed()
            await self.put()

    async def delete(self) -> None:
        """Delete, unless somebody of the same name has registered since."""
        with contextlib.suppress(Error):
            await self._etcd.delete(self._key, mod_revision=self._revision)


class Instances:
    """The live instances of one target, watched. Never forgets them because etcd is away."""

    def __init__(self, etcd: Etcd, target: str) -> None:
        self._etcd = etcd
        self._prefix = f"instances/{target}/"
        self._registered: dict[str, Instance] = {}
        self._late: dict[str, Instance] = {}
        self._known: dict[str, Instance] = {}
        self._changed = asyncio.Event()
        self._first = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None
        self._settling: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        """Start watching; waits a moment for the first view, but not for an etcd that is away."""
        self._watcher = background(self._watch(), f"watch {self._prefix}")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST):
                await self._first.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop watching."""
        if self._settling:
            self._settling.cancel()
        if self._watcher:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])

    def all(self) -> tuple[Instance, ...]:
        """All live instances, sorted by name."""
        return tuple(self._known.values())

    def get(self, name: str) -> Instance | None:
        """The live instance of that name."""
        return self._known.get(name)

    async def changed(self) -> None:
        """Wait until the next change."""
        await self._changed.wait()

    async def _watch(self) -> None:
        async with contextlib.aclosing(self._etcd.snapshots(self._prefix)) as snapshots:
            async for snapshot in snapshots:
                self._take(snapshot)
                self._first.set()

    def _take(self, snapshot: Snapshot) -> None:
        registered = _decoded(snapshot.entries)
        if snapshot.resumed:
            self._await_late({name: known for name, known in self._known.items() if name not in registered})
        self._registered = registered
        self._publish()

    def _await_late(self, late: dict[str, Instance]) -> None:
        self._late = late
        if self._settling:
            self._settling.cancel()
        self._settling = asyncio.get_running_loop().call_later(SETTLE, self._forget_late) if late else None

    def _forget_late(self) -> None:
        self._late = {}
        self._publish()

    def _publish(self) -> None:
        known = dict(sorted({**self._late, **self._registered}.items()))
        if known != self._known:
            self._known = known
            self._changed.set()
            self._changed = asyncio.Event()


def _decoded(entries: Mapping[str, Entry]) -> dict[str, Instance]:
    instances = {}
    for entry in entries.values():
        try:
            instance = Instance(**json.loads(entry.value))
        except (ValueError, TypeError):
            LOG.warning("%s is no registration", entry.key)
            continue
        if entry.key.split("/")[1:] == [instance.target, instance.name]:
            instances[instance.name] = instance
        else:
            LOG.warning("%s is the registration of something else", entry.key)
    return instances
