from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from impl.settings import Settings
from impl.storage.envelope import private_id
from impl.storage.membership import Mark
from impl.task import app
from tests.impl.task.events import ROOM
from tests.impl.task.world import SECONDS, World
from tests.servers import free_port

HERE = private_id(1, 2)


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[asyncio.Event]:
    """The tier; yields `stop`."""
    ready, stop = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(app.run(settings, ready.set, stop))
    waiting = asyncio.create_task(ready.wait())
    async with asyncio.timeout(SECONDS):
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    assert waiting.done(), task
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(SECONDS):
            await task


async def stored(world: World, *ids: int) -> None:
    async with asyncio.timeout(SECONDS):
        while await world.stored_ids(HERE) != list(ids):  # noqa: ASYNC110  # a database announces nothing
            await asyncio.sleep(0.02)


async def stored_mark(world: World, user: int, read_seq: int) -> None:
    async with asyncio.timeout(SECONDS):
        member = None
        while member is None or member.read_seq != read_seq:
            await asyncio.sleep(0.02)  # a database announces nothing
            member = (await world.messages.memberships(user, [ROOM])).get(ROOM)


async def test_an_accepted_message_reaches_sessions_and_database(world: World) -> None:
    async with world.gateway("a") as a, running(world.settings):
        await world.sessions.add([a.session(2, "s")])
        await asyncio.gather(*(world.send(number) for number in range(1, 51)))
        await stored(world, *range(1, 51))
        await a.hears(*range(1, 51))
        seqs = [item.message.seq for request in a.heard for item in request.items]
        assert seqs == list(range(1, 51))


async def test_a_new_room_and_what_is_read_reach_sessions_and_database(world: World) -> None:
    async with world.gateway("a") as a, running(world.settings):
        await world.sessions.add([a.session(1, "s1"), a.session(2, "s2")])
        await world.room(ROOM, 1, 2)
        await world.conversations.mark([Mark(ROOM, 2, read_seq=1)])
        await a.until(lambda: len(a.items) == 2)
        told = [(item.to_room, list(item.session_ids)) for item in a.items]
        assert told == [(True, ["s1", "s2"]), (False, ["s2"])]
        await stored_mark(world, user=2, read_seq=1)


async def test_senders_hear_when_their_messages_are_durable(world: World) -> None:
    async with world.gateway("a") as a, running(world.settings):
        await world.sessions.add([a.session(1, "s1"), a.session(2, "s2")])
        accepted = await world.send(1)
        await a.until(lambda: a.stored == [(HERE, accepted.seq, ["s1"])])


async def test_what_was_accepted_while_no_task_lived_is_handled_by_the_next(world: World) -> None:
    await world.send(1)
    async with running(world.settings):
        await stored(world, 1)
    await world.send(2)
    async with running(world.settings):
        await stored(world, 1, 2)


async def test_two_tasks_share_the_partitions_and_one_takes_over_from_the_other(world: World) -> None:
    names = ("task-1", "task-2")
    first, second = (world.settings.model_copy(update={"instance": name}) for name in names)
    async with world.gateway("a") as a, running(first):
        await world.sessions.add([a.session(2, "s")])
        async with running(second):
            await world.send(1)
            await stored(world, 1)
        await world.send(2)
        await stored(world, 1, 2)
        await a.hears(1, 2)


async def test_a_restarted_redis_is_worked_with_again(world: World) -> None:
    async with running(world.settings):
        await world.send(1)
        await stored(world, 1)
        await world.redis_server.kill()
        await world.redis_server.start()
        await world.send(2)
        await stored(world, 1, 2)


async def test_an_etcd_that_is_away_does_not_stop_delivery(world: World) -> None:
    async with world.gateway("a") as a, running(world.settings):
        await world.sessions.add([a.session(2, "s")])
        await world.send(1)
        await a.hears(1)
        await world.etcd_server.kill()
        await world.send(2)
        await stored(world, 1, 2)
        await a.hears(1, 2)
        await world.etcd_server.start()


async def test_it_waits_for_what_is_away_at_the_start(world: World) -> None:
    await world.redis_server.kill()
    ready, stop = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(app.run(world.settings, ready.set, stop))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await ready.wait()
    await world.redis_server.start()
    async with asyncio.timeout(SECONDS):
        await ready.wait()
        stop.set()
        await task


async def test_it_can_be_stopped_while_it_waits(world: World) -> None:
    away = world.settings.model_copy(update={"etcd_endpoints": (f"127.0.0.1:{free_port()}",)})
    ready, stop = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(app.run(away, ready.set, stop))
    stop.set()
    async with asyncio.timeout(SECONDS):
        await task
    assert not ready.is_set()


async def test_it_can_be_stopped_while_it_waits_to_be_registered(world: World) -> None:
    await world.redis_server.kill()
    stop = asyncio.Event()
    task = asyncio.create_task(app.run(world.settings, stop.set, stop))
    await asyncio.sleep(1)  # by now it waits for Redis
    await world.etcd_server.kill()
    await world.redis_server.start()
    await asyncio.sleep(3)  # and by now for etcd
    stop.set()
    async with asyncio.timeout(10):
        await task
    await world.etcd_server.start()
