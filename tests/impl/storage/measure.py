"""How long 1,000 conversations take to be seen: `python -m tests.impl.storage.measure`.

900 private ones and 100 rooms of 50, first while Redis knows nothing of them, then while it knows all.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from typing import Final

import uvloop
from im.logic.v1.room_pb2 import RoomCreated, RoomEvent, RoomSettings
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.discovery import Etcd
from impl.logic.ranking import Ranking
from impl.storage.conversations import Conversations
from impl.storage.database import Database
from impl.storage.generation import Recovery
from impl.storage.messages import Messages
from impl.storage.migration import migrate
from impl.storage.redis_client import connect_redis
from tests import servers
from tests.impl.storage.sql.events import event, room_event

PARTITIONS: Final = 16
PRIVATE: Final = 900
ROOMS: Final = 100
OTHERS: Final = tuple(range(2, 51))
SAMPLES: Final = 5
AT_ONCE: Final = 500


def conversations_of_one() -> Iterator[ConversationEvent]:
    """The user 1 is in all of them."""
    for number in range(PRIVATE):
        yield event(f"dm.1.{number + 1000}", 1, number=number + 1000)
    for number in range(ROOMS):
        created = RoomCreated(settings=RoomSettings(name="Lobby", description=""), member_ids=OTHERS)
        made = room_event(f"room.{number + 1}", 1, RoomEvent(created=created))
        made.id = number + 5000
        yield made


async def fill(messages: Messages) -> None:
    """Everything is in the database."""
    events = list(conversations_of_one())
    for ordinal, begin in enumerate(range(0, len(events), AT_ONCE), 1):
        await messages.persist(0, ordinal, events[begin : begin + AT_ONCE])


async def measure(name: str, url: str) -> None:
    """With one database."""
    await asyncio.to_thread(migrate, url)
    async with Database(url) as database, opened(messages := Messages(database)) as conversations:
        await fill(messages)
        names = [name for name, _ in await messages.conversations_of(1, 2000)]
        ranking = Ranking(conversations, messages)
        for redis_knows in ("nothing", *("everything",) * SAMPLES):
            with timed(f"{name:8} {redis_knows:10}  overview"):
                assert len(await conversations.overview(1, names)) == PRIVATE + ROOMS
            with timed(f"{name:8} {redis_knows:10}  ranking "):
                assert len((await ranking.newest(1)).views) == PRIVATE + ROOMS
            while len(await conversations.heads(names)) < len(names):  # noqa: ASYNC110 - Redis does not tell
                await asyncio.sleep(0.1)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Prints how long it takes, on the clock and on the processor: others slow down the first alone."""
    began, processor = time.perf_counter(), time.process_time()
    yield
    seconds, busy = time.perf_counter() - began, time.process_time() - processor
    print(f"{what} {seconds:.3f} s, {busy:.3f} s on the processor")  # noqa: T201


@asynccontextmanager
async def opened(messages: Messages) -> AsyncIterator[Conversations]:
    """Conversations in a Redis that knows nothing."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(servers.redis_server("redis"))
        etcd_server = await stack.enter_async_context(servers.etcd_server())
        etcd = await stack.enter_async_context(Etcd([etcd_server.endpoint], "/measure"))
        recovery = Recovery(server.url, etcd, PARTITIONS, messages.ordinal)
        redis = await stack.enter_async_context(connect_redis(server.url, recovery))
        conversations = Conversations(redis, PARTITIONS, messages.stored, recovery, stored=messages)
        await conversations.heads(["dm.1.2"])
        yield await stack.enter_async_context(conversations)


@contextmanager
def sqlite() -> Iterator[str]:
    """A new file."""
    with tempfile.TemporaryDirectory() as directory:
        yield f"sqlite+aiosqlite:///{directory}/db"


async def measured(name: str, database: Callable[[], AbstractContextManager[str]]) -> None:
    """With a new database."""
    with database() as url:
        await measure(name, url)


async def main() -> None:
    """With either database."""
    await measured("SQLite", sqlite)
    async with servers.mariadb_server() as server:
        await measured("MariaDB", server.database)


if __name__ == "__main__":
    uvloop.run(main())
