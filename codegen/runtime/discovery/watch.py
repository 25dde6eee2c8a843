"""A watch without end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from aetcd import rpc
from grpc import aio
from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE

from codegen.runtime.discovery.connection import Connection, unavailable
from codegen.runtime.errors import Error

LOG = logging.getLogger(__name__)

RETRY = 0.2
"""Seconds before a broken watch is made again, at least; up to twice as many."""
HAS_LEADER = (("hasleader", "true"),)
"""Ends a watch on a member that has lost its cluster, so that another member is asked."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One key as etcd held it."""

    key: str
    """Without the prefix of the deployment."""
    value: bytes
    create_revision: int
    mod_revision: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All keys with a prefix at one moment."""

    entries: Mapping[str, Entry]
    resumed: bool
    """First snapshot after a time in which etcd could not be watched: what is missing may only be late."""


def prefix_range(prefix: bytes) -> bytes:
    """The end of the range of all keys that begin with a prefix; etcd's API reference, `range_end`."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else b"\0"


class Reader:
    """Reads ranges of keys of one deployment."""

    def __init__(self, connection: Connection, root: str) -> None:
        self._connection = connection
        self._root = root

    def entry(self, pair: Any) -> Entry:
        """A key-value pair of etcd."""
        key = pair.key.decode()[len(self._root) :]
        return Entry(key, pair.value, pair.create_revision, pair.mod_revision)

    async def range(self, prefix: str) -> tuple[dict[str, Entry], int]:
        """All keys with the prefix, sorted, and the revision of this view."""
        start = (self._root + prefix).encode()
        request = rpc.RangeRequest(key=start, range_end=prefix_range(start))
        found = await self._connection.call(lambda member: member.kv.Range, request)
        entries = map(self.entry, found.kvs)
        return {entry.key: entry for entry in entries}, found.header.revision

    async def snapshots(self, prefix: str) -> AsyncGenerator[Snapshot, None]:
        """The present state, then every change. Does not end and does not fail because etcd is away."""
        last: Mapping[str, Entry] | None = None
        while True:
            try:
                async with contextlib.aclosing(self._once(prefix)) as states:
                    resumed = last is not None
                    async for entries in states:
                        if entries != last:
                            yield Snapshot(entries, resumed)
                        last, resumed = entries, False
            except Error as error:
                LOG.warning("the watch of %s is interrupted: %s", prefix, error)
            await asyncio.sleep(RETRY * (1 + random.random()))  # noqa: S311  # spreads load, hides nothing

    async def _once(self, prefix: str) -> AsyncGenerator[Mapping[str, Entry], None]:
        entries, revision = await self.range(prefix)
        yield entries
        async with contextlib.aclosing(self._responses(prefix, revision + 1)) as responses:
            async for response in responses:
                entries = self._applied(entries, response.events)
                yield entries

    def _applied(self, entries: Mapping[str, Entry], events: Any) -> dict[str, Entry]:
        changed = dict(entries)
        for event in events:
            entry = self.entry(event.kv)
            if event.type == event.DELETE:
                changed.pop(entry.key, None)
            else:
                changed[entry.key] = entry
        return dict(sorted(changed.items()))

    async def _responses(self, prefix: str, revision: int) -> AsyncGenerator[Any, None]:
        start = (self._root + prefix).encode()
        create = rpc.WatchCreateRequest(
            key=start, range_end=prefix_range(start), start_revision=revision, progress_notify=True
        )
        member = self._connection.present
        call = member.watch.Watch(metadata=HAS_LEADER)
        try:
            await call.write(rpc.WatchRequest(create_request=create))
            while (response := await call.read()) is not aio.EOF:
                if response.canceled:
                    raise Error(DEPENDENCY_UNAVAILABLE, f"etcd ended the watch: {response.cancel_reason}")
                if response.events:
                    yield response
        except aio.AioRpcError as failure:
            self._connection.turn(member)
            raise unavailable(failure) from failure
        finally:
            call.cancel()
