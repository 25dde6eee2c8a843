"""Messenger on the real system."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from idiom.v1 import reason_errors as runtime_reasons
from im.errors.v1 import reason_errors as reasons
from im.logic.v1.room_pb2 import (
    HISTORY_POLICY_EVERYTHING,
    JOIN_POLICY_OPEN,
    ROLE_ADMIN,
    ROLE_OWNER,
    RoomSettings,
)
from im.logic.v1.rung_pb2 import DELIVERED, DURABLE, READ

from codegen.runtime.errors import Error
from impl.client import (
    ConnectionChanged,
    ConnectionState,
    FileStore,
    MemoryStore,
    MessageReceived,
    Messenger,
    Options,
    ReadMarkMoved,
    RungReached,
    SendFailed,
)
from tests.client.readers import Reader, history
from tests.conftest import System
from tests.hostile import Faults, hostile

PASSWORD = "correct horse"


def name() -> str:
    return f"user-{time.time_ns()}"


def id_of(messenger: Messenger) -> int:
    assert messenger.me is not None
    return messenger.me.id


@asynccontextmanager
async def reading(messenger: Messenger) -> AsyncIterator[Reader]:
    reader = Reader(messenger)
    task = asyncio.create_task(reader.run())
    try:
        yield reader
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def person(url: str, **options: Any) -> AsyncIterator[Reader]:
    async with Messenger(url, options=Options(**options)) as messenger:
        await messenger.register(name(), PASSWORD)
        async with reading(messenger) as reader:
            await messenger.live()
            yield reader


async def failed(work: Any) -> Error:
    with pytest.raises(Error) as error:
        await work
    return error.value


@pytest.mark.parametrize("encoding", ["json", "proto"])
async def test_two_people_talk_and_see_how_far_each_word_has_come(system: System, encoding: str) -> None:
    async with person(system.url, encoding=encoding) as ada, person(system.url) as bob:
        pair = ada.messenger.private(id_of(bob.messenger))
        hello = await ada.messenger.send(pair, "hello", until=DURABLE)
        await bob.until(pair, hello.seq)
        await ada.until_event(RungReached(pair, hello.seq, DELIVERED))
        assert bob.messenger.unread_count(pair) == 1
        assert await bob.messenger.mark_read(pair, hello.seq) == 0
        await ada.until_event(RungReached(pair, hello.seq, READ))
        await bob.until_event(ReadMarkMoved(pair, hello.seq, 0))
        assert ada.messenger.rung(hello) == READ
        await bob.messenger.send(pair, "hello yourself")
        await ada.until(pair, 2)
        assert ada.texts(pair) == bob.texts(pair) == ["hello", "hello yourself"]
        await ada.messenger.flushed()
        assert ada.messenger.outbox() == []


async def test_another_device_of_the_same_user_sees_everything(system: System) -> None:
    async with person(system.url) as ada, person(system.url) as bob, Messenger(system.url) as other:
        assert ada.messenger.me is not None
        await other.log_in(ada.messenger.me.username, PASSWORD)
        async with reading(other) as second:
            await other.live()
            pair = ada.messenger.private(id_of(bob.messenger))
            await ada.messenger.send(pair, "from the first")
            await other.send(pair, "from the second")
            for reader in (ada, second, bob):
                await reader.until(pair, 2)
                assert reader.texts(pair) == ["from the first", "from the second"]


async def test_rooms_come_and_go_with_their_events(system: System) -> None:
    async with person(system.url) as ada, person(system.url) as bob, person(system.url) as eve:
        settings = RoomSettings(name="den", join=JOIN_POLICY_OPEN)
        room = await ada.messenger.rooms.create(settings, [id_of(bob.messenger)])
        den = room.conversation_id
        await bob.until(den, 1)
        await ada.messenger.send(den, "before eve")
        await eve.messenger.rooms.join(room.id)
        await ada.messenger.rooms.set_role(room.id, id_of(bob.messenger), ROLE_ADMIN)
        await bob.messenger.rooms.update(room.id, RoomSettings(name="lair"))
        await eve.messenger.send(den, "hello")
        await eve.until(den, 6)
        assert [m.seq for m in eve.shown[den]] == [3, 4, 5, 6]
        assert eve.shown[den][0].room.joined.user_id == id_of(eve.messenger)
        await bob.messenger.rooms.remove(room.id, id_of(eve.messenger))
        await eve.until(den, 7)
        await ada.messenger.send(den, "after eve")
        await bob.until(den, 8)
        assert eve.shown[den][-1].room.left.user_id == id_of(eve.messenger)
        assert (await failed(eve.messenger.send(den, "still?"))).reason == reasons.NOT_A_MEMBER
        members = [(m.user_id, m.role) async for m in bob.messenger.rooms.members(room.id)]
        assert members == [(id_of(ada.messenger), ROLE_OWNER), (id_of(bob.messenger), ROLE_ADMIN)]
        assert (await bob.messenger.rooms.get(room.id)).name == "lair"
        assert (await failed(ada.messenger.rooms.leave(room.id))).reason == reasons.OWNER_MUST_TRANSFER
        assert [m.seq for m in eve.shown[den]] == [3, 4, 5, 6, 7]


async def test_who_joins_a_room_that_shows_everything_begins_with_the_own_coming(system: System) -> None:
    async with person(system.url) as ada, person(system.url) as bob:
        settings = RoomSettings(name="den", join=JOIN_POLICY_OPEN, history=HISTORY_POLICY_EVERYTHING)
        room = await ada.messenger.rooms.create(settings)
        for number in range(3):
            await ada.messenger.send(room.conversation_id, f"{number}")
        await bob.messenger.rooms.join(room.id)
        await bob.messenger.send(room.conversation_id, "hello")
        await bob.until(room.conversation_id, 6)
        assert [m.seq for m in bob.shown[room.conversation_id]] == [5, 6]
        assert bob.messenger.unread_count(room.conversation_id) == 0
        assert [m.seq for m in await history(bob.messenger, room.conversation_id)] == [1, 2, 3, 4, 5, 6]


async def test_history_is_read_both_ways(system: System) -> None:
    async with person(system.url) as ada:
        notes = ada.messenger.private(id_of(ada.messenger))
        for number in range(7):
            await ada.messenger.send(notes, f"{number}")
        newest = await ada.messenger.history(notes, limit=3)
        older = await ada.messenger.history(notes, before_seq=newest.messages[0].seq, limit=3)
        oldest = await ada.messenger.history(notes, after_seq=0, limit=3)
        assert [[m.text for m in page.messages] for page in (newest, older, oldest)] == [
            ["4", "5", "6"],
            ["1", "2", "3"],
            ["0", "1", "2"],
        ]
        assert [page.more for page in (newest, older, oldest)] == [True, True, True]
        [conversation] = [each async for each in ada.messenger.conversations()]
        assert (conversation.id, conversation.unread_count, conversation.last_message.text) == (notes, 0, "6")


async def test_refusals_are_typed(system: System) -> None:
    async with person(system.url) as ada, Messenger(system.url) as other:
        assert ada.messenger.me is not None
        assert (await failed(other.log_in(name(), PASSWORD))).reason == reasons.WRONG_CREDENTIALS
        taken = await failed(other.register(ada.messenger.me.username, PASSWORD))
        assert taken.reason == reasons.USERNAME_TAKEN
        assert (await failed(other.live())).reason == runtime_reasons.TOKEN_MISSING
        assert (await failed(ada.messenger.find_user(name()))).reason == reasons.USER_NOT_FOUND
        long = ada.messenger.private(id_of(ada.messenger))
        assert (await failed(ada.messenger.send(long, "x" * 20_000))).reason.name == "VALIDATION_FAILED"
        assert (await failed(ada.messenger.send(long, "x" * 200_000))).reason == runtime_reasons.TOO_LARGE
        with pytest.raises(Error, match="'nobody' is not the id of a conversation"):
            ada.messenger.post("nobody", "hello")
        await ada.messenger.send(long, "the outbox goes on")
        assert [type(event) for event in ada.events].count(SendFailed) == 2


async def test_what_is_posted_without_a_connection_goes_out_later_and_in_order(system: System) -> None:
    async with hostile(system.url, Faults()) as proxy, person(proxy.url) as ada, person(system.url) as bob:
        pair = ada.messenger.private(id_of(bob.messenger))
        proxy.faults = Faults(unsent=1.0)
        proxy.close_all(1001)
        for number in range(5):
            ada.messenger.post(pair, f"{number}")
        async with asyncio.timeout(20):
            while ada.messenger.connection is not ConnectionState.WAITING:
                ada.arrived.clear()
                await ada.arrived.wait()
        proxy.calm = True
        await bob.until(pair, 5)
        assert bob.texts(pair) == ["0", "1", "2", "3", "4"]


async def test_a_program_that_takes_its_time_misses_nothing(system: System) -> None:
    async with person(system.url) as ada, Messenger(system.url, options=Options(capacity=4)) as slow:
        await slow.register(name(), PASSWORD)
        await slow.live()
        pair = ada.messenger.private(id_of(slow))
        for number in range(40):
            await ada.messenger.send(pair, f"{number}")
        async with reading(slow) as reader:
            await reader.until(pair, 40)
        assert reader.texts(pair) == [f"{number}" for number in range(40)]


async def test_a_program_that_takes_no_events_can_send_all_the_same(system: System) -> None:
    async with person(system.url) as ada, Messenger(system.url, options=Options(capacity=4)) as bot:
        await bot.register(name(), PASSWORD)
        pair = bot.private(id_of(ada.messenger))
        for number in range(20):
            bot.post(pair, f"{number}")
        async with asyncio.timeout(30):
            await bot.flushed()
        await ada.until(pair, 20)


async def test_a_store_goes_on_where_a_client_ended(system: System) -> None:
    store = MemoryStore()
    async with person(system.url) as ada:
        async with Messenger(system.url, store=store) as first:
            await first.register(name(), PASSWORD)
            pair = ada.messenger.private(id_of(first))
            async with reading(first) as reader:
                await first.live()
                await ada.messenger.send(pair, "while there")
                await reader.until(pair, 1)
        await ada.messenger.send(pair, "while away")
        new = ada.messenger.private(id_of(ada.messenger))
        async with Messenger(system.url, store=store) as second, reading(second) as reader:
            assert second.me is not None
            await reader.until(pair, 2)
            assert reader.texts(pair)[-1] == "while away"
            assert len(reader.texts(pair)) <= 2
            assert new not in reader.shown
            await second.log_out()
            assert second.me is None
        assert store.load() == {}


async def test_an_event_counts_as_shown_when_the_next_one_is_asked_for_in_whatever_loop(
    system: System,
) -> None:
    store = MemoryStore()
    async with person(system.url) as ada, Messenger(system.url, store=store) as bot:
        await bot.register(name(), PASSWORD)
        pair = bot.private(id_of(ada.messenger))
        for number in range(2):
            await ada.messenger.send(pair, f"{number}")
            async for event in bot.events():
                if isinstance(event, MessageReceived):
                    break
        assert [value[1] for key, value in store.load().items() if "cursor" in key] == [1]
        assert bot.me is not None
    async with Messenger(system.url, store=store) as again, reading(again) as reader:
        await reader.until(pair, 2)
        assert reader.texts(pair) == ["1"]


async def test_a_login_that_was_ended_elsewhere_ends_the_session_with_its_reason(system: System) -> None:
    store = MemoryStore()
    async with Messenger(system.url, store=store) as first:
        await first.register(name(), PASSWORD)
    login = store.load()["login"]
    store.put("login", {**login, "refresh_token": "unknown", "renew_at": 0.0, "expires_at": 0.0})
    async with Messenger(system.url, store=store) as second:
        error = await failed(second.live())
        assert error.reason == reasons.REFRESH_TOKEN_INVALID
        assert second.connection is ConnectionState.CLOSED
        assert (await failed(second.conversation("dm.1.2"))).reason == reasons.REFRESH_TOKEN_INVALID
    assert "login" not in store.load()


async def test_an_access_token_is_renewed_before_and_after_it_has_expired(tmp_path: Path) -> None:
    short = System(tmp_path / "data", access_token_seconds="2")
    short.start()
    try:
        async with person(short.url) as ada:
            notes = ada.messenger.private(id_of(ada.messenger))
            deadline = time.monotonic() + 7
            sent = 0
            while time.monotonic() < deadline:
                await ada.messenger.send(notes, f"{sent}")
                sent += 1
                assert (await ada.messenger.conversation(notes)).unread_count == 0
                await asyncio.sleep(0.2)
            await ada.until(notes, sent)
            assert ada.texts(notes) == [f"{number}" for number in range(sent)]
    finally:
        short.close()


async def test_a_service_that_wants_no_other_session_is_obeyed_until_the_program_says_otherwise(
    system: System,
) -> None:
    async with hostile(system.url, Faults()) as proxy, person(proxy.url) as ada:
        proxy.close_all(4402)
        async with asyncio.timeout(10):
            while ada.messenger.connection is not ConnectionState.CLOSED:
                ada.arrived.clear()
                await ada.arrived.wait()
        closed = ada.events[-1]
        assert isinstance(closed, ConnectionChanged)
        assert closed.error is not None
        assert closed.error.reason.name == "MALFORMED_FRAME"
        await ada.messenger.reconnect()
        await ada.messenger.live()


async def test_the_first_login_may_tell_everything_that_was_said_before(system: System) -> None:
    async with person(system.url) as ada, person(system.url) as bob:
        pair = ada.messenger.private(id_of(bob.messenger))
        for number in range(3):
            await ada.messenger.send(pair, f"{number}")
        assert bob.messenger.me is not None
        username = bob.messenger.me.username
        for backlog, expected in ((False, []), (True, ["0", "1", "2"])):
            async with Messenger(system.url, options=Options(backlog=backlog)) as other:
                await other.log_in(username, PASSWORD)
                async with reading(other) as reader:
                    await other.live()
                    if backlog:
                        await reader.until(pair, 3)
                    assert reader.texts(pair) == expected


async def test_a_client_that_is_killed_goes_on(system: System, tmp_path: Path) -> None:
    path, texts = tmp_path / "store", 60
    async with person(system.url) as ada:
        with FileStore(path) as store:
            async with Messenger(system.url, store=store) as bot:
                await bot.register(name(), PASSWORD)
                pair = bot.private(id_of(ada.messenger))
        talking = asyncio.create_task(_talk(ada.messenger, pair, texts))
        shown: list[str] = []
        for life in range(4):
            process = await _bot(system.url, path, pair, texts)
            shown += await _lines(process, 25 if life < 3 else None)
            process.send_signal(signal.SIGKILL)
            shown += await _lines(process, None)
            await process.wait()
        await talking
        there = [f"{m.seq} {m.text}" for m in await history(ada.messenger, pair)]
        assert list(dict.fromkeys(shown)) == there
        assert len(shown) - len(there) <= 3
        mine = [m.text for m in await history(ada.messenger, pair) if m.text.startswith("bot")]
        assert mine == [f"bot {number}" for number in range(texts)]


async def _talk(messenger: Messenger, conversation: str, texts: int) -> None:
    for number in range(texts):
        await messenger.send(conversation, f"ada {number}")
        await asyncio.sleep(0.02)


async def _bot(url: str, store: Path, conversation: str, texts: int) -> Process:
    program = [sys.executable, "-P", "-m", "tests.client.bot", url, str(store), conversation, str(texts)]
    return await asyncio.create_subprocess_exec(*program, stdout=PIPE)


async def _lines(process: Process, most: int | None) -> list[str]:
    """What it prints: so many lines, or all until it ends, or has sent and shown everything."""
    assert process.stdout is not None
    found: list[str] = []
    flushed = False
    while most is None or len(found) < most:
        try:
            async with asyncio.timeout(2 if flushed else 60):
                line = (await process.stdout.readline()).decode()
        except TimeoutError:
            assert flushed
            return found
        if not line.endswith("\n"):
            return found
        flushed = flushed or line == "flushed\n"
        found += [line.strip()] if line != "flushed\n" else []
    return found
