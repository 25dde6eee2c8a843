"""How many events per second *persist* stores: `python -m tests.impl.storage.sql.measure`.

In batches of 512, one partition at a time and eight side by side, for few conversations and for many.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import uvloop

from impl.storage.database import Database
from impl.storage.messages import Messages
from impl.storage.migration import migrate
from tests.impl.storage.sql.events import event
from tests.servers import mariadb_server

BATCH = 512
BATCHES = 24


async def persist(messages: Messages, partition: int, conversations: int, batches: int) -> None:
    for batch in range(batches):
        first = batch * BATCH
        events = [
            event(
                f"dm.{partition + 1}.{1000 + number % conversations}",
                1 + number // conversations,
                number=(number << 4) + partition + 1,
                sender_id=partition + 1,
                text="A sentence of the length that people write.",
            )
            for number in range(first, first + BATCH)
        ]
        await messages.persist(partition, first + BATCH, events)


async def measure(name: str, database: Callable[[], AbstractContextManager[str]]) -> None:
    for partitions, conversations in itertools.product((1, 8), (50, 4096)):
        with database() as url:
            await asyncio.to_thread(migrate, url)
            rate = await measured(url, partitions, conversations)
        print(f"{name:8} {partitions} side by side, {conversations:4} conversations each: {rate:6.0f}/s")  # noqa: T201


async def measured(url: str, partitions: int, conversations: int) -> float:
    async with Database(url) as database:
        messages = Messages(database)
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for partition in range(partitions):
                group.create_task(persist(messages, partition, conversations, BATCHES // partitions))
        return BATCHES * BATCH / (time.perf_counter() - began)


@contextmanager
def sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        yield f"sqlite+aiosqlite:///{directory}/db"


async def main() -> None:
    await measure("SQLite", sqlite)
    async with mariadb_server() as server:
        await measure("MariaDB", server.database)


if __name__ == "__main__":
    uvloop.run(main())
