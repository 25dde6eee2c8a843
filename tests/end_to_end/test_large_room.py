"""What a send to a large room costs: what it takes to tell those who are online, whoever is absent.

`pytest -s` shows the figures.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from tests.conftest import System
from tests.end_to_end.crowd import Ears, listening, registrar
from tests.end_to_end.people import answered, fresh

MEMBERS = 10_000
ONLINE = 1_000
FEW = 100
SENDS = 10
"""Of one round."""
ROUNDS = 4
TIERS = ("logic", "task", "connect", "redis")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Room:
    """A room, and how many of its members are online."""

    id: int
    members: int
    online: int


@dataclass(frozen=True)
class Cost:
    """Of one round of sends to a room."""

    commands: Counter[str]
    """Calls of each Redis command, those of scripts included."""
    cpu: Counter[str]
    """Microseconds of processor time of all processes of each tier."""
    seconds: float
    """From each send until the last who is online had it."""

    def least(self, other: Cost) -> Cost:
        """What neither was without: what goes on in the background comes now and then."""
        return Cost(self.commands & other.commands, self.cpu & other.cpu, min(self.seconds, other.seconds))

    def calls(self, *names: str) -> float:
        """Calls of these commands, or of all, by one send."""
        return sum(self.commands[name] for name in names or self.commands) / SENDS

    def milliseconds(self, tier: str) -> float:
        """Processor time for one send."""
        return self.cpu[tier] / SENDS / 1000


class Meter:
    """Sends to rooms, and measures what that costs the system."""

    def __init__(self, system: System, redis: Redis, http: httpx.AsyncClient, ears: Ears) -> None:
        self._pids = {name: pid for name, pid in system.command.pids.items() if _tier(name) in TIERS}
        self._redis = redis
        self._http = http
        self._ears = ears
        self.told: list[tuple[int, Room]] = []
        """Ids of messages, and where they went."""

    async def round(self, room: Room) -> Cost:
        """Sends, each heard by everybody who is online before the next."""
        commands, cpu, began = await self._commands(), self._cpu(), time.monotonic()
        for _ in range(SENDS):
            await self.send(room)
        seconds = time.monotonic() - began
        return Cost(await self._commands() - commands, self._cpu() - cpu, seconds)

    async def send(self, room: Room) -> None:
        """One message, until everybody has it."""
        body = {"clientMessageId": fresh("m"), "roomId": str(room.id), "text": "Is everybody here?"}
        sent = answered(await self._http.post("/v1/messages", json=body))
        message_id = int(sent["message"]["id"])
        self.told.append((message_id, room))
        await self._ears.until(message_id, room.online)

    def heard(self) -> list[tuple[int, int]]:
        """By how many each message was to be heard, and how often it was."""
        return [(room.online, self._ears.times(message_id)) for message_id, room in self.told]

    async def found(self, room: Room, token: str) -> set[int]:
        """Ids of the latest messages that a member finds in a room."""
        path = f"/v1/conversations/room.{room.id}/messages"
        answer = await self._http.get(path, params={"pageSize": 200}, headers=_bearer(token))
        return {int(message["id"]) for message in answered(answer)["messages"]}

    async def _commands(self) -> Counter[str]:
        stats = await self._redis.info("commandstats")
        return Counter({name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()})

    def _cpu(self) -> Counter[str]:
        used: Counter[str] = Counter()
        for name, pid in self._pids.items():
            used[_tier(name)] += _cpu_microseconds(pid)
        return used


def _tier(name: str) -> str:
    return name.partition("-")[0]


def _cpu_microseconds(pid: int) -> int:
    """What all threads of a process have used so far."""
    # The clock's id, as clock_getcpuclockid(3) makes it.
    return time.clock_gettime_ns((~pid << 3) | 2) // 1000


@dataclass(frozen=True)
class Measured:
    """What came of all the sends."""

    costs: Mapping[str, Cost]
    """By room."""
    heard: Sequence[tuple[int, int]]
    """By how many each message was to be heard, and how often it was."""
    missed: AbstractSet[int]
    """Ids of the messages to the large room."""
    found: AbstractSet[int]
    """Ids of what a member finds there who was absent."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def measured(system2: System) -> AsyncIterator[Measured]:
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(registrar(system2))
        sender, *people = await desk.enrol(MEMBERS)
        members = {"large": people, "full": people[:ONLINE], "small": people[:FEW]}
        rooms = {
            name: Room(await desk.room(sender, users), 1 + len(users), min(ONLINE, len(users)))
            for name, users in members.items()
        }
        urls = [system2.socket(1), system2.socket(2)]
        tokens = [desk.token(user) for user in people]
        ears = await stack.enter_async_context(listening(urls, tokens[:ONLINE]))
        http = httpx.AsyncClient(base_url=system2.url, headers=_bearer(desk.token(sender)), timeout=20)
        redis = Redis.from_url(system2.redis_url)
        await stack.enter_async_context(redis)
        meter = Meter(system2, redis, await stack.enter_async_context(http), ears)
        costs = await _costs(meter, rooms)
        yield Measured(
            costs,
            meter.heard(),
            {message_id for message_id, room in meter.told if room is rooms["large"]},
            await meter.found(rooms["large"], tokens[-1]),
        )


async def _costs(meter: Meter, rooms: Mapping[str, Room]) -> dict[str, Cost]:
    """By room, of its cheapest rounds."""
    for room in rooms.values():
        await meter.send(room)
    costs = {name: await meter.round(room) for name, room in rooms.items()}
    for _ in range(1, ROUNDS):
        costs = {name: cost.least(await meter.round(rooms[name])) for name, cost in costs.items()}
    for name, cost in costs.items():
        print(_line(rooms[name], cost))  # noqa: T201 - the figures of the run
    return costs


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _line(room: Room, cost: Cost) -> str:
    used = ", ".join(f"{tier} {cost.milliseconds(tier):.1f} ms" for tier in TIERS)
    commands = ", ".join(f"{name} {cost.calls(name):.1f}" for name, _ in cost.commands.most_common(12))
    return (
        f"\n{room.members} members, {room.online} online: a send reaches the last after"
        f" {1000 * cost.seconds / SENDS:.0f} ms; {used}; {cost.calls():.0f} Redis commands: {commands}"
    )


async def test_everybody_who_is_online_hears_everything_once(measured: Measured) -> None:
    assert {wanted - times for wanted, times in measured.heard} == {0}


async def test_who_is_absent_finds_everything(measured: Measured) -> None:
    assert measured.missed <= measured.found


async def test_redis_is_asked_no_more_for_who_is_absent(measured: Measured) -> None:
    large, full = measured.costs["large"], measured.costs["full"]
    assert large.calls("xadd") == full.calls("xadd") == 1
    assert large.calls() <= full.calls() * 1.2


async def test_no_tier_works_for_who_is_absent(measured: Measured) -> None:
    large, full = measured.costs["large"], measured.costs["full"]
    for tier in TIERS:
        assert large.milliseconds(tier) <= 2 * full.milliseconds(tier) + 2, tier


async def test_no_traceback_was_printed(measured: Measured, system2: System) -> None:
    assert measured.heard
    assert "Traceback" not in system2.log()
