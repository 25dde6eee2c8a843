"""The database dies and comes back while people write: sending goes on, storing catches up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import System
from tests.end_to_end.people import Person, phone, register
from tests.servers import MariaDb, debian_mariadb, mariadb_server

_PATIENCE = 30.0


@pytest.fixture
async def server() -> AsyncIterator[MariaDb]:
    if debian_mariadb() is None:
        pytest.skip("mariadb-server is not installed: run deploy/test-services.sh")
    async with mariadb_server() as running:
        yield running


class Writer:
    """Sends one message after the other, each until it is accepted."""

    def __init__(self, sender: Person, receiver: Person) -> None:
        self.accepted: list[dict[str, Any]] = []
        self._sender = sender
        self._receiver = receiver
        self._changed = asyncio.Event()

    async def run(self) -> None:
        while True:
            number = len(self.accepted)
            body = {
                "clientMessageId": f"n{number}",
                "toUserId": self._receiver.id,
                "text": f"number {number}",
            }
            answer = await self._sender.http.post("/v1/messages", json=body, headers=self._sender.headers)
            if answer.status_code == 200:
                self.accepted.append(answer.json()["message"])
                self._changed.set()
            else:
                assert answer.status_code == 503, answer.text
                await asyncio.sleep(0.05)

    async def more(self, count: int) -> None:
        """Returns once `count` more messages are accepted than now."""
        wanted = len(self.accepted) + count
        async with asyncio.timeout(_PATIENCE):
            while len(self.accepted) < wanted:
                self._changed.clear()
                await self._changed.wait()


async def stored(server: MariaDb, count: int) -> None:
    """Returns once the database holds as many messages."""
    database = "SELECT TABLE_SCHEMA FROM information_schema.tables WHERE TABLE_NAME = 'messages'"
    name = server.execute(database).strip()
    async with asyncio.timeout(_PATIENCE):
        while int(server.execute(f"SELECT COUNT(*) FROM {name}.messages")) < count:  # noqa: ASYNC110, S608 - a database announces nothing
            await asyncio.sleep(0.1)


async def test_sending_goes_on_without_the_database_and_it_catches_up(
    tmp_path: Path, server: MariaDb
) -> None:
    with server.database() as url:
        system = System(tmp_path / "data", database_url=url)
        system.start()
        try:
            async with httpx.AsyncClient(base_url=system.url, timeout=20) as http:
                await _check(http, server)
        finally:
            system.close()
        assert "Traceback" not in system.log()


async def _check(http: httpx.AsyncClient, server: MariaDb) -> None:
    alice, bob = await register(http, "alice"), await register(http, "bob")
    writer = Writer(alice, bob)
    async with phone(bob) as bobs:
        writing = asyncio.create_task(writer.run())
        for _ in range(2):
            await writer.more(30)
            await server.kill()
            await writer.more(30)  # accepted and delivered without it
            await server.start()
        await writer.more(30)
        writing.cancel()
        await asyncio.wait([writing])
        last = writer.accepted[-1]
        assert await bobs.expect_message(last["id"]) == last
    await stored(server, len(writer.accepted))
    found: list[dict[str, Any]] = []
    while page := await bob.history(last["conversationId"], after_seq=len(found), page_size=100):
        found += page
    assert [message["seq"] for message in found] == [str(number) for number in range(1, len(found) + 1)]
    assert found[: len(writer.accepted)] == writer.accepted
    assert len({message["clientMessageId"] for message in found}) == len(found)
