"""The one wrapper around etcd."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from codegen.runtime.discovery.lease import Lease


@dataclass(frozen=True, slots=True)
class Entry:
    """One key as etcd held it."""

    key: str
    """Without the prefix of the deployment."""
    value: bytes
    create_revision: int
    mod_revision: int


class Etcd:
    """Keys of one deployment. Every operation is bounded in time; keys are relative to the prefix.

    Every operation raises Error DEPENDENCY_UNAVAILABLE while etcd cannot be reached, and works again by itself.
    """

    def __init__(self, endpoints: Sequence[str], prefix: str, *, timeout: float = 2.0) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        """Open the channel; does not wait for etcd."""
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the channel."""

    async def get(self, key: str) -> Entry | None:
        """The entry, or None."""
        raise NotImplementedError

    async def list(self, prefix: str) -> list[Entry]:
        """All entries whose keys begin with the prefix, sorted by key."""
        raise NotImplementedError

    async def put(self, key: str, value: bytes, lease: Lease | None = None) -> None:
        """Write, whatever was there."""
        raise NotImplementedError

    async def create(self, key: str, value: bytes, lease: Lease | None = None) -> Entry | None:
        """Write if the key does not exist; None if it does."""
        raise NotImplementedError

    async def replace(self, key: str, value: bytes, mod_revision: int) -> bool:
        """Write if the key was last modified at that revision; its lease stays."""
        raise NotImplementedError

    async def delete(self, key: str, create_revision: int | None = None) -> bool:
        """Delete, if given only the key created at that revision; whether it was deleted."""
        raise NotImplementedError

    def lease(self, seconds: int) -> AbstractAsyncContextManager[Lease]:
        """A lease that is kept alive, and made anew when it was lost; revoked on exit."""
        raise NotImplementedError

    def watch(self, prefix: str) -> AsyncIterator[Mapping[str, Entry]]:
        """A snapshot of all keys with the prefix, at first and after every change, without end."""
        raise NotImplementedError

    def lock(self, name: str, seconds: int = 10) -> AbstractAsyncContextManager[None]:
        """Hold the lock `locks/<name>`; waits for its turn."""
        raise NotImplementedError
