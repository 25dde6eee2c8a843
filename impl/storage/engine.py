"""Which databases there may be, and how connections to them are set up."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Final

from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE
from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import create_async_engine

from codegen.runtime.errors import Error

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.engine import ExceptionContext
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import ConnectionPoolEntry

BUSY_SECONDS = 5.0
"""Longest wait for a lock, or for a free connection."""
ANSWER_SECONDS: Final = 10.0
"""Longest wait for a server's answer to a statement."""
WRITES: Final = "idiom_writes"
"""Execution option of a connection whose transactions write."""

_CONNECT_SECONDS = 5
_LEAST_PACKET: Final = 4 << 20
"""The driver puts rows into statements of about 1 MiB; one row may be larger."""
_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "mysql": "mysql+asyncmy",
    "mysql+asyncmy": "mysql+asyncmy",
    "mariadb": "mysql+asyncmy",
    "mariadb+asyncmy": "mysql+asyncmy",
}
_OPTIONS: Final = {
    "sqlite": set[str](),
    "mysql": {
        "unix_socket",
        "ssl_ca",
        "ssl_capath",
        "ssl_cert",
        "ssl_key",
        "ssl_cipher",
        "ssl_check_hostname",
    },
}
_MYSQL_SESSION: Final = (
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",  # what reads is one snapshot
    "SET SESSION sql_mode = 'TRADITIONAL'",  # strict: what does not fit is an error, nothing is cut off
)
_MYSQL_MUST_GO_ELSEWHERE: Final = {1290, 1792, 1836}
"""The server only reads: since it became a replica, connections to it lead to the wrong one."""


def parsed(url: str) -> URL:
    """A URL with the driver that we use.

    Raises:
        Error: DEPENDENCY_UNAVAILABLE with one sentence, without the password, if the URL is of no use.
    """
    try:
        found = make_url(url)
        driver = _DRIVERS[found.drivername]
    except (ArgumentError, ValueError, KeyError):
        raise _of_no_use("it begins with neither sqlite+aiosqlite:// nor mysql+asyncmy://") from None
    if not found.database:
        raise _of_no_use("it names no database")
    options = _OPTIONS[driver.partition("+")[0]]
    unknown = sorted(set(found.query) - options)
    if unknown:
        known = f"there are {', '.join(sorted(options))}" if options else "there are none"
        raise _of_no_use(f"it has the option {unknown[0]}; {known}")
    return found.set(drivername=driver)


def open_engine(url: str, pool: int = 1, *, answer_seconds: float | None = None) -> AsyncEngine:
    """An engine with our rules of transactions.

    Args:
        url: of the database; `mysql://`, `mariadb://` and `sqlite://` mean the drivers that we use.
        pool: most connections open at once.
        answer_seconds: longest wait for a server's answer to a statement; None waits for ever.

    Raises:
        Error: DEPENDENCY_UNAVAILABLE if the URL is of no use.
    """
    address = parsed(url)
    sqlite = address.get_backend_name() == "sqlite"
    engine = create_async_engine(
        address,
        pool_size=pool,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
        pool_pre_ping=not sqlite,
        hide_parameters=True,  # they are what people wrote to each other
        connect_args=_sqlite_arguments() if sqlite else _mysql_arguments(address, answer_seconds),
    )
    if sqlite:
        event.listen(engine.sync_engine, "do_connect", _probe_sqlite)
        event.listen(engine.sync_engine, "connect", _configure_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    else:
        event.listen(engine.sync_engine, "connect", _configure_mysql)
        event.listen(engine.sync_engine, "begin", _begin_mysql)
        event.listen(engine.sync_engine, "handle_error", _leave_replica)
    return engine


def _of_no_use(why: str) -> Error:
    return Error(DEPENDENCY_UNAVAILABLE, f"the database URL is of no use: {why}")


def _sqlite_arguments() -> dict[str, Any]:
    return {"isolation_level": None, "timeout": BUSY_SECONDS}


def _probe_sqlite(_dialect: object, _entry: object, arguments: Any, options: Any) -> None:
    """Fails where aiosqlite would: its failure leaves a thread behind that nobody waits for."""
    sqlite3.connect(*arguments, **options).close()


def _configure_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    _run(
        connection,
        *(f"PRAGMA {name}" for name in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")),
    )


def _begin_sqlite(connection: Connection) -> None:
    """Takes the write lock at once: a transaction that reads first could not get it later."""
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _mysql_arguments(address: URL, answer_seconds: float | None) -> dict[str, Any]:
    return {
        "charset": "utf8mb4",
        "connect_timeout": _CONNECT_SECONDS,
        "read_timeout": answer_seconds,
        "password": (address.password or "").encode(),  # the driver would write it in Latin-1
        "program_name": "idiom",
    }


def _configure_mysql(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    _run(connection, *_MYSQL_SESSION, f"SET SESSION innodb_lock_wait_timeout = {BUSY_SECONDS:.0f}")
    cursor = connection.cursor()
    cursor.execute("SELECT @@max_allowed_packet")
    (packet,) = cursor.fetchone() or (0,)
    cursor.close()
    if packet < _LEAST_PACKET:
        raise Error(
            DEPENDENCY_UNAVAILABLE,
            f"the database takes {packet} bytes at once: set its max_allowed_packet to {_LEAST_PACKET}",
        )


def _begin_mysql(connection: Connection) -> None:
    """What writes sees what others have committed, and locks no gaps between rows."""
    if connection.get_execution_options().get(WRITES, False):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")


def _leave_replica(context: ExceptionContext) -> None:
    arguments = getattr(context.original_exception, "args", ())
    if arguments and arguments[0] in _MYSQL_MUST_GO_ELSEWHERE:
        context.is_disconnect = True


def _run(connection: DBAPIConnection, *statements: str) -> None:
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()
