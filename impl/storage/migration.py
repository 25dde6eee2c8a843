"""Bringing the tables of a database to the shape that this code expects."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE
from sqlalchemy import URL, Connection, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from codegen.runtime.errors import Error
from impl.storage.database import WRITES, open_engine

_LOCK_SECONDS = 60
_SCRIPTS = Path(__file__).parent / "migrations"


def migrate(url: str, revision: str = "head") -> None:
    """Upgrades a database, and creates it first if it is a SQLite file that does not exist.

    One process at a time: others wait for it and then find the work done. On SQLite all or nothing.
    Blocks; call it outside an event loop.

    Raises:
        Error: DEPENDENCY_UNAVAILABLE with one sentence that says why it cannot be done.
    """
    _run(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Takes a database back to a revision; `base` drops every table. Otherwise as `migrate`."""
    _run(url, lambda config: command.downgrade(config, revision))


def _run(url: str, action: Callable[[Config], None]) -> None:
    try:
        with _file_lock(make_url(url)):
            asyncio.run(_act(url, action))
    except CommandError as error:
        raise _refusal(url, f"it was written by a newer version ({error})") from error
    except (SQLAlchemyError, OSError, ValueError) as error:
        cause = getattr(error, "orig", None) or error
        raise _refusal(url, str(cause)) from error


async def _act(url: str, action: Callable[[Config], None]) -> None:
    engine = open_engine(url)
    try:
        async with engine.connect() as connection:
            await connection.execution_options(**{WRITES: True})
            async with _named_lock(connection), connection.begin():
                await connection.run_sync(_with_config, action)
    finally:
        await engine.dispose()


def _with_config(connection: Connection, action: Callable[[Config], None]) -> None:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    action(config)


@contextmanager
def _file_lock(url: URL) -> Iterator[None]:
    """Beside a SQLite file, so that two processes do not create the same tables."""
    if url.get_backend_name() != "sqlite" or not url.database:
        yield
        return
    with Path(f"{url.database}.migrate").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@asynccontextmanager
async def _named_lock(connection: AsyncConnection) -> AsyncIterator[None]:
    """The same for MySQL, whose schema changes are not transactional."""
    if connection.dialect.name not in {"mysql", "mariadb"}:
        yield
        return
    query = text("SELECT GET_LOCK('idiom.migrate', :seconds)")
    held = (await connection.execute(query, {"seconds": _LOCK_SECONDS})).scalar()
    await connection.commit()
    if not held:
        raise TimeoutError("another migration is under way")
    try:
        yield
    finally:
        await connection.execute(text("SELECT RELEASE_LOCK('idiom.migrate')"))


def _refusal(url: str, why: str) -> Error:
    try:
        name = make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        name = "(not a URL)"
    first_line = why.strip().splitlines()[0] if why.strip() else "unknown error"
    return Error(DEPENDENCY_UNAVAILABLE, f"the database {name} cannot be migrated: {first_line}")
