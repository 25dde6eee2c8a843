"""The database: connections, transactions, and what it means when it is away."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE
from sqlalchemy import event, inspect, make_url, select
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import col

from codegen.runtime.errors import Error
from impl.storage.tables import PartitionMarkRow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
    from types import TracebackType

    from sqlalchemy import Connection
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
    from sqlalchemy.pool import ConnectionPoolEntry
    from sqlmodel import SQLModel

P = ParamSpec("P")
T = TypeVar("T")

BUSY_SECONDS = 5.0
"""Longest wait for a lock of SQLite, or for a free connection."""

WRITES = "idiom_writes"
"""Execution option of a connection whose transactions write."""
_DEFECTS = (IntegrityError, DataError, ProgrammingError, NotSupportedError)
"""Errors that say something about the statement rather than about the database."""

_logger = logging.getLogger(__name__)


def uninterrupted(method: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Lets a method that uses a transaction run to its end, though its caller is cancelled meanwhile.

    The caller waits for that end, which the limits of the database bound, and is cancelled then. A statement
    that is given up under way keeps its connection to SQLite open, and with it the lock of all writers.
    """

    @wraps(method)
    async def whole(*args: P.args, **kwargs: P.kwargs) -> T:
        task = asyncio.ensure_future(method(*args, **kwargs))
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            task.exception()  # nobody else will ask
            raise cancelled
        return task.result()

    return whole


class Database:
    """One database and its bounded pool of connections; enter it to use it.

    Args:
        url: SQLAlchemy URL of an asyncio driver, `sqlite+aiosqlite:///path` or `mysql+asyncmy://…`.
        pool: most connections open at once.
    """

    def __init__(self, url: str, *, pool: int = 8) -> None:
        self._url = url
        self._pool = pool
        self._engine: AsyncEngine | None = None
        self._turn: AbstractAsyncContextManager[Any] = nullcontext()

    async def __aenter__(self) -> Self:
        """Opens nothing yet: connections are made when first used."""
        self._engine = open_engine(self._url, self._pool)
        if self._engine.dialect.name == "sqlite":
            # One writer at a time is SQLite's own rule. Those of one process queue here, in order, instead of
            # polling for the lock.
            self._turn = asyncio.Lock()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes all connections."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()

    @uninterrupted
    async def check(self) -> None:
        """Returns if the database answers and has its tables; Error DEPENDENCY_UNAVAILABLE otherwise."""
        try:
            async with self.reading() as connection:
                await connection.execute(select(col(PartitionMarkRow.ordinal)).limit(1))
        except ProgrammingError as error:
            raise Error(DEPENDENCY_UNAVAILABLE, "the database has no tables yet") from error

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads: one snapshot. For `uninterrupted` methods.

        Error DEPENDENCY_UNAVAILABLE when the database is away.
        """
        with _translated():
            async with self._entered().connect() as connection, connection.begin():
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes: committed at the end of the block, rolled back if it raises.

        For `uninterrupted` methods.
        Error DEPENDENCY_UNAVAILABLE when the database is away or stays locked.
        """
        with _translated():
            async with self._turn, self._entered().connect() as connection:
                await connection.execution_options(**{WRITES: True})
                async with connection.begin():
                    yield connection

    def _entered(self) -> AsyncEngine:
        if self._engine is None:
            raise RuntimeError("the database is not open")
        return self._engine


async def put(connection: AsyncConnection, table: type[SQLModel], rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts whole rows; those whose primary key is there overwrite what was there."""
    if not rows:
        return
    keys = {column.name for column in inspect(table).primary_key}
    others = [name for name in rows[0] if name not in keys]
    if connection.dialect.name == "sqlite":
        fresh = sqlite.insert(table)
        statement = fresh.on_conflict_do_update(
            index_elements=sorted(keys), set_={name: fresh.excluded[name] for name in others}
        )
        await connection.execute(statement, rows)
    else:
        new = mysql.insert(table)
        await connection.execute(
            new.on_duplicate_key_update({name: new.inserted[name] for name in others}), rows
        )


def open_engine(url: str, pool: int = 1) -> AsyncEngine:
    """An engine with our rules of transactions. ValueError, without the password, if the URL is of no use."""
    try:
        parsed = make_url(url)
        sqlite = parsed.get_backend_name() == "sqlite"
        engine = create_async_engine(
            parsed,
            pool_size=pool,
            max_overflow=0,
            pool_timeout=BUSY_SECONDS,
            pool_pre_ping=not sqlite,
            hide_parameters=True,  # they are what people wrote to each other
            connect_args={"isolation_level": None, "timeout": BUSY_SECONDS} if sqlite else {},
        )
    except (ArgumentError, NoSuchModuleError, ImportError, TypeError) as error:
        raise ValueError(f"the database URL is of no use: {type(error).__name__}") from error
    if sqlite:
        event.listen(engine.sync_engine, "do_connect", _probe_sqlite)
        event.listen(engine.sync_engine, "connect", _configure_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _probe_sqlite(_dialect: object, _entry: object, arguments: Any, options: Any) -> None:
    """Fails where aiosqlite would: its failure leaves a thread behind that nobody waits for."""
    sqlite3.connect(*arguments, **options).close()


def _configure_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Takes the write lock at once: a transaction that reads first could not get it later."""
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _DEFECTS:
        raise
    except (DBAPIError, PoolTimeoutError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        _logger.warning("database unavailable: %s: %s", type(cause).__name__, cause)
        raise Error(DEPENDENCY_UNAVAILABLE, "the database is not available") from error
