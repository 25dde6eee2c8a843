"""Clients of the real system behind a hostile network: what they show is exact, what they send is once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count, pairwise

import pytest
from im.logic.v1.room_pb2 import JOIN_POLICY_OPEN, RoomSettings

from codegen.runtime.client import reconnect
from codegen.runtime.client.frames import Encoding
from impl.client import Messenger, Options, sender, session
from tests.client.readers import Reader, history
from tests.conftest import System
from tests.hostile import CLOSE_CODES, Faults, Hostile, hostile

NUMBERS = count(1)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "WELCOME_SECONDS", 3.0)
    monkeypatch.setattr(session, "RESUME_SECONDS", 1.0)
    monkeypatch.setattr(sender, "ATTEMPT_SECONDS", 1.0)
    monkeypatch.setattr(reconnect, "LONGEST_PAUSE", 1.0)


@asynccontextmanager
async def people(url: str, *encodings: Encoding) -> AsyncIterator[list[Reader]]:
    """Registered users, each with a client that is read."""
    async with AsyncExitStack() as stack:
        readers = []
        for encoding in encodings:
            messenger = await stack.enter_async_context(Messenger(url, options=Options(encoding=encoding)))
            await messenger.register(f"user-{next(NUMBERS)}-{time.time_ns()}", "correct horse")
            readers.append(Reader(messenger))
        async with asyncio.TaskGroup() as tasks:
            reading = [tasks.create_task(reader.run()) for reader in readers]
            for reader in readers:
                await reader.messenger.live()
            yield readers
            for task in reading:
                task.cancel()


async def talk(reader: Reader, conversations: list[str], texts: int) -> None:
    for number in range(texts):
        for conversation in conversations:
            await reader.messenger.send(conversation, f"{reader.messenger.me.id}: {number}")  # type: ignore[union-attr]


async def settle(proxy: Hostile, readers: list[Reader], conversations: list[str]) -> None:
    """The network is good again, and every session begins once more."""
    proxy.calm = True
    proxy.close_all(4000)
    for reader in readers:
        async with asyncio.timeout(60):
            await reader.messenger.flushed()
    proxy.close_all(4000)
    for reader in readers:
        for conversation in conversations:
            if conversation.startswith("room.") or str(reader.messenger.me.id) in conversation:  # type: ignore[union-attr]
                head = (await reader.messenger.conversation(conversation)).head
                await reader.until(conversation, head.seq)


async def check(readers: list[Reader], sent: int) -> None:
    """What each has been shown is what the service has, and every text is there once."""
    for reader in readers:
        for conversation, shown in reader.shown.items():
            there = await history(reader.messenger, conversation)
            assert [m.seq for m in shown] == [m.seq for m in there]
            assert [m.id for m in shown] == [m.id for m in there]
            assert all(a.seq < b.seq for a, b in pairwise(shown))
            texts = reader.texts(conversation)
            assert len(texts) == len(set(texts))
            assert len(texts) % sent == 0
            for author in {text.split(":")[0] for text in texts}:
                mine = [text for text in texts if text.startswith(f"{author}:")]
                assert mine == [f"{author}: {number}" for number in range(sent)]


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_fault_at_once(system: System, seed: int) -> None:
    faults = Faults.all(0.04, seed)
    async with hostile(system.url, faults) as proxy, people(proxy.url, "json", "proto", "json") as readers:
        ada, bob, eve = (reader.messenger for reader in readers)
        ids = [messenger.me.id for messenger in (ada, bob, eve)]  # type: ignore[union-attr]
        room = await ada.rooms.create(RoomSettings(name="den", join=JOIN_POLICY_OPEN), [ids[1]])
        await eve.rooms.join(room.id)
        pair = ada.private(ids[1])
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(talk(readers[0], [pair, room.conversation_id], 40))
            tasks.create_task(talk(readers[1], [pair, room.conversation_id], 40))
            tasks.create_task(talk(readers[2], [room.conversation_id], 40))
        await settle(proxy, readers, [pair, room.conversation_id])
        await check(readers, 40)
        assert sum(proxy.counts.values()) > 100
        assert {"drop", "repeat", "overtake"} <= set(+proxy.counts)


async def test_any_close_code_is_survived(system: System) -> None:
    async with hostile(system.url, Faults()) as proxy, people(proxy.url, "json", "json") as readers:
        ada, bob = (reader.messenger for reader in readers)
        pair = ada.private(bob.me.id)  # type: ignore[union-attr]
        for number, code in enumerate(CLOSE_CODES):
            sending = asyncio.create_task(bob.send(pair, f"{bob.me.id}: {number}"))  # type: ignore[union-attr]
            await asyncio.sleep(0)
            proxy.close_all(code)
            await sending
        await settle(proxy, readers, [pair])
        await check(readers, len(CLOSE_CODES))


@pytest.mark.parametrize("fault", ["cut", "truncate", "overtake", "repeat", "drop"])
async def test_one_fault_of_frames_often(system: System, fault: str) -> None:
    faults = Faults(seed=7, **{fault: 0.2 if fault in {"overtake", "repeat", "drop"} else 0.04})  # type: ignore[arg-type]
    async with hostile(system.url, faults) as proxy, people(proxy.url, "json", "proto") as readers:
        ada, bob = (reader.messenger for reader in readers)
        pair = ada.private(bob.me.id)  # type: ignore[union-attr]
        async with asyncio.TaskGroup() as tasks:
            for reader in readers:
                tasks.create_task(talk(reader, [pair], 25))
        await settle(proxy, readers, [pair])
        await check(readers, 25)
        assert proxy.counts[fault] > 0
