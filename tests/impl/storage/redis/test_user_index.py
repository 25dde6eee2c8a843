from __future__ import annotations

import pytest
from im.errors.v1 import reason_errors

from codegen.runtime.errors import Error
from impl.storage.keys import created
from impl.storage.user_index import RECENT_KEEPS, UserIndex
from tests.impl.storage.redis.conftest import Process


@pytest.fixture
def index(process: Process) -> UserIndex:
    return UserIndex(process.redis)


async def test_recency_is_newest_first_and_old_touches_change_nothing(index: UserIndex) -> None:
    await index.touch([(1, "a", 1 << 60), (1, "b", 2 << 60), (2, "a", 1)])
    await index.touch([(1, "c", 3 << 59), (1, "b", 5)])
    assert await index.recent(1, 10) == ["b", "c", "a"]
    assert await index.recent(1, 2) == ["b", "c"]
    assert await index.recent(9, 10) == []
    assert await index.recent(1, 0) == []


async def test_recency_begins_where_one_wants_it_to(index: UserIndex) -> None:
    near = 1 << 62
    await index.touch(
        [(1, "a", 10), (1, "b", near - 5000), (1, "c", near), (1, "d", near + 1), (1, "e", 2 * near - 1)]
    )
    assert await index.recent(1, 10, up_to=near) == ["d", "c", "b", "a"]  # d is the same double
    assert await index.recent(1, 2, up_to=near - 1) == ["d", "c"]
    assert await index.recent(1, 10, up_to=near - 2000) == ["b", "a"]
    assert await index.recent(1, 10, up_to=9) == []


async def test_only_the_newest_conversations_of_a_user_are_kept(index: UserIndex) -> None:
    await index.touch([(1, f"dm.1.{n}", n) for n in range(RECENT_KEEPS + 50)])
    recent = await index.recent(1, 2 * RECENT_KEEPS)
    assert recent == [f"dm.1.{n}" for n in range(RECENT_KEEPS + 49, 49, -1)]


async def test_conversations_since_an_event_are_found_for_many_users(index: UserIndex) -> None:
    await index.touch([(1, "a", 10), (1, "b", 20), (2, "a", 10), (3, "c", 30), (3, "d", 40)])
    assert await index.recent_since([1, 2, 3, 4, 1], 20) == {1: ["b"], 3: ["c", "d"]}
    assert await index.recent_since([], 0) == {}


async def test_rooms_of_a_user_are_those_they_came_to_and_did_not_leave(index: UserIndex) -> None:
    await index.update_rooms([(1, "room.1"), (1, "room.2"), (2, "room.1")], [(1, "room.2")])
    await index.add_room(1, "room.3")
    await index.add_room(1, "room.3")
    await index.update_rooms([], [(2, "room.1")])
    await index.update_rooms([], [])
    assert await index.rooms_of(1) == ["room.1", "room.3"]
    assert await index.rooms_of(2) == []
    assert await index.room_counts([2, 1, 1]) == {2: 0, 1: 2}
    assert await index.room_counts([]) == {}


async def test_the_same_request_gets_the_same_room_within_an_hour(process: Process, index: UserIndex) -> None:
    assert await index.reserve_room(1, "a {b} ü", 70, b"same") == 70
    assert await index.reserve_room(1, "a {b} ü", 71, b"same") == 70
    assert await index.reserve_room(2, "a {b} ü", 72, b"same") == 72
    assert await index.reserve_room(1, "other", 73, b"same") == 73
    assert 3590 < await process.redis.ttl(created(1, "a {b} ü")) <= 3600


async def test_a_request_id_cannot_be_used_for_another_request(index: UserIndex) -> None:
    await index.reserve_room(1, "x", 70, b"one")
    with pytest.raises(Error) as refused:
        await index.reserve_room(1, "x", 71, b"two")
    assert refused.value.reason is reason_errors.CLIENT_REQUEST_ID_REUSED
