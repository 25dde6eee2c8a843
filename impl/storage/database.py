"""The database: connections, transactions, and what it means when it is away."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from sqlalchemy.ext.asyncio import AsyncConnection


class Database:
    """One database and its bounded pool of connections; enter it to use it.

    Args:
        url: SQLAlchemy URL of an asyncio driver, `sqlite+aiosqlite:///path` or `mysql+asyncmy://…`.
        pool: most connections open at once.
    """

    def __init__(self, url: str, *, pool: int = 8) -> None:
        self._url = url
        self._pool = pool

    async def __aenter__(self) -> Self:
        """Opens nothing yet: connections are made when first used."""
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes all connections."""
        raise NotImplementedError

    async def check(self) -> None:
        """Returns if the database answers and has its tables; Error DEPENDENCY_UNAVAILABLE otherwise."""
        raise NotImplementedError

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads: one snapshot. Error DEPENDENCY_UNAVAILABLE when the database is away."""
        raise NotImplementedError
        yield

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes: committed at the end of the block, rolled back if it raises.

        Error DEPENDENCY_UNAVAILABLE when the database is away or stays locked.
        """
        raise NotImplementedError
        yield
