from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE
from sqlalchemy import Connection, inspect, text
from sqlmodel import SQLModel

from codegen.runtime.errors import Error
from impl.storage.database import Database
from impl.storage.engine import WRITES, open_engine
from impl.storage.migration import downgrade, migrate
from impl.storage.tables import REVISION
from tests.servers import MariaDb

T = TypeVar("T")

# Rows of the first version, of which the later ones refer to the earlier.
FIRST_ROWS = (
    "INSERT INTO users VALUES (1, 'Ada', 'ada', 'hash', 7)",
    "INSERT INTO logins VALUES (2, 1, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 7, 8, NULL)",
    "INSERT INTO conversations VALUES ('dm.1.1', 1, 1, 9, 99)",
    "INSERT INTO memberships VALUES (1, 'dm.1.1', 0, NULL, 3)",
    "INSERT INTO messages VALUES (99, 'dm.1.1', 1, 9, 1, 'c', 1, 'envelope', 7)",
    "INSERT INTO partition_marks VALUES (3, 33)",
)
SECOND_ROWS = (
    "UPDATE users SET display_name = 'Ada L. ', about = 'Analyst 🧮'",
    "UPDATE memberships SET role = 3, changed_seq = 5, delivered_seq = 4",
    "INSERT INTO used_refresh_tokens SELECT refresh_hash, id, refresh_hash, 7 FROM logins",
    "INSERT INTO rooms VALUES ('dm.1.1', 'n', 'd', 1, 1, 1, 7, 1)",
)


def within(url: str, work: Callable[[Connection], T]) -> T:
    """What some work finds in a database."""

    async def run() -> T:
        engine = open_engine(url)
        try:
            async with engine.connect() as connection:
                await connection.execution_options(**{WRITES: True})
                async with connection.begin():
                    return await connection.run_sync(work)
        finally:
            await engine.dispose()

    return asyncio.run(run())


def execute(url: str, *statements: str) -> None:
    def work(connection: Connection) -> None:
        for statement in statements:
            connection.execute(text(statement))

    within(url, work)


def tables(url: str) -> set[str]:
    return within(url, lambda connection: set(inspect(connection).get_table_names()))


def contents(url: str) -> dict[str, list[tuple[Any, ...]]]:
    def work(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
        return {
            table: [tuple(row) for row in connection.execute(text(f"SELECT * FROM {table}"))]  # noqa: S608
            for table in inspect(connection).get_table_names()
        }

    return within(url, work)


def test_upgraded_tables_are_those_of_the_code(url: str) -> None:
    def compare(connection: Connection) -> object:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, SQLModel.metadata)

    migrate(url)
    assert within(url, compare) == []


def test_the_code_knows_its_own_revision(url: str) -> None:
    migrate(url)
    assert contents(url)["alembic_version"] == [(REVISION,)]


def test_a_database_goes_up_and_down_and_up_again(url: str) -> None:
    migrate(url)
    assert "messages" in tables(url)
    downgrade(url, "base")
    assert tables(url) <= {"alembic_version"}
    migrate(url)
    assert "messages" in tables(url)


def test_what_is_in_a_database_stays_while_it_goes_up_and_down(url: str) -> None:
    migrate(url, "0001")
    execute(url, *FIRST_ROWS)
    before = contents(url)
    migrate(url)
    upgraded = contents(url)
    assert upgraded["users"][0][-2:] == ("", "")
    assert upgraded["memberships"][0][-3:] == (0, 1, 0)
    execute(url, *SECOND_ROWS)
    assert contents(url)["users"][0][-2:] == ("Ada L. ", "Analyst 🧮")
    downgrade(url, "0001")
    assert contents(url) == before
    migrate(url)
    downgrade(url, "base")
    assert tables(url) <= {"alembic_version"}


def test_migrating_again_changes_nothing(url: str) -> None:
    migrate(url)
    before = contents(url)
    migrate(url)
    assert contents(url) == before


def test_many_may_migrate_at_once(url: str) -> None:
    program = "import sys; from impl.storage.migration import migrate; migrate(sys.argv[1])"

    def run(_: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, url]
        return subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(run, range(3)))
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 3
    assert "messages" in tables(url)


DIES = """
import os, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from impl.storage.migration import migrate
left = int(sys.argv[2])
@event.listens_for(Engine, "after_cursor_execute")
def count(connection, cursor, statement, *_):
    global left
    left -= statement.split()[0] in {"ALTER", "CREATE", "INSERT", "UPDATE"}
    if left == 0:
        os._exit(9)
migrate(sys.argv[1])
"""


@pytest.mark.parametrize("steps", [2, 7, 12, 18, 21])
def test_a_migration_that_died_half_way_is_completed_by_the_next(url: str, steps: int) -> None:
    died = subprocess.run([sys.executable, "-c", DIES, url, str(steps)], check=False, timeout=60)
    assert died.returncode == 9
    test_upgraded_tables_are_those_of_the_code(url)
    assert contents(url)["alembic_version"] == [(REVISION,)]


def test_a_migration_waits_for_the_one_under_way(mariadb: MariaDb, mariadb_url: str) -> None:
    """Of the same database; that of another one goes on meanwhile."""
    with mariadb.database() as other, ThreadPoolExecutor(1) as pool:
        holder = pool.submit(
            mariadb.execute,
            f"USE {mariadb_url.rpartition('/')[2]};"
            "DO GET_LOCK(CONCAT('idiom.migrate.', LEFT(SHA1(DATABASE()), 16)), 5), SLEEP(1)",
        )
        migrate(other)
        assert not holder.done()
        migrate(mariadb_url)
        assert holder.done()


@pytest.mark.parametrize(
    "bad",
    [
        "nonsense",
        "sqlite+aiosqlite:////nowhere/at/all/db",
        "sqlite+nodriver:///db",
        "mysql+nodriver://user:secret@host/db",
        "mysql+pymysql://user:secret@host/db",
        "postgresql+asyncpg://user:secret@host/db",
        "mysql+asyncmy://user:secret@host/db?nothing=1",
        "mysql+asyncmy://user:secret@host/",
        "mysql+asyncmy://user:secret@host:secret/db",
        "mysql+asyncmy://user:secret@127.0.0.1:1/db",
    ],
)
def test_a_database_that_cannot_be_migrated_is_one_sentence_without_secrets(
    bad: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Error) as caught:
        migrate(bad)
    assert caught.value.reason == DEPENDENCY_UNAVAILABLE
    assert "\n" not in caught.value.message
    assert "secret" not in caught.value.message


def test_a_refusal_of_the_server_is_said_in_its_words(mariadb: MariaDb) -> None:
    for url, words in (
        (mariadb.url("idiom_1", password="secret"), "Access denied for user 'idiom'@'127.0.0.1'"),
        (mariadb.url("idiom_missing"), "Unknown database 'idiom_missing'"),
        (mariadb.url("mysql"), "Access denied for user 'idiom'@'127.0.0.1' to database 'mysql'"),
    ):
        with pytest.raises(Error, match=words) as caught:
            migrate(url)
        assert caught.value.reason == DEPENDENCY_UNAVAILABLE
        assert "secret" not in caught.value.message
        assert "wörd" not in caught.value.message


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mariadb+asyncmy"])
def test_a_url_without_our_driver_means_our_driver(mariadb_url: str, scheme: str) -> None:
    migrate(mariadb_url.replace("mysql+asyncmy", scheme))
    assert "messages" in tables(mariadb_url)


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(Error, match="file is not a database"):
        migrate(f"sqlite+aiosqlite:///{tmp_path / 'db'}")


def test_a_database_of_a_newer_version_is_left_alone_and_used(url: str) -> None:
    migrate(url)
    execute(url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Error, match="newer version"):
        migrate(url)
    asyncio.run(check(url))


def test_a_database_of_an_older_version_is_not_used(url: str) -> None:
    with pytest.raises(Error, match="no tables yet"):
        asyncio.run(check(url))
    migrate(url, "0001")
    with pytest.raises(Error, match="older version"):
        asyncio.run(check(url))


async def check(url: str) -> None:
    async with Database(url) as database:
        await database.check()
