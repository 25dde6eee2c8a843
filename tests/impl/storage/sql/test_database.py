from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE
from sqlalchemy import insert, select, text
from sqlmodel import col

from codegen.runtime.errors import Error
from impl.storage import database as module
from impl.storage.database import Database, uninterrupted
from impl.storage.tables import PartitionMarkRow


async def marks(database: Database) -> list[int]:
    async with database.reading() as connection:
        return list((await connection.execute(select(col(PartitionMarkRow.partition)))).scalars())


async def test_connections_are_durable_and_insist_on_foreign_keys(database: Database) -> None:
    async with database.reading() as connection:
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
    async with database.writing() as connection:
        await connection.execute(insert(PartitionMarkRow), {"partition": 2, "ordinal": 1})
    assert await marks(database) == [2]


async def test_two_writers_that_read_first_both_succeed(database: Database) -> None:
    @uninterrupted
    async def add(partition: int) -> None:
        async with database.writing() as connection:
            await connection.execute(select(col(PartitionMarkRow.ordinal)))
            await connection.execute(insert(PartitionMarkRow), {"partition": partition, "ordinal": 1})

    await asyncio.gather(*map(add, range(20)))
    assert sorted(await marks(database)) == list(range(20))


async def test_a_lock_that_stays_is_an_unavailable_database(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.1)
    holder = sqlite3.connect(tmp_path / "idiom.sqlite3", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    async with Database(f"sqlite+aiosqlite:///{tmp_path / 'idiom.sqlite3'}") as other:
        with pytest.raises(Error) as caught:
            async with other.writing():
                pass
        assert caught.value.reason == DEPENDENCY_UNAVAILABLE
        holder.execute("ROLLBACK")
        async with other.writing():
            pass
    holder.close()
    await database.check()


async def test_a_directory_that_is_not_there_is_an_unavailable_database() -> None:
    async with Database("sqlite+aiosqlite:////nowhere/at/all/db") as database:
        with pytest.raises(Error) as caught:
            await database.check()
    assert caught.value.reason == DEPENDENCY_UNAVAILABLE


async def test_a_database_without_tables_is_not_ready(tmp_path: Path) -> None:
    async with Database(f"sqlite+aiosqlite:///{tmp_path / 'empty'}") as database:
        with pytest.raises(Error) as caught:
            await database.check()
    assert caught.value.reason == DEPENDENCY_UNAVAILABLE


async def test_a_url_of_no_use_is_refused_without_its_password() -> None:
    with pytest.raises(ValueError, match="of no use") as caught:
        await Database("mysql+nodriver://user:secret@host/db").__aenter__()
    assert "secret" not in str(caught.value)


async def test_writers_of_two_processes_take_turns(database: Database, url: str) -> None:
    async def add(writer: Database, partition: int) -> None:
        async with writer.writing() as connection:
            await connection.execute(insert(PartitionMarkRow), {"partition": partition, "ordinal": 1})

    async with Database(url) as other:  # as another process would: with a queue of its own
        await asyncio.gather(*(add((database, other)[n % 2], n) for n in range(60)))
    assert sorted(await marks(database)) == list(range(60))


def lock_at_once(path: Path) -> None:
    with closing(sqlite3.connect(path, timeout=0.2, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


async def test_callers_who_go_away_at_any_moment_leave_a_database_that_works(
    database: Database, url: str
) -> None:
    path = Path(url.partition("///")[2])

    @uninterrupted
    async def add(partition: int) -> None:
        async with database.writing() as connection:
            await connection.execute(select(col(PartitionMarkRow.ordinal)))
            await connection.execute(insert(PartitionMarkRow), {"partition": partition, "ordinal": 1})

    for partition in range(80):
        task = asyncio.create_task(add(partition))
        for _ in range(partition % 40):
            await asyncio.sleep(0)
        if partition % 3:
            await asyncio.sleep(partition / 40_000)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.to_thread(lock_at_once, path)
    await asyncio.gather(*(add(1000 + n) for n in range(20)), *(marks(database) for _ in range(20)))
    assert set(range(1000, 1020)) <= set(await marks(database))
