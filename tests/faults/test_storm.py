"""Every process is killed in turn while people keep talking; nothing accepted is lost, doubled or moved.

Private chats and rooms, HTTP and both subprotocols, devices that resume and devices that ask, members who
come and go.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import suppress
from functools import partial

import httpx
import pytest
from sqlalchemy import func, select
from sqlmodel import col

from impl.storage.engine import open_engine
from impl.storage.tables import MessageRow
from tests.faults.conftest import Stage
from tests.faults.devices import Device
from tests.faults.history import History, Record, record_of
from tests.faults.judge import stays_of, violations
from tests.faults.rooms import NO_MEMBER, Room, Wanderer, created
from tests.faults.senders import Sender, SocketSender
from tests.faults.wire import Account, Codec, register

PAIRS = 8
ROOMS = 2
ROOM_MEMBERS = 6
RATE = 70.0
"""Sends per second in all; the promise is held at 50 and more."""
INTERVAL = (PAIRS + ROOMS * ROOM_MEMBERS) / RATE
"""Seconds between two sends of one sender."""
CALM_SECONDS = 8.0
RECOVERY_SECONDS = 15.0
SETTLE_SECONDS = 60.0


class Cast:
    """Everybody who takes part."""

    def __init__(self) -> None:
        self.history = History()
        self.senders: list[Sender] = []
        self.devices: list[Device] = []
        self.wanderers: list[Wanderer] = []
        self.readers: dict[str, Account] = {}
        """Somebody who is always a member, by conversation."""

    def devices_of(self, user_id: int) -> list[Device]:
        """All devices of a user."""
        return [device for device in self.devices if device.account.user_id == user_id]

    def add_pair(self, number: int, alice: Account, bob: Account) -> None:
        """One who writes and one who reads, every other one on two devices."""
        low, high = sorted((alice.user_id, bob.user_id))
        conversation = f"dm.{low}.{high}"
        self.readers[conversation] = alice
        target = {"toUserId": str(bob.user_id)}
        self.senders.append(_sender(number, alice, target, conversation, self.history))
        self._add_device(number, bob)
        if number % 2:
            self._add_device(number + 1, bob)

    def add_room(self, room: Room, members: list[Account]) -> None:
        """A room in which everybody writes and reads; half of them come and go."""
        self.readers[room.conversation_id] = room.owner
        for number, member in enumerate(members):
            target = {"roomId": room.room_id}
            sender = _sender(number, member, target, room.conversation_id, self.history)
            self.senders.append(sender)
            self._add_device(number, member)
            if number >= ROOM_MEMBERS // 2:
                sender.refusals = NO_MEMBER
                self.wanderers.append(Wanderer(member, room, 1.0 + 0.3 * number))

    def _add_device(self, number: int, account: Account) -> None:
        name = f"{account.name}-{len(self.devices_of(account.user_id)) + 1}"
        codec: Codec = "proto" if number % 2 else "json"
        self.devices.append(Device(account, name, self.history, codec, resumes=number % 4 != 3))


def _sender(
    number: int, account: Account, target: dict[str, str], conversation: str, history: History
) -> Sender:
    common = (account, target, conversation, history, INTERVAL)
    match number % 3:
        case 0:
            return Sender(*common)
        case 1:
            return SocketSender(*common, codec="json")
        case _:
            return SocketSender(*common, codec="proto")


@pytest.mark.timeout(400)
async def test_no_kill_of_any_process_loses_doubles_or_moves_a_message(stage: Stage) -> None:
    limits = httpx.Limits(max_connections=128)
    async with httpx.AsyncClient(base_url=stage.system.url, limits=limits) as http:
        cast = await _cast(http)
        recoveries, duration = await _storm(stage, cast)
    print(_report(cast, recoveries, duration))  # noqa: T201 - the figures of the run
    broken = violations(cast.history)
    assert not broken, "\n".join([f"{len(broken)} promises are broken:", *broken[:40]])
    assert max(recoveries.values()) <= RECOVERY_SECONDS, recoveries
    accepted = sum(send.record is not None for send in cast.history.sends)
    assert accepted >= 2000
    assert accepted / duration >= 50
    assert all(device.live for device in cast.devices)
    assert sum(device.resumed for device in cast.devices) > 0
    assert all(wanderer.stays > 1 for wanderer in cast.wanderers)
    assert "Traceback" not in stage.system.log()


async def _cast(http: httpx.AsyncClient) -> Cast:
    cast = Cast()
    names = (f"storm-{number}" for number in itertools.count())
    for number in range(PAIRS):
        cast.add_pair(number, await register(http, next(names)), await register(http, next(names)))
    for number in range(ROOMS):
        owner, *others = [await register(http, next(names)) for _ in range(ROOM_MEMBERS)]
        cast.add_room(await created(owner, f"room-{number}", others), [owner, *others])
    return cast


async def _storm(stage: Stage, cast: Cast) -> tuple[dict[str, float], float]:
    stop = asyncio.Event()
    progress = _Progress()
    async with asyncio.TaskGroup() as tasks:
        devices = [tasks.create_task(device.run()) for device in cast.devices]
        started = time.monotonic()
        writers = [
            tasks.create_task(sender.run(stop, partial(progress.note, number)))
            for number, sender in enumerate(cast.senders)
        ]
        writers += [tasks.create_task(wanderer.run(stop)) for wanderer in cast.wanderers]
        recoveries = await _kills(stage, progress)
        stop.set()
        await asyncio.wait(writers)
        duration = time.monotonic() - started
        await _settle(stage, cast)
        for device in devices:
            device.cancel()
    return recoveries, duration


async def _kills(stage: Stage, progress: _Progress) -> dict[str, float]:
    recoveries: dict[str, float] = {}
    for victim in stage.victims:
        await asyncio.sleep(CALM_SECONDS)
        await stage.kill(victim)
        recoveries[victim] = await progress.recovered(time.monotonic())
    await asyncio.sleep(CALM_SECONDS)
    return recoveries


class _Progress:
    """Wakes whoever waits for answered sends."""

    def __init__(self) -> None:
        self._starts: dict[int, float] = {}
        self._answered = asyncio.Event()

    def note(self, sender: int, started: float) -> None:
        self._starts[sender] = started
        self._answered.set()

    async def recovered(self, since: float) -> float:
        """Seconds until a send that each sender began after `since` was answered."""
        async with asyncio.timeout(60.0):
            while any(started <= since for started in self._starts.values()):
                self._answered.clear()
                await self._answered.wait()
        return time.monotonic() - since


async def _settle(stage: Stage, cast: Cast) -> None:
    """Reads everything once more, and waits until devices and database have come as far."""
    for conversation, reader in cast.readers.items():
        cast.history.final += await _whole(reader, conversation)
    with suppress(TimeoutError):  # what has not come by then is for the judge to say
        async with asyncio.timeout(SETTLE_SECONDS):
            await _shown(cast)
    cast.history.stored = await _stored(stage.database_url, len(cast.history.final))


async def _shown(cast: Cast) -> None:
    for conversation in cast.readers:
        records = [record for record in cast.history.final if record.conversation_id == conversation]
        for user, stays in stays_of(conversation, records).items():
            last = stays[-1].last or records[-1].seq
            for device in cast.devices_of(user):
                await device.shows(conversation, last)


async def _whole(reader: Account, conversation: str) -> list[Record]:
    path = f"/v1/conversations/{conversation}/messages"
    records: list[Record] = []
    more = True
    while more:
        after = records[-1].seq if records else 0
        page = await reader.insist("GET", path, after_seq=after, page_size=200)
        records += [record_of(message) for message in page["messages"]]
        more = page["more"]
    return records


async def _stored(url: str, expected: int) -> list[Record]:
    """All rows, as soon as there are as many as expected; persisting lags behind accepting."""
    place = (col(MessageRow.conversation_id), col(MessageRow.epoch), col(MessageRow.seq))
    send = (col(MessageRow.sender_id), func.coalesce(col(MessageRow.client_message_id), ""))
    query = select(col(MessageRow.id), *place, *send).order_by(*place)
    engine = open_engine(url)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(30.0):
                while True:
                    async with engine.connect() as connection:
                        rows = [Record(*row) for row in await connection.execute(query)]
                    if len(rows) >= expected:
                        break
                    await asyncio.sleep(0.2)
    finally:
        await engine.dispose()
    return rows


def _report(cast: Cast, recoveries: dict[str, float], duration: float) -> str:
    sends = cast.history.sends
    accepted = sum(send.record is not None for send in sends)
    refused = sum(bool(send.refused) for send in sends)
    attempts = sum(send.attempts for send in sends)
    live, resumed = sum(d.live for d in cast.devices), sum(d.resumed for d in cast.devices)
    sessions, stays = sum(d.sessions for d in cast.devices), sum(w.stays for w in cast.wanderers)
    back = ", ".join(f"{victim} {seconds:.1f} s" for victim, seconds in recoveries.items())
    return (
        f"\n{accepted} accepted, {refused} refused of {attempts} attempts in {duration:.0f} s "
        f"({accepted / duration:.0f}/s); {len(cast.devices)} devices, {sessions} sessions, "
        f"{live} live, {resumed} of them resumed; {stays} stays; "
        f"sends again after: {back}"
    )
