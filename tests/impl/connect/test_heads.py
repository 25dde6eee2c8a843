"""What was lost on the way to a session is found by comparing heads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from im.client.v1.frames_pb2 import ServerFrame
from im.logic.v1.message_pb2 import Head, Message

from codegen.runtime.errors import Error
from impl.connect.alarm import Alarm
from impl.connect.app import Tuning
from impl.connect.heads import Rhythm
from impl.settings import Settings
from impl.storage.keys import recent
from impl.storage.room_instances import RoomInstances
from tests.impl.connect.conftest import Client, Person, Town, made, running
from tests.impl.connect.neighbours import running_logic, running_task
from tests.servers import Etcd, Redis

QUICK = Tuning(rhythm=Rhythm(interval=0.4, again=0.1))
SLOW = Tuning(rhythm=Rhythm(interval=600, again=0.1))
"""Looks only when there is an alarm."""


@pytest.fixture
async def quick(settings: Settings) -> AsyncIterator[Town]:
    """A gateway beside logic. Nobody pushes: every event is lost."""
    async with running_logic(settings), running(settings, QUICK) as town:
        yield town


async def touch(town: Town, person: Person, message: Message) -> None:
    """As push does it before it delivers."""
    await town.redis.zadd(recent(person.id), {message.conversation_id: message.id})


async def heads(client: Client) -> list[Head]:
    """The next heads that are told."""
    while not (frame := await client.hear()).HasField("heads"):
        pass
    return list(frame.heads.heads)


async def heard_within(client: Client, seconds: float) -> list[ServerFrame]:
    frames = []
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                frames.append(await client.hear())
    return frames


def place(message: Message | Head) -> tuple[str, int, int]:
    return message.conversation_id, message.epoch, message.seq


async def test_the_lost_last_message_of_a_private_conversation_is_told_once(quick: Town) -> None:
    alice, bob = await quick.person(), await quick.person()
    async with quick.session(bob) as (client, _):
        (sent,) = await quick.send(alice, bob, "lost")
        await touch(quick, bob, sent)
        (head,) = await heads(client)
        assert place(head) == place(sent)
        assert not await heard_within(client, 1.5)


async def test_each_session_is_told_what_it_alone_has_lost(quick: Town) -> None:
    alice, bob = await quick.person(), await quick.person()
    async with quick.session(bob) as (one, one_id), quick.session(bob) as (two, _):
        (sent,) = await quick.send(alice, bob, "lost for one of them")
        await quick.deliver(quick.batch((sent, [one_id])))
        await touch(quick, bob, sent)
        assert [place(head) for head in await heads(two)] == [place(sent)]
        frames = await heard_within(one, 1.0)
        assert [frame.WhichOneof("frame") for frame in frames] == ["message"]


async def test_who_sent_it_has_lost_nothing(quick: Town) -> None:
    alice, bob = await quick.person(), await quick.person()
    async with quick.session(alice) as (client, _):
        request = {"clientMessageId": "c", "toUserId": str(bob.id), "text": "hello"}
        await client.say(send={"requestId": "r", "request": request})
        assert (await client.hear()).HasField("sent")
        assert not await heard_within(client, 1.5)


async def test_who_was_welcomed_with_the_head_has_lost_nothing(quick: Town) -> None:
    alice, bob = await quick.person(), await quick.person()
    (sent,) = await quick.send(alice, bob, "before")
    await touch(quick, bob, sent)
    async with quick.session(bob) as (client, _):
        assert not await heard_within(client, 1.5)


async def test_the_lost_last_message_of_a_room_is_told_to_its_members(quick: Town) -> None:
    alice, bob = await quick.person(), await quick.person()
    room = await quick.room(alice, bob)
    async with quick.session(alice) as (one, _), quick.session(bob) as (two, _):
        (sent,) = await quick.send(alice, room, "lost")
        for client in (one, two):
            assert [place(head) for head in await heads(client)] == [place(sent)]
        assert not await heard_within(one, 1.0)


async def test_quiet_rooms_are_left_alone(quick: Town) -> None:
    alice = await quick.person()
    for _ in range(3):
        await quick.room(alice)
    async with quick.session(alice) as (client, _):
        assert not await heard_within(client, 1.5)


async def test_who_was_removed_by_a_lost_event_hears_no_more_once_it_is_found(quick: Town) -> None:
    alice, bob = await quick.person(), await quick.person()
    room = await quick.room(alice, bob)
    async with quick.session(bob) as (client, _):
        await quick.leave(room, bob)
        (head,) = await heads(client)
        assert head.seq == 2
        await asyncio.sleep(0.5)
        (sent,) = await quick.send(alice, room, "not for bob")
        await quick.deliver(quick.to_room(sent))
        await client.silent()


async def test_who_was_added_by_a_lost_event_is_told_of_the_room_and_hears_what_follows(quick: Town) -> None:
    alice, bob = await quick.person(), await quick.person()
    room = await quick.room(alice)
    async with quick.session(bob) as (client, _):
        await quick.join(room, alice, bob)
        (sent,) = await quick.send(alice, room, "lost, too")
        await touch(quick, bob, sent)
        assert [place(head) for head in await heads(client)] == [place(sent)]
        assert await registered(quick, room)
        (following,) = await quick.send(alice, room, "heard")
        await quick.deliver(quick.to_room(following))
        while not (frame := await client.hear()).HasField("message"):
            pass
        assert frame.message == following


async def registered(town: Town, room: int) -> bool:
    async with asyncio.timeout(10):
        while not await RoomInstances(town.redis, 16).of([f"room.{room}"]):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)
    return True


async def test_a_broken_stream_is_looked_into_at_once(settings: Settings) -> None:
    async with running_logic(settings), running(settings, SLOW) as town:
        alice, bob = await town.person(), await town.person()
        async with town.session(bob) as (client, _):
            (sent,) = await town.send(alice, bob, "lost")
            await touch(town, bob, sent)
            await town.deliver(town.batch())  # a stream that ends
            assert [place(head) for head in await heads(client)] == [place(sent)]


async def test_what_was_lost_while_redis_was_away_is_found_when_it_is_back(
    redis: Redis, shared_etcd: Etcd, settings: Settings
) -> None:
    own = made(settings.data_dir, redis, shared_etcd)
    async with running_logic(own), running(own, SLOW) as town:
        alice, bob = await town.person(), await town.person()
        async with town.session(bob) as (client, _):
            (sent,) = await town.send(alice, bob, "lost")
            await touch(town, bob, sent)
            await redis.restart()
            assert [place(head) for head in await heads(client)] == [place(sent)]


async def test_a_redis_that_forgot_the_maps_gets_them_back_and_events_come_again(
    redis: Redis, shared_etcd: Etcd, settings: Settings
) -> None:
    own = made(settings.data_dir, redis, shared_etcd)
    async with running_logic(own), running_task(own), running(own, QUICK) as town:
        alice, bob = await town.person(), await town.person()
        room = await town.room(alice, bob)
        async with town.session(bob) as (client, session_id):
            await town.redis.delete(f"session:{{{bob.id}}}")
            await town.redis.delete(*[key async for key in town.redis.scan_iter("*instances:room*")])
            await redis.restart()
            while not await heard(town, client, alice, room, bob):
                pass
            assert session_id in {address.session_id for address in await town.mapped(bob.id)}


async def heard(town: Town, client: Client, alice: Person, room: int, bob: Person) -> bool:
    """Whether messages to both arrive as such."""
    with suppress(Error):
        await town.send(alice, room, "room")
        await town.send(alice, bob, "private")
    frames = await heard_within(client, 1.0)
    return {"room", "private"} <= {frame.message.text for frame in frames}


async def test_an_alarm_asks_for_two_looks() -> None:
    alarm = Alarm()
    alarm.sound()
    async with asyncio.timeout(5):
        assert await alarm.look(60)
        assert await alarm.look(60)
    assert not await alarm.look(0.01)


async def test_an_alarm_ends_the_wait() -> None:
    alarm = Alarm()
    waiting = asyncio.create_task(alarm.look(60))
    await asyncio.sleep(0)
    alarm.sound()
    async with asyncio.timeout(5):
        assert await waiting
