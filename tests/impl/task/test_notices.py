from __future__ import annotations

import time

import pytest
from idiom.v1.runtime_pb2 import Handled

from impl.task import deliveries
from impl.task import notices as module
from impl.task.notices import Notices
from impl.task.persist import Persist
from impl.task.routing import Source
from tests.impl.task.events import ROOM, batch_of, event, joined, marked, said
from tests.impl.task.world import World

OWNER = Source("persist", 3, 9)
PRIVATE = "dm.1.2"


async def test_senders_hear_on_all_their_devices_what_is_stored(world: World, notices: Notices) -> None:
    persist = Persist(world.messages, world.conversations, notices)
    async with world.gateway("a") as a, world.gateway("b") as b:
        await world.sessions.add([a.session(1, "s1"), b.session(1, "s2"), b.session(2, "s3")])
        await persist.handle(batch_of(event(1), event(2, seq=2), partition=3, token=9))
        await a.until(lambda: a.stored == [(PRIVATE, 2, ["s1"])])
        await b.until(lambda: b.stored == [(PRIVATE, 2, ["s2"])])
        (request,) = a.heard
        assert (request.group, request.partition, request.token) == ("persist", 3, 9)
        assert request.items[0].progress.user_id == 0


async def test_each_sender_of_a_room_hears_of_their_own_messages_only(world: World, notices: Notices) -> None:
    persist = Persist(world.messages, world.conversations, notices)
    async with world.gateway("a") as a:
        await world.sessions.add([a.session(user, f"s{user}") for user in (1, 2, 3)])
        sent = [said(2, sender=2, seq=2), said(3, sender=1, seq=3), said(4, sender=2, seq=4)]
        await persist.handle(batch_of(joined(1, 3, by=3, seq=1), *sent, marked(3, ROOM, read=4)))
        await a.until(lambda: sorted(a.stored) == [(ROOM, 3, ["s1"]), (ROOM, 4, ["s2"])])


async def test_what_waits_is_told_once_with_the_highest_number(world: World, notices: Notices) -> None:
    async with world.gateway("a") as a:
        await world.sessions.add([a.session(1, "s1")])
        for seq in (4, 7, 6):
            notices.put(OWNER, {(1, PRIVATE): seq})
        notices.put(OWNER, {(1, "dm.1.3"): 1})
        await a.until(lambda: a.stored == [(PRIVATE, 7, ["s1"]), ("dm.1.3", 1, ["s1"])])


async def test_a_gateway_that_hangs_delays_no_acknowledgement(
    world: World, notices: Notices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "ANSWER_SECONDS", 5.0)
    persist = Persist(world.messages, world.conversations, notices)
    async with world.gateway("a") as a:
        await world.sessions.add([a.session(1, "s1")])
        a.open.clear()
        began = time.monotonic()
        for seq in range(1, 6):
            handled = await persist.handle(batch_of(event(seq, seq=seq)))
            assert [one.outcome for one in handled] == [Handled.OUTCOME_UNSPECIFIED]
        assert time.monotonic() - began < 5.0
        a.open.set()
        await a.until(lambda: bool(a.stored) and a.stored[-1] == (PRIVATE, 5, ["s1"]))


async def test_when_too_many_wait_the_rest_is_counted_and_said_once(
    world: World, notices: Notices, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "WAITING", 2)
    async with world.gateway("a") as a:
        await world.sessions.add([a.session(user, f"s{user}") for user in range(1, 6)])
        notices.put(OWNER, {(user, ROOM): 5 for user in range(1, 6)})
        notices.put(OWNER, {(1, ROOM): 6})
        assert notices.dropped == 3
        await a.until(lambda: a.stored == [(ROOM, 6, ["s1"]), (ROOM, 5, ["s2"])])
        notices.put(OWNER, {(3, ROOM): 7})
        await a.until(lambda: a.stored[-1] == (ROOM, 7, ["s3"]))
    assert len([line for line in caplog.messages if "wait to be told" in line]) == 1


async def test_what_redis_could_not_be_asked_about_is_told_when_it_is_back(
    world: World, notices: Notices
) -> None:
    async with world.gateway("a") as a:
        await world.sessions.add([a.session(1, "s1")])
        await world.redis_server.kill()
        notices.put(OWNER, {(1, PRIVATE): 4})
        await world.redis_server.start()
        notices.put(OWNER, {(1, PRIVATE): 5})
        await a.until(lambda: bool(a.stored) and a.stored[-1] == (PRIVATE, 5, ["s1"]))


async def test_what_waits_at_the_end_is_told_yet(world: World) -> None:
    async with world.gateway("a") as a:
        await world.sessions.add([a.session(user, f"s{user}") for user in range(1, 600)])
        async with Notices(world.sessions, world.courier) as notices:
            notices.put(OWNER, {(user, PRIVATE): 1 for user in range(1, 600)})
        assert len(a.stored) == 599


async def test_the_end_does_not_wait_for_a_redis_that_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LAST_SECONDS", 0.2)
    await world.redis_server.kill()
    async with Notices(world.sessions, world.courier) as notices:
        notices.put(OWNER, {(1, PRIVATE): 1})
        began = time.monotonic()
    assert time.monotonic() - began < 5.0
