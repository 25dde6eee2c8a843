"""Bringing the tables of a database to the shape that this code expects."""

from __future__ import annotations

import asyncio
import fcntl
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from codegen.runtime.errors import Error
from impl.storage.database import in_words
from impl.storage.engine import WRITES, open_engine, parsed

_LOCK_SECONDS: Final = 60
_SCRIPTS: Final = Path(__file__).parent / "migrations"
_NAMED_LOCK: Final = "SELECT GET_LOCK(CONCAT('idiom.migrate.', LEFT(SHA1(DATABASE()), 16)), :seconds)"


def migrate(url: str, revision: str = "head") -> None:
    """Upgrades a database, and creates it first if it is a SQLite file that does not exist.

    One process at a time: others wait for it and then find the work done. On SQLite all or nothing; MySQL
    keeps what was done until an error, and the next migration goes on there. Blocks; call it outside an
    event loop.

    Raises:
        Error: DEPENDENCY_UNAVAILABLE with one sentence that says why it cannot be done.
    """
    _run(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Takes a database back to a revision; `base` drops every table. Otherwise as `migrate`."""
    _run(url, lambda config: command.downgrade(config, revision))


def _run(url: str, action: Callable[[Config], None]) -> None:
    address = parsed(url)
    try:
        with _file_lock(address):
            asyncio.run(_act(url, action))
    except CommandError as error:
        raise _refusal(address, f"it was written by a newer version ({error})") from error
    except (SQLAlchemyError, OSError) as error:
        raise _refusal(address, in_words(error)) from error


async def _act(url: str, action: Callable[[Config], None]) -> None:
    logging.getLogger("asyncmy").setLevel(logging.ERROR)  # it tells of names that MySQL ignores
    engine = open_engine(url)  # waits for ever: changing a large table takes its time
    try:
        async with engine.connect() as connection:
            await connection.execution_options(**{WRITES: True})
            await _lock(connection)
            async with connection.begin():
                await connection.run_sync(_with_config, action)
    finally:
        await engine.dispose()


def _with_config(connection: Connection, action: Callable[[Config], None]) -> None:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    action(config)


@contextmanager
def _file_lock(address: URL) -> Iterator[None]:
    """Beside a SQLite file, so that two processes do not create the same tables."""
    if address.get_backend_name() != "sqlite":
        yield
        return
    with Path(f"{address.database}.migrate").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def _lock(connection: AsyncConnection) -> None:
    """The same for MySQL, whose schema changes are not transactional: held as long as the connection."""
    if connection.dialect.name != "mysql":
        return
    held = (await connection.execute(text(_NAMED_LOCK), {"seconds": _LOCK_SECONDS})).scalar()
    await connection.commit()
    if not held:
        raise TimeoutError("another migration is under way")


def _refusal(address: URL, why: str) -> Error:
    name = address.render_as_string(hide_password=True)
    return Error(DEPENDENCY_UNAVAILABLE, f"the database {name} cannot be migrated: {why}")
