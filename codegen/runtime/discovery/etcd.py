"""The one wrapper around etcd."""

from __future__ import annotations

import builtins
import contextlib
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self

import grpc
from aetcd import rpc

from codegen.runtime.discovery.connection import Connection
from codegen.runtime.discovery.lease import Lease, hold_lease
from codegen.runtime.discovery.lock import hold_lock
from codegen.runtime.discovery.watch import Entry, Reader, Snapshot
from codegen.runtime.errors import Error

NO_LEASE = 0


class Etcd:
    """Keys of one deployment. Every operation is bounded in time; keys are relative to the prefix.

    Every operation raises Error DEPENDENCY_UNAVAILABLE while etcd cannot be reached, and works again
    by itself. After such an Error a write may have happened all the same.
    """

    def __init__(self, endpoints: Sequence[str], prefix: str, *, timeout: float = 2.0) -> None:
        self._root = prefix.rstrip("/") + "/"
        self._connection = Connection(endpoints, timeout)
        self._reader = Reader(self._connection, self._root)

    async def __aenter__(self) -> Self:
        """Open the channels; does not wait for etcd."""
        self._connection.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the channels."""
        await self._connection.close()

    async def get(self, key: str) -> Entry | None:
        """The entry, or None."""
        request = rpc.RangeRequest(key=self._key(key))
        found = await self._connection.call(lambda member: member.kv.Range, request)
        return self._reader.entry(found.kvs[0]) if found.kvs else None

    async def list(self, prefix: str) -> builtins.list[Entry]:
        """All entries whose keys begin with the prefix, sorted by key."""
        entries, _ = await self._reader.range(prefix)
        return builtins.list(entries.values())

    async def put(self, key: str, value: bytes, lease: Lease | None = None) -> int:
        """Write, whatever was there; returns the revision at which it was written."""
        request = rpc.PutRequest(key=self._key(key), value=value, lease=lease.id if lease else NO_LEASE)
        with _doubting(lease):
            written = await self._connection.call(lambda member: member.kv.Put, request)
        return int(written.header.revision)

    async def create(self, key: str, value: bytes, lease: Lease | None = None) -> Entry | None:
        """Write if the key does not exist; None if it does."""
        absent = self._compare(key, target=rpc.Compare.CREATE, create_revision=0)
        put = self._put(key, value, lease=lease.id if lease else NO_LEASE)
        with _doubting(lease):
            done, revision = await self._transact(absent, put)
        return Entry(key, value, revision, revision) if done else None

    async def replace(self, key: str, value: bytes, mod_revision: int) -> bool:
        """Write if the key was last modified at that revision; its lease stays."""
        unchanged = self._compare(key, target=rpc.Compare.MOD, mod_revision=mod_revision)
        done, _ = await self._transact(unchanged, self._put(key, value, ignore_lease=True))
        return done

    async def delete(
        self, key: str, create_revision: int | None = None, *, mod_revision: int | None = None
    ) -> bool:
        """Delete, if given only what was created or last modified at that revision; whether it was there."""
        if create_revision is not None:
            known = self._compare(key, target=rpc.Compare.CREATE, create_revision=create_revision)
        elif mod_revision is not None:
            known = self._compare(key, target=rpc.Compare.MOD, mod_revision=mod_revision)
        else:
            known = self._compare(
                key, target=rpc.Compare.CREATE, create_revision=0, result=rpc.Compare.GREATER
            )
        removal = rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=self._key(key)))
        done, _ = await self._transact(known, removal)
        return done

    def lease(self, seconds: int) -> AbstractAsyncContextManager[Lease]:
        """A lease that is kept alive, and made anew when it was lost; revoked on exit.

        Waits for etcd at first, 30 seconds at most.
        """
        return hold_lease(self._connection, seconds)

    async def watch(self, prefix: str) -> AsyncGenerator[Mapping[str, Entry], None]:
        """A snapshot of all keys with the prefix, at first and after every change, without end."""
        async with contextlib.aclosing(self.snapshots(prefix)) as snapshots:
            async for snapshot in snapshots:
                yield snapshot.entries

    def snapshots(self, prefix: str) -> AsyncGenerator[Snapshot, None]:
        """Like `watch`, and says which snapshots follow an interruption."""
        return self._reader.snapshots(prefix)

    def lock(self, name: str, seconds: int = 10) -> AbstractAsyncContextManager[None]:
        """Hold the lock `locks/<name>`; waits for its turn.

        If the lock may have been lost meanwhile, the body is cancelled and Error DEPENDENCY_UNAVAILABLE
        raised.
        """
        return hold_lock(self, f"locks/{name}", seconds)

    def _key(self, key: str) -> bytes:
        return (self._root + key).encode()

    def _compare(self, key: str, **what: Any) -> Any:
        return rpc.Compare(key=self._key(key), **{"result": rpc.Compare.EQUAL, **what})

    def _put(self, key: str, value: bytes, **how: Any) -> Any:
        return rpc.RequestOp(request_put=rpc.PutRequest(key=self._key(key), value=value, **how))

    async def _transact(self, condition: Any, operation: Any) -> tuple[bool, int]:
        request = rpc.TxnRequest(compare=[condition], success=[operation])
        answer = await self._connection.call(lambda member: member.kv.Txn, request, repeatable=False)
        return bool(answer.succeeded), int(answer.header.revision)


@contextlib.contextmanager
def _doubting(lease: Lease | None) -> Iterator[None]:
    """A refused write may mean that etcd lost the lease: let its keeper look at once."""
    try:
        yield
    except Error as error:
        cause = error.__cause__
        if lease and isinstance(cause, grpc.aio.AioRpcError) and cause.code() is grpc.StatusCode.NOT_FOUND:
            lease.doubt()
        raise
