"""What only a server of its own can do: deadlocks, other settings, death."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE
from sqlalchemy import Update, insert, text, update
from sqlmodel import col

from codegen.runtime.errors import Error
from impl.storage.database import Database, uninterrupted
from impl.storage.messages import Messages
from impl.storage.migration import migrate
from impl.storage.tables import PartitionMarkRow
from tests.impl.storage.sql.events import event
from tests.servers import MariaDb, debian_mariadb, mariadb_server

A = "dm.1.2"


@pytest.fixture
def url(mariadb_url: str) -> str:
    return mariadb_url


@pytest.fixture
async def server() -> AsyncIterator[MariaDb]:
    """One that may be killed."""
    if debian_mariadb() is None:
        pytest.skip("mariadb-server is not installed: run deploy/test-services.sh")
    async with mariadb_server() as running:
        yield running


async def count(database: Database) -> int:
    async with database.reading() as connection:
        return int((await connection.execute(text("SELECT COUNT(*) FROM messages"))).scalar_one())


async def test_connections_are_strict_and_speak_all_of_unicode(database: Database) -> None:
    session = "@@tx_isolation, @@innodb_lock_wait_timeout, @@autocommit, @@character_set_client"
    for transaction in (database.reading, database.writing):
        async with transaction() as connection:
            found = (await connection.execute(text(f"SELECT @@sql_mode, {session}"))).one()
            assert "STRICT_ALL_TABLES" in found[0]
            assert found[1:] == ("REPEATABLE-READ", 5, 0, "utf8mb4")


@pytest.mark.parametrize("nested", [False, True])
async def test_of_two_deadlocked_transactions_both_succeed_in_the_end(
    database: Database, nested: bool
) -> None:
    holding = asyncio.Barrier(2)
    runs: list[int] = []

    @uninterrupted
    async def raise_both(first: int, second: int) -> None:
        runs.append(first)
        async with database.writing() as connection:
            await connection.execute(raised(first))
            if len(runs) <= 2:
                await holding.wait()
            if nested:
                async with connection.begin_nested():
                    await connection.execute(raised(second))
            else:
                await connection.execute(raised(second))

    def raised(partition: int) -> Update:
        mark = col(PartitionMarkRow.ordinal)
        return (
            update(PartitionMarkRow)
            .where(col(PartitionMarkRow.partition) == partition)
            .values(ordinal=mark + 1)
        )

    async with database.writing() as connection:
        await connection.execute(insert(PartitionMarkRow), [{"partition": n, "ordinal": 0} for n in (1, 2)])
    await asyncio.gather(raise_both(1, 2), raise_both(2, 1))
    messages = Messages(database)
    assert [await messages.ordinal(1), await messages.ordinal(2)] == [2, 2]
    assert len(runs) == 3


async def test_a_statement_may_be_larger_than_what_the_driver_sends_at_once(database: Database) -> None:
    messages = Messages(database)
    batch = [event(A, n, number=n, text="✉" * 5000) for n in range(1, 513)]  # 15 KB each
    await messages.persist(0, 512, batch)
    assert await count(database) == 512


async def test_a_database_that_takes_too_little_at_once_is_refused(mariadb: MariaDb, url: str) -> None:
    before = mariadb.execute("SELECT @@GLOBAL.max_allowed_packet").strip()
    mariadb.execute("SET GLOBAL max_allowed_packet = 1048576")
    try:
        async with Database(url) as database:
            with pytest.raises(Error, match="max_allowed_packet") as caught:
                await database.check()
    finally:
        mariadb.execute(f"SET GLOBAL max_allowed_packet = {before}")
    assert caught.value.reason == DEPENDENCY_UNAVAILABLE


async def test_connections_to_a_server_that_became_a_replica_are_given_up(
    mariadb: MariaDb, database: Database
) -> None:
    messages = Messages(database)
    await messages.persist(0, 1, [event(A, 1, number=1)])
    mariadb.execute("SET GLOBAL read_only = 1")
    try:
        with pytest.raises(Error) as caught:
            await messages.persist(0, 2, [event(A, 2, number=2)])
    finally:
        mariadb.execute("SET GLOBAL read_only = 0")
    assert caught.value.reason == DEPENDENCY_UNAVAILABLE
    user = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'idiom'"
    assert mariadb.execute(user).strip() == "0"
    await messages.persist(0, 2, [event(A, 2, number=2)])


async def test_a_connection_that_the_server_closed_is_replaced(mariadb: MariaDb, database: Database) -> None:
    await database.check()
    for number in mariadb.execute(
        "SELECT id FROM information_schema.processlist WHERE user = 'idiom'"
    ).split():
        mariadb.execute(f"KILL {number}")
    await database.check()


async def test_a_server_that_may_lose_what_is_durable_is_named(
    mariadb: MariaDb, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await database.check()
    assert caplog.text == ""
    mariadb.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
    try:
        await database.check()
    finally:
        mariadb.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    assert "set innodb_flush_log_at_trx_commit to 1 (it is 2)" in caplog.text


def certificate(directory: Path) -> tuple[Path, Path]:
    """Of 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "certificate").write_bytes(made.public_bytes(Encoding.PEM))
    (directory / "key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    return directory / "certificate", directory / "key"


async def test_a_connection_may_be_encrypted_to_a_server_that_proves_who_it_is(tmp_path: Path) -> None:
    if debian_mariadb() is None:
        pytest.skip("mariadb-server is not installed: run deploy/test-services.sh")
    known, key = certificate(tmp_path)
    (tmp_path / "other").mkdir()
    unknown, _ = certificate(tmp_path / "other")
    options = f"--ssl-cert={known}", f"--ssl-key={key}", "--require-secure-transport=ON"
    async with mariadb_server(*options) as server:
        with server.database() as url:
            await asyncio.to_thread(migrate, f"{url}?ssl_ca={known}")
            async with Database(f"{url}?ssl_ca={known}") as database, database.reading() as connection:
                cipher = (await connection.execute(text("SHOW STATUS LIKE 'Ssl_cipher'"))).one()
                assert "TLS" in cipher[1]
            async with Database(f"{url}?ssl_ca={unknown}") as database:
                with pytest.raises(Error, match="certificate verify failed"):
                    await database.check()


async def test_a_server_that_hangs_is_unavailable_before_long(server: MariaDb) -> None:
    with server.database() as url:
        await asyncio.to_thread(migrate, url)
        async with Database(url, answer_seconds=1) as database:
            await database.check()
            server.pause()
            began = time.monotonic()
            with pytest.raises(Error) as caught:
                await database.check()
            passed = time.monotonic() - began
            server.resume()
            assert caught.value.reason == DEPENDENCY_UNAVAILABLE
            assert passed < 10
            await database.check()


async def test_killed_under_load_nothing_is_lost_and_nothing_is_there_twice(server: MariaDb) -> None:
    """Eight partitions are persisted as their owner does it: again and again until it succeeds."""
    stored = [0] * 8
    batch = 20
    failures: list[Error] = []

    async def own(messages: Messages, partition: int, until: asyncio.Event) -> None:
        while not until.is_set():
            first = stored[partition] + 1
            events = [
                event(f"dm.{partition + 1}.99", n, number=n * 8 + partition)
                for n in range(first, first + batch)
            ]
            try:
                await messages.persist(partition, first + batch - 1, events)
            except Error as error:
                failures.append(error)
                await asyncio.sleep(0.02)
            else:
                stored[partition] += batch

    async def grown(least: int) -> None:
        while min(stored) < least:  # noqa: ASYNC110 - a database announces nothing
            await asyncio.sleep(0.01)

    with server.database() as url:
        await asyncio.to_thread(migrate, url)
        async with Database(url) as database, asyncio.TaskGroup() as group:
            until = asyncio.Event()
            for partition in range(8):
                group.create_task(own(Messages(database), partition, until))
            for round_ in range(1, 3):
                await grown(max(stored) + batch)
                await server.kill()
                await asyncio.sleep(0.2 * round_)
                await server.start()
                await grown(max(stored) + batch)
            until.set()
        async with Database(url) as database:
            messages = Messages(database)
            assert [await messages.ordinal(partition) for partition in range(8)] == stored
            assert await count(database) == sum(stored)
    assert {failure.reason for failure in failures} == {DEPENDENCY_UNAVAILABLE}
