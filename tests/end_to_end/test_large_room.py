"""What a send to a large room costs: what it takes to tell those who are online, whoever is absent.

`pytest -s` shows the figures.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

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


@dataclass
class Cost:
    """Of all sends to one room."""

    sends: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    """Calls of each Redis command, those of scripts included."""
    cpu: Counter[str] = field(default_factory=Counter)
    """Milliseconds of processor time of all processes of each tier."""
    seconds: float = 0.0
    """From the send until the last who is online had it."""

    def calls(self, *names: str) -> float:
        """Calls of these commands, or of all, by one send."""
        return sum(self.commands[name] for name in names or self.commands) / self.sends

    def milliseconds(self, *tiers: str) -> float:
        """Processor time for one send."""
        return sum(self.cpu[tier] for tier in tiers) / self.sends


class Meter:
    """Sends to rooms, and measures what that costs the system."""

    def __init__(self, system: System, redis: Redis, http: httpx.AsyncClient, ears: Ears) -> None:
        self._pids = {name: pid for name, pid in system.command.pids.items() if _tier(name) in TIERS}
        self._redis = redis
        self._http = http
        self._ears = ears

    async def round(self, room: Room, cost: Cost) -> None:
        """Sends, each heard by everybody who is online before the next; what they cost is added."""
        commands, cpu, began = await self._commands(), self._cpu(), time.monotonic()
        for _ in range(SENDS):
            await self.send(room)
        cost.seconds += time.monotonic() - began
        cost.cpu += self._cpu() - cpu
        cost.commands += await self._commands() - commands
        cost.sends += SENDS

    async def send(self, room: Room) -> None:
        """One message, until everybody has it."""
        body = {"clientMessageId": fresh("m"), "roomId": str(room.id), "text": "Is everybody here?"}
        sent = answered(await self._http.post("/v1/messages", json=body))
        await self._ears.until(int(sent["message"]["id"]), room.online)

    async def _commands(self) -> Counter[str]:
        stats = await self._redis.info("commandstats")
        return Counter({name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()})

    def _cpu(self) -> Counter[str]:
        used: Counter[str] = Counter()
        for name, pid in self._pids.items():
            used[_tier(name)] += _cpu_milliseconds(pid)
        return used


def _tier(name: str) -> str:
    return name.partition("-")[0]


def _cpu_milliseconds(pid: int) -> int:
    """What all threads of a process have used so far."""
    # The clock's id, as clock_getcpuclockid(3) makes it.
    return time.clock_gettime_ns((~pid << 3) | 2) // 1_000_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def costs(system2: System) -> AsyncIterator[Mapping[str, Cost]]:
    """By room; measured in turn, so that what goes on in the background falls on all alike."""
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(registrar(system2))
        sender, *people = await desk.enrol(MEMBERS)
        members = {"large": people, "full": people[:ONLINE], "small": people[:FEW]}
        rooms = {
            name: Room(await desk.room(sender, users), 1 + len(users), min(ONLINE, len(users)))
            for name, users in members.items()
        }
        urls = [system2.socket(1), system2.socket(2)]
        ears = await stack.enter_async_context(
            listening(urls, [desk.token(user) for user in people[:ONLINE]])
        )
        headers = {"authorization": f"Bearer {desk.token(sender)}"}
        http = httpx.AsyncClient(base_url=system2.url, headers=headers, timeout=20)
        redis = Redis.from_url(system2.redis_url)
        await stack.enter_async_context(redis)
        meter = Meter(system2, redis, await stack.enter_async_context(http), ears)
        costs = {name: Cost() for name in rooms}
        for room in rooms.values():
            await meter.send(room)
        for _ in range(ROUNDS):
            for name, room in rooms.items():
                await meter.round(room, costs[name])
        for name, room in rooms.items():
            print(_line(room, costs[name]))  # noqa: T201 - the figures of the run
        yield costs


def _line(room: Room, cost: Cost) -> str:
    used = ", ".join(f"{tier} {cost.milliseconds(tier):.1f} ms" for tier in TIERS)
    commands = ", ".join(f"{name} {cost.calls(name):.1f}" for name, _ in cost.commands.most_common(12))
    return (
        f"\n{room.members} members, {room.online} online: a send reaches the last after"
        f" {1000 * cost.seconds / cost.sends:.0f} ms; {used}; {cost.calls():.0f} Redis commands: {commands}"
    )


async def test_redis_is_asked_no_more_for_who_is_absent(costs: Mapping[str, Cost]) -> None:
    large, full = costs["large"], costs["full"]
    assert large.calls("xadd") == full.calls("xadd") == 1
    assert large.calls() <= full.calls() * 1.2


async def test_no_tier_works_for_who_is_absent(costs: Mapping[str, Cost]) -> None:
    large, full = costs["large"], costs["full"]
    for tier in TIERS:
        assert large.milliseconds(tier) <= 2 * full.milliseconds(tier) + 2, tier
