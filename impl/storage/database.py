"""The database: connections, transactions, and what it means when it is away."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Self, TypeVar

from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE
from sqlalchemy import inspect, text
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from codegen.runtime.errors import Error
from impl.storage.engine import ANSWER_SECONDS, WRITES, open_engine
from impl.storage.tables import REVISION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
    from types import TracebackType

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
    from sqlmodel import SQLModel

P = ParamSpec("P")
T = TypeVar("T")

_DEFECTS = (IntegrityError, DataError, ProgrammingError, NotSupportedError)
"""Errors that say something about the statement rather than about the database."""

_TRIES: Final = 5
_LONGEST_PAUSE: Final = 0.1
_GIVEN_UP: Final = {1020, 1213}
"""What MySQL and MariaDB say when they end a transaction in favour of another one."""

_logger = logging.getLogger(__name__)


class Contention(Error):  # noqa: N818 - names a kind of unavailability
    """The database gave up the transaction for another one; done again, it may succeed."""


def uninterrupted(method: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Lets a method that uses a transaction run to its end, though its caller is cancelled meanwhile.

    The caller waits for that end, which the limits of the database bound, and is cancelled then. A statement
    that is given up under way keeps its connection to SQLite open, and with it the lock of all writers.

    A method whose transaction is given up for another one begins again.
    """

    @wraps(method)
    async def whole(*args: P.args, **kwargs: P.kwargs) -> T:
        task = asyncio.ensure_future(_repeated(lambda: method(*args, **kwargs)))
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


async def _repeated(attempt: Callable[[], Awaitable[T]]) -> T:
    for _ in range(_TRIES - 1):
        try:
            return await attempt()
        except Contention:
            await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311 - no secret
    return await attempt()


class Database:
    """One database and its bounded pool of connections; enter it to use it.

    Args:
        url: SQLAlchemy URL, `sqlite+aiosqlite:///path` or `mysql+asyncmy://user:password@host/name`.
        pool: most connections open at once.
        answer_seconds: longest wait for a server's answer to a statement.
    """

    def __init__(self, url: str, *, pool: int = 8, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._url = url
        self._pool = pool
        self._answer_seconds = answer_seconds
        self._engine: AsyncEngine | None = None
        self._turn: AbstractAsyncContextManager[Any] = nullcontext()

    async def __aenter__(self) -> Self:
        """Opens nothing yet: connections are made when first used.

        Error DEPENDENCY_UNAVAILABLE if the URL is of no use.
        """
        self._engine = open_engine(self._url, self._pool, answer_seconds=self._answer_seconds)
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
        """Returns if the database answers and has the tables of this version, or of a newer one.

        Error DEPENDENCY_UNAVAILABLE otherwise, which says why: not for strangers.
        """
        try:
            async with self.reading() as connection:
                revision = await connection.run_sync(_revision)
                if connection.dialect.name == "mysql":
                    await _warn_of_loss(connection)
        except Error as error:
            if error.__cause__ is None:
                raise
            raise Error(error.reason, f"{error.message}: {in_words(error.__cause__)}") from error.__cause__
        if revision < REVISION:
            state = "tables of an older version" if revision else "no tables yet"
            raise Error(DEPENDENCY_UNAVAILABLE, f"the database has {state}: `idiom migrate` makes them")

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


def in_words(error: BaseException) -> str:
    """What a database says is wrong, in one line."""
    cause = (error.orig if isinstance(error, DBAPIError) else None) or error
    said = cause.args[-1] if cause.args and isinstance(cause.args[-1], str) else str(cause)
    return said.strip().partition("\n")[0] or type(cause).__name__


def _revision(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


async def _warn_of_loss(connection: AsyncConnection) -> None:
    flushed = (await connection.execute(text("SELECT @@innodb_flush_log_at_trx_commit"))).scalar()
    if flushed != 1:
        _logger.warning(
            "the database may lose what is durable when its machine crashes:"
            " set innodb_flush_log_at_trx_commit to 1 (it is %s)",
            flushed,
        )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeoutError, OSError) as error:
        if _given_up(error):
            raise Contention(DEPENDENCY_UNAVAILABLE, "the database is too busy") from error
        if isinstance(error, _DEFECTS):
            raise
        _logger.warning("database unavailable: %s", in_words(error))
        raise Error(DEPENDENCY_UNAVAILABLE, "the database is not available") from error


def _given_up(error: BaseException | None) -> bool:
    """With the transaction its savepoints are gone: that they cannot be rolled back is a later error."""
    while error is not None:
        if isinstance(error, DBAPIError) and error.orig and _GIVEN_UP.intersection(error.orig.args[:1]):
            return True
        error = error.__context__
    return False
