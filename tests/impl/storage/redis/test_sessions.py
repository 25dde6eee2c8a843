from __future__ import annotations

import asyncio
from typing import Any

import pytest

from impl.storage.keys import session
from impl.storage.sessions import SessionAddress, Sessions
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
