"""Who is alive."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from codegen.runtime.discovery.etcd import Etcd
from codegen.runtime.discovery.lease import Lease


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


def register(etcd: Etcd, instance: Instance, seconds: int) -> AbstractAsyncContextManager[Lease]:
    """Keep `instances/<target>/<name>` in etcd while the context lasts.

    Put again by itself when the lease was lost. On exit only our own registration is deleted.
    """
    raise NotImplementedError


class Instances:
    """The live instances of one target, watched. Never forgets them because etcd is away."""

    def __init__(self, etcd: Etcd, target: str) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        """Start watching; does not wait for etcd."""
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop watching."""

    def all(self) -> tuple[Instance, ...]:
        """All live instances, sorted by name."""
        raise NotImplementedError

    def get(self, name: str) -> Instance | None:
        """The live instance of that name."""
        raise NotImplementedError

    async def changed(self) -> None:
        """Wait until the next change."""
        raise NotImplementedError
