from __future__ import annotations

import asyncio
from typing import Any

import pytest

from impl.storage.conversations import Position
from impl.storage.keys import received, session
from impl.storage.sessions import RECEIVED_MOST, SessionAddress, Sessions
from tests.impl.storage.redis.conftest import Process

HERE = SessionAddress(1, "s1", "connect-1", "boot-1")
THERE = SessionAddress(1, "s2", "connect-2", "boot-2")
OTHER = SessionAddress(2, "s3", "connect-1", "boot-1")


@pytest.fixture
def sessions(process: Process) -> Sessions:
    return Sessions(process.redis, seconds=0.3)


async def test_sessions_of_several_users_are_found(sessions: Sessions) -> None:
    await sessions.add([HERE, THERE, OTHER])
    assert await sessions.of([1, 2, 3, 1]) == {1: [HERE, THERE], 2: [OTHER]}
    assert await sessions.of([]) == {}


async def test_a_session_that_moved_is_not_removed_by_its_former_place(sessions: Sessions) -> None:
    await sessions.add([HERE])
    moved = SessionAddress(1, "s1", "connect-1", "boot-9")
    await sessions.add([moved])
    await sessions.remove([HERE, OTHER])
    assert await sessions.of([1]) == {1: [moved]}
    await sessions.remove([moved])
    assert await sessions.of([1]) == {}


async def test_a_session_that_is_not_refreshed_expires_and_is_dropped(
    process: Process, sessions: Sessions
) -> None:
    await sessions.add([HERE, THERE])
    for _ in range(3):
        await asyncio.sleep(0.15)
        await sessions.add([THERE])
    assert await sessions.of([1]) == {1: [THERE]}
    left: Any = await process.redis.hkeys(session(1))
    assert left == [b"s2"]


async def test_acknowledged_positions_never_go_back(process: Process, sessions: Sessions) -> None:
    await sessions.acknowledge([(1, Position("a", 1, 9)), (1, Position("b", 2, 1)), (2, Position("a", 1, 1))])
    await sessions.acknowledge(
        [(1, Position("a", 1, 10)), (1, Position("b", 1, 50)), (1, Position("a", 1, 3))]
    )
    positions: Any = await process.redis.hgetall(received(1))
    assert positions == {b"a": b"1 10", b"b": b"2 1"}
    assert await process.redis.hget(received(2), "a") == b"1 1"


async def test_one_user_cannot_fill_redis_with_positions(process: Process, sessions: Sessions) -> None:
    def names(first: int) -> list[tuple[int, Position]]:
        return [(1, Position(f"dm.1.{n}", 1, 1)) for n in range(first, first + 600)]

    for first in range(0, RECEIVED_MOST + 1200, 600):
        await sessions.acknowledge(names(first))
    await sessions.acknowledge([(1, Position("dm.1.5", 1, 2)), (2, Position("dm.1.2", 1, 1))])
    assert await process.redis.hlen(received(1)) == RECEIVED_MOST
    assert await process.redis.hget(received(1), "dm.1.5") == b"1 2"
    assert await process.redis.hget(received(2), "dm.1.2") == b"1 1"
