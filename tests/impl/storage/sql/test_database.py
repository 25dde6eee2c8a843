from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from codegen.runtime.errors import Error
from impl.storage import engine as module
from impl.storage.database import Database, uninterrupted
from impl.storage.tables import PartitionMarkRow


async def marks(database: Database) -> list[int]:
    async with database.reading() as connection:
        return await marks_in(connection)


async def marks_in(connection: AsyncConnection) -> list[int]:
    return list((await connection.execute(select(col(PartitionMarkRow.partition)))).scalars())


@uninterrupted
async def add(database: Database, partition: int) -> None:
    """Reads first, as most writers do."""
    async with database.writing() as connection:
        await connection.execute(select(col(PartitionMarkRow.ordinal)))
        await connection.execute(insert(PartitionMarkRow), {"partition": partition, "ordinal": 1})


@pytest.fixture
async def other(database: Database, url: str) -> AsyncIterator[Database]:
    """The same database as another process uses it."""
    assert database
    async with Database(url) as opened:
        yield opened


async def test_connections_to_sqlite_are_durable_and_insist_on_foreign_keys(sqlite_url: str) -> None:
    async with Database(sqlite_url) as database, database.reading() as connection:
        found = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert found == ["wal", 2, 1, 5000]


async def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    async def fail() -> None:
        async with database.writing() as connection:
            await connection.execute(insert(PartitionMarkRow), {"partition": 1, "ordinal": 1})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await marks(database) == []


async def test_a_cancelled_transaction_leaves_nothing_and_holds_no_lock(database: Database) -> None:
    entered = asyncio.Event()

    async def write() -> None:
        async with database.writing() as connection:
            await connection.execute(insert(PartitionMarkRow), {"partition": 1, "ordinal": 1})
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await add(database, 2)
    assert await marks(database) == [2]


async def test_two_writers_that_read_first_both_succeed(database: Database) -> None:
    await asyncio.gather(*(add(database, partition) for partition in range(20)))
    assert sorted(await marks(database)) == list(range(20))


async def test_a_reader_keeps_its_snapshot_and_a_writer_sees_what_is_committed(database: Database) -> None:
    async with database.reading() as connection:
        assert await marks_in(connection) == []
        await add(database, 1)
        assert await marks_in(connection) == []
    async with database.writing() as connection:
        assert await marks_in(connection) == [1]


async def test_a_lock_that_stays_is_an_unavailable_database(
    database: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @uninterrupted
    async def raise_marks(database: Database) -> None:
        async with database.writing() as connection:
            await connection.execute(update(PartitionMarkRow).values(ordinal=2))

    await add(database, 1)
    monkeypatch.setattr(module, "BUSY_SECONDS", 1.0)
    async with Database(url) as impatient, database.writing() as holder:
        await holder.execute(update(PartitionMarkRow).values(ordinal=3))
        with pytest.raises(Error) as caught:
            await raise_marks(impatient)
        assert caught.value.reason == DEPENDENCY_UNAVAILABLE
    await raise_marks(database)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("sqlite+aiosqlite:////nowhere/at/all/db", "unable to open database file"),
        ("mysql+asyncmy://user:secret@127.0.0.1:1/db", "Can't connect to MySQL server on '127.0.0.1'"),
    ],
)
async def test_a_database_that_cannot_be_reached_is_unavailable_and_says_why(url: str, why: str) -> None:
    async with Database(url) as database:
        with pytest.raises(Error, match=why) as caught:
            await database.check()
    assert caught.value.reason == DEPENDENCY_UNAVAILABLE
    assert "secret" not in caught.value.message


async def test_a_database_without_tables_is_not_ready(sqlite_url: str) -> None:
    async with Database(sqlite_url) as database:
        with pytest.raises(Error, match="no tables yet") as caught:
            await database.check()
    assert caught.value.reason == DEPENDENCY_UNAVAILABLE


async def test_a_url_of_no_use_is_refused_without_its_password() -> None:
    with pytest.raises(Error, match="of no use") as caught:
        await Database("mysql+nodriver://user:secret@host/db").__aenter__()
    assert "secret" not in caught.value.message


async def test_writers_of_two_processes_take_turns(database: Database, other: Database) -> None:
    await asyncio.gather(*(add((database, other)[n % 2], n) for n in range(60)))
    assert sorted(await marks(database)) == list(range(60))


def lock_at_once(path: Path) -> None:
    with closing(sqlite3.connect(path, timeout=0.2, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


async def test_callers_who_go_away_at_any_moment_leave_a_database_that_works(
    database: Database, url: str
) -> None:
    for partition in range(80):
        task = asyncio.create_task(add(database, partition))
        for _ in range(partition % 40):
            await asyncio.sleep(0)
        if partition % 3:
            await asyncio.sleep(partition / 40_000)
        task.cancel()
        await asyncio.wait([task])
        if url.startswith("sqlite"):
            await asyncio.to_thread(lock_at_once, Path(url.partition("///")[2]))
    await asyncio.gather(*(add(database, 1000 + n) for n in range(20)), *(marks(database) for _ in range(20)))
    assert set(range(1000, 1020)) <= set(await marks(database))
