from __future__ import annotations

from collections import Counter

import pytest
from idiom.v1.runtime_pb2 import Handled
from im.connect.v1.delivery_service_pb2 import DeliverResponse
from im.logic.v1.rung_pb2 import DELIVERED, READ
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from impl.storage.sessions import SessionAddress
from impl.storage.user_index import SMALL_ROOM
from impl.task import courier, deliveries
from impl.task.push import Push
from tests.impl.task.events import ROOM, batch_of, created, event, joined, left, marked, said
from tests.impl.task.world import World

OK = Handled.OUTCOME_UNSPECIFIED
OTHER = "room.78"


@pytest.fixture
def push(world: World) -> Push:
    return Push(world.conversations, world.sessions, world.instances, world.courier)


async def pushed(push: Push, *events: ConversationEvent) -> None:
    assert [one.outcome for one in await push.handle(batch_of(*events))] == [OK] * len(events)


async def test_a_room_is_told_once_to_each_gateway_that_has_members(world: World, push: Push) -> None:
    await world.room(ROOM, 1, 2, 3)
    async with world.gateway("a") as a, world.gateway("b") as b:
        for gateway in (a, b):
            await world.instances.add(gateway.name, gateway.boot_id, [ROOM])
        await pushed(push, said(5, origin="s"), said(6, seq=2))
        assert a.ids == b.ids == [5, 6]
        assert [(item.to_room, list(item.session_ids), item.origin_session) for item in a.items] == [
            (True, [], "s"),
            (True, [], ""),
        ]
        assert [(request.group, request.boot_id) for request in a.heard] == [("push", a.boot_id)]


async def test_who_joins_hears_it_and_all_that_follows_though_their_gateway_had_no_member(
    world: World, push: Push
) -> None:
    await world.room(ROOM, 1, 2)
    async with world.gateway("a") as a, world.gateway("b") as b:
        await world.instances.add("a", a.boot_id, [ROOM])
        await world.sessions.add([b.session(2, "s2")])
        await pushed(push, said(4), joined(5, 2), said(6), event(7, to=2))
        # What was before is told too: a gateway knows since when its users are members.
        assert (a.ids, b.ids) == ([4, 5, 6], [4, 5, 6, 7])
        assert [list(item.session_ids) for item in b.items] == [[], ["s2"], [], ["s2"]]
        assert await world.instances.of([ROOM]) == {ROOM: [("a", a.boot_id), ("b", b.boot_id)]}
        await pushed(push, said(8))
        assert b.ids == [4, 5, 6, 7, 8]


async def test_a_new_room_is_told_to_everybody_in_it(world: World, push: Push) -> None:
    await world.room(ROOM, 1, 2, 3)
    async with world.gateway("a") as a:
        await world.sessions.add([a.session(user, f"s{user}") for user in (1, 2, 4)])
        await pushed(push, created(5, 1, 2, 3))
        assert [sorted(item.session_ids) for item in a.items] == [["s1", "s2"]]
        assert await world.instances.of([ROOM]) == {ROOM: [("a", a.boot_id)]}
    for user in (1, 2, 3):
        assert await world.conversations.rooms_of(user) == [ROOM]
        assert await world.conversations.recent(user, 10) == [ROOM]


async def test_who_leaves_hears_of_it_and_has_the_room_no_longer(world: World, push: Push) -> None:
    await world.room(ROOM, 1)
    await world.conversations.update_rooms([(2, ROOM), (2, OTHER)], [])
    async with world.gateway("a") as a:
        await world.sessions.add([a.session(2, "s2")])
        await pushed(push, left(5, 2))
        assert [(item.message.id, list(item.session_ids)) for item in a.items] == [(5, ["s2"])]
        assert await world.conversations.rooms_of(2) == [OTHER]
        assert await world.instances.of([ROOM]) == {}


async def test_who_left_and_came_back_has_the_room(world: World, push: Push) -> None:
    await world.room(ROOM, 1, 2)
    await pushed(push, left(5, 2), joined(6, 2))
    assert await world.conversations.rooms_of(2) == [ROOM]


async def test_events_of_a_small_room_move_the_lists_of_its_members(world: World, push: Push) -> None:
    await world.room(ROOM, 1, 2)
    await world.room(OTHER, 1)
    await pushed(push, said(10_000), said(10_001, room=OTHER))
    assert await world.conversations.recent(1, 10) == [OTHER, ROOM]
    assert await world.conversations.recent(2, 10) == [ROOM]


async def test_events_of_a_large_room_move_nobodys_list(world: World, push: Push) -> None:
    await world.room(ROOM, *range(1, SMALL_ROOM + 2))
    await pushed(push, said(10_000))
    assert await world.conversations.recent(1, 10) == []


async def test_marks_come_after_the_messages_they_are_about(world: World, push: Push) -> None:
    async with world.gateway("a") as a:
        await world.sessions.add([a.session(1, "s1"), a.session(2, "s2")])
        conversation = "dm.1.2"
        await pushed(
            push, event(5, seq=3), marked(2, conversation, delivered=3), marked(2, conversation, read=3)
        )
        first, received, read = a.items
        assert (first.message.seq, received.progress.seq, read.progress.seq) == (3, 3, 3)
        assert (received.progress.state, list(received.session_ids)) == (DELIVERED, ["s1"])
        assert (read.progress.state, list(read.session_ids)) == (READ, ["s1", "s2"])
    assert await world.conversations.recent(1, 10) == [conversation]


async def test_in_a_room_what_was_read_is_told_to_the_readers_devices_alone(world: World, push: Push) -> None:
    await world.room(ROOM, 1, 2)
    async with world.gateway("a") as a:
        await world.instances.add("a", a.boot_id, [ROOM])
        await world.sessions.add([a.session(1, "s1"), a.session(2, "s2"), a.session(2, "s3")])
        await pushed(push, marked(2, ROOM, read=1))
        assert [(sorted(item.session_ids), item.to_room) for item in a.items] == [(["s2", "s3"], False)]


async def test_an_earlier_life_of_a_gateway_is_not_told_of_the_room_again(world: World, push: Push) -> None:
    await world.room(ROOM, 1)
    async with world.gateway("a") as a:
        await world.instances.add("a", a.boot_id, [ROOM, OTHER])
        a.outcome = DeliverResponse.OUTCOME_WRONG_BOOT
        await pushed(push, said(5))
        assert await world.instances.of([ROOM, OTHER]) == {OTHER: [("a", a.boot_id)]}


async def test_a_gateway_that_cannot_be_reached_for_long_is_not_told_of_the_room_again(
    world: World, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "PATIENCE", 0.1)
    await world.room(ROOM, 1)
    await world.instances.add("nowhere", "boot", [ROOM])
    await pushed(push, said(5))
    assert await world.instances.of([ROOM]) == {ROOM: [("nowhere", "boot")]}
    monkeypatch.setattr(courier, "PATIENCE", 0.05)
    await pushed(push, said(6))
    assert await world.instances.of([ROOM]) == {}


async def test_a_stale_session_does_not_hide_where_its_gateway_lives_now(world: World, push: Push) -> None:
    await world.room(ROOM, 1, 2)
    async with world.gateway("a") as a:
        await world.instances.add("a", a.boot_id, [ROOM])
        stale = SessionAddress(2, "stale", "a", "an earlier life")
        await world.sessions.add([stale])
        await pushed(push, joined(5, 2), said(6))
        assert await world.instances.of([ROOM]) == {ROOM: [("a", a.boot_id)]}
        assert [request.boot_id for request in a.heard].count(a.boot_id) == 1


async def calls(world: World) -> tuple[Counter[str], int]:
    """Calls of each command so far, and how often the server read from clients."""
    stats = await world.redis.info("commandstats")
    reads = await world.redis.info("stats")
    made = {name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()}
    return Counter(made), reads["total_reads_processed"]


async def test_redis_is_asked_equally_often_however_many_members_and_events_there_are(
    world: World, push: Push
) -> None:
    few, many = 2 * SMALL_ROOM, 10_000
    await world.room(ROOM, *range(1, few))
    await world.room(OTHER, *range(1, many))
    async with world.gateway("a") as a, world.gateway("b") as b:
        for gateway in (a, b):
            await world.instances.add(gateway.name, gateway.boot_id, [ROOM, OTHER])
        costs = []
        for events in ([said(5)], [said(5)], [said(5, room=OTHER)], [said(n, room=OTHER) for n in range(50)]):
            before, reads = await calls(world)
            await pushed(push, *events)
            after, last_reads = await calls(world)
            costs.append((after - before, last_reads - reads))
        assert costs[1] == costs[2] == costs[3]
