"""Rooms as their members see them on sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from im.client.v1.frames_pb2 import Cursor
from im.connect.v1.delivery_service_pb2 import DeliverResponse
from im.logic.v1.message_pb2 import Message
from im.logic.v1.room_pb2 import MemberJoined, MemberLeft, RoomEvent

from impl.connect.app import Tuning
from impl.settings import Settings
from impl.storage.room_instances import RoomInstances
from tests.impl.connect.conftest import BINARY, JSON, Client, Person, Town, running
from tests.impl.connect.neighbours import gated_logic, running_logic, running_task, until

LINGER = 0.3


@pytest.fixture
async def live(settings: Settings) -> AsyncIterator[Town]:
    """A gateway beside logic and task."""
    tuning = Tuning(linger_seconds=LINGER)
    async with running_logic(settings), running_task(settings), running(settings, tuning) as made:
        yield made


async def next_message(client: Client) -> Message:
    while not (frame := await client.hear()).HasField("message"):
        pass
    return frame.message


async def texts(client: Client, count: int) -> list[str]:
    return [(await next_message(client)).text for _ in range(count)]


def event(room: int, seq: int, text: str = "hi", change: RoomEvent | None = None) -> Message:
    name = f"room.{room}"
    return Message(id=5000 + seq, conversation_id=name, epoch=1, seq=seq, sender_id=1, text=text, room=change)


def joined(room: int, seq: int, person: Person) -> Message:
    return event(room, seq, "", RoomEvent(joined=MemberJoined(user_id=person.id)))


def left(room: int, seq: int, person: Person) -> Message:
    return event(room, seq, "", RoomEvent(left=MemberLeft(user_id=person.id)))


async def instances(town: Town, room: int) -> list[tuple[str, str]]:
    return (await RoomInstances(town.redis, 16).of([f"room.{room}"])).get(f"room.{room}", [])


async def test_every_session_of_every_member_hears_but_the_one_that_sent(live: Town) -> None:
    alice, bob = await live.person(), await live.person()
    room = await live.room(alice, bob)
    async with AsyncExitStack() as stack:
        sender, _ = await stack.enter_async_context(live.session(alice))
        others = [
            (await stack.enter_async_context(live.session(person, subprotocol)))[0]
            for person, subprotocol in ((alice, BINARY), (bob, JSON), (bob, BINARY))
        ]
        for number in range(3):
            request = {"clientMessageId": f"c{number}", "roomId": str(room), "text": str(number)}
            await sender.say(send={"requestId": f"r{number}", "request": request})
        for other in others:
            while (await next_message(other)).text != "0":
                pass
            assert await texts(other, 2) == ["1", "2"]
        answers = [frame for frame in [await sender.hear() for _ in range(4)] if frame.HasField("sent")]
        assert [answer.sent.response.message.seq for answer in answers] == [2, 3, 4]


async def test_who_is_added_hears_from_their_join_on_and_who_leaves_up_to_it(live: Town) -> None:
    alice, bob = await live.person(), await live.person()
    room = await live.room(alice)
    async with live.session(bob) as (client, _), live.session(bob, BINARY) as (other, _):
        await live.send(alice, room, "before")
        seq = await live.join(room, alice, bob)
        await live.send(alice, room, "during")
        await live.leave(room, bob)
        await live.send(alice, room, "after")
        back = await live.join(room, alice, bob)
        await live.send(alice, room, "again")
        for each in (client, other):
            heard = [await next_message(each) for _ in range(5)]
            assert [message.seq for message in heard] == [seq, seq + 1, seq + 2, back, back + 1]
            kinds = [message.room.WhichOneof("change") or message.text for message in heard]
            assert kinds == ["joined", "during", "left", "joined", "again"]


async def test_the_members_of_a_new_room_hear_that_it_was_created(live: Town) -> None:
    alice, bob = await live.person(), await live.person()
    async with live.session(alice) as (one, _), live.session(bob) as (two, _):
        room = await live.room(alice, bob)
        for client in (one, two):
            created = await next_message(client)
            assert (created.conversation_id, created.seq) == (f"room.{room}", 1)
            assert created.room.created.member_ids == [bob.id]


async def test_the_map_names_the_gateway_while_members_are_there(live: Town) -> None:
    alice = await live.person()
    room = await live.room(alice)
    here = [(live.instance.name, live.instance.boot_id)]
    async with live.session(alice), live.session(alice):
        assert await instances(live, room) == here
    async with live.session(alice):
        await asyncio.sleep(2 * LINGER)
        assert await instances(live, room) == here

    async def empty() -> bool:
        return not await instances(live, room)

    await until(empty)


async def test_a_gateway_that_ends_leaves_the_map(settings: Settings) -> None:
    async with running_logic(settings):
        async with running(settings) as town:
            alice = await town.person()
            room = await town.room(alice)
            async with town.session(alice):
                assert await instances(town, room)
        async with running(settings) as again:
            assert not await instances(again, room)


async def test_only_members_who_had_come_by_then_receive_an_event(town: Town) -> None:
    alice, bob, carol = await town.person(), await town.person(), await town.person()
    room = await town.room(alice)
    await town.send(alice, room, "two", "three")
    await town.join(room, alice, bob)
    async with (
        town.session(alice) as (one, _),
        town.session(bob) as (two, _),
        town.session(carol) as (three, _),
    ):
        await town.deliver(town.to_room(event(room, 3), event(room, 4), event(room, 5)))
        assert [(await next_message(one)).seq for _ in range(3)] == [3, 4, 5]
        assert [(await next_message(two)).seq for _ in range(2)] == [4, 5]
        await three.silent()


async def test_who_joins_by_an_event_of_the_same_batch_hears_what_follows(town: Town) -> None:
    alice, bob = await town.person(), await town.person()
    room = await town.room(alice)
    async with town.session(bob) as (client, session_id):
        batch = [event(room, 2), joined(room, 3, bob), event(room, 4), left(room, 5, bob), event(room, 6)]
        requests = [town.to_room(one, ids=[session_id] if one.HasField("room") else []) for one in batch]
        answers = await town.deliver(*requests)
        assert [(await next_message(client)).seq for _ in range(3)] == [3, 4, 5]
        await client.silent()
    assert all(answer.outcome == DeliverResponse.OUTCOME_DELIVERED for answer in answers)


async def test_a_repeated_leave_of_an_earlier_stay_ends_nothing(town: Town) -> None:
    alice, bob = await town.person(), await town.person()
    room = await town.room(alice)
    async with town.session(bob) as (client, _):
        await town.deliver(town.to_room(joined(room, 5, bob), left(room, 3, bob), event(room, 6)))
        # The leave is of number 3: who came with number 5 does not hear of it.
        assert [(await next_message(client)).seq for _ in range(2)] == [5, 6]


async def test_the_session_that_sent_is_left_out_even_if_it_is_named(town: Town) -> None:
    alice = await town.person()
    room = await town.room(alice)
    async with town.session(alice) as (one, one_id), town.session(alice) as (two, two_id):
        await town.deliver(town.to_room(event(room, 2), ids=[one_id, two_id], origin=one_id))
        assert (await next_message(two)).seq == 2
        await two.silent()
        await one.silent()


async def test_a_room_without_members_here_is_no_error(town: Town) -> None:
    (answer,) = await town.deliver(town.to_room(event(77, 2)))
    assert answer.outcome == DeliverResponse.OUTCOME_DELIVERED


async def test_each_group_has_tokens_of_its_own(town: Town) -> None:
    owners = [("push", 5), ("persist", 3), ("push", 4), ("persist", 2), ("persist", 3)]
    answers = await town.deliver(*(town.batch(group=group, token=token) for group, token in owners))
    fenced = [answer.outcome == DeliverResponse.OUTCOME_FENCED for answer in answers]
    assert fenced == [False, False, True, True, False]


# A hello and a join at the same time


async def test_a_join_after_logic_has_read_the_rooms_is_not_lost(settings: Settings) -> None:
    async with gated_logic(settings) as gate, running(settings) as town:
        alice, bob = await town.person(), await town.person()
        room = await town.room(alice)
        gate.hold("list_heads")
        async with town.client() as client:
            await client.greet(bob.token)
            await gate.held("list_heads")
            session_id = (await town.mapped(bob.id))[0].session_id
            await town.deliver(town.to_room(joined(room, 2, bob), ids=[session_id]))
            gate.free("list_heads")
            assert (await client.hear()).HasField("welcome")
            assert [frame.message.seq for frame in await client.caught_up()] == [2]
            await town.deliver(town.to_room(event(room, 3)))
            assert (await next_message(client)).seq == 3


async def test_a_leave_after_logic_has_read_the_rooms_holds(settings: Settings) -> None:
    async with gated_logic(settings) as gate, running(settings) as town:
        alice, bob = await town.person(), await town.person()
        room = await town.room(alice, bob)
        gate.hold("list_heads")
        async with town.client() as client:
            await client.greet(bob.token)
            await gate.held("list_heads")
            session_id = (await town.mapped(bob.id))[0].session_id
            await town.deliver(town.to_room(left(room, 2, bob), ids=[session_id]))
            gate.free("list_heads")
            assert (await client.hear()).HasField("welcome")
            assert [frame.message.seq for frame in await client.caught_up()] == [2]
            await town.deliver(town.to_room(event(room, 3)))
            await client.silent()


async def test_heads_are_read_again_once_the_gateway_is_registered_for_the_room(settings: Settings) -> None:
    async with gated_logic(settings) as gate, running(settings) as town:
        alice, bob = await town.person(), await town.person()
        room = await town.room(alice, bob)
        gate.hold("list_heads")
        async with town.client() as client:
            await client.greet(bob.token, Cursor(conversation_id=f"room.{room}", epoch=1, seq=1))
            await gate.held("list_heads")
            assert not await instances(town, room)
            # Nobody is told of this: the room has no gateway yet.
            await town.send(alice, room, "unheard")
            gate.free("list_heads")
            assert (await client.hear()).HasField("welcome")
            assert [frame.message.text for frame in await client.caught_up()] == ["unheard"]
        assert gate.calls["list_heads"] == 2
        async with town.session(bob):
            pass
        assert gate.calls["list_heads"] == 3


async def test_sessions_of_one_room_that_begin_together_both_see_what_nobody_was_sent(
    settings: Settings,
) -> None:
    async with gated_logic(settings) as gate, running(settings) as town:
        alice, bob = await town.person(), await town.person()
        room = await town.room(alice, bob)
        cursor = Cursor(conversation_id=f"room.{room}", epoch=1, seq=1)
        gate.hold("list_heads")
        async with town.client() as one, town.client() as two:
            for client, person in ((one, alice), (two, bob)):
                await client.greet(person.token, cursor)
            await gate.held("list_heads", 2)
            await town.send(alice, room, "unheard")
            gate.free("list_heads")
            for client in (one, two):
                assert (await client.hear()).HasField("welcome")
                assert [frame.message.text for frame in await client.caught_up()] == ["unheard"]
