from __future__ import annotations

import sqlite3

import pytest
from idiom.v1.runtime_pb2 import Handled
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.streams.partitions import partition_of
from impl.storage.envelope import private_id
from impl.storage.keys import ConversationKeys
from impl.task.notices import Notices
from impl.task.persist import Persist
from tests.impl.task.events import batch_of, event, marked
from tests.impl.task.world import PARTITIONS, World

OK, RETRY = Handled.OUTCOME_UNSPECIFIED, Handled.OUTCOME_RETRY
DEAD, PAUSE = Handled.OUTCOME_DEAD_LETTER, Handled.OUTCOME_PAUSE
HERE, ELSEWHERE = private_id(1, 2), private_id(1, 3)


@pytest.fixture
def persist(world: World, notices: Notices) -> Persist:
    return Persist(world.messages, world.conversations, notices)


async def outcomes(persist: Persist, *events: ConversationEvent) -> list[int]:
    return [one.outcome for one in await persist.handle(batch_of(*events))]


async def test_a_batch_is_stored_whole_and_its_mark_advances(world: World, persist: Persist) -> None:
    assert await outcomes(persist, event(1), event(2, seq=2), event(3, to=3)) == [OK] * 3
    assert await world.stored_ids(HERE) == [1, 2]
    assert await world.stored_ids(ELSEWHERE) == [3]
    assert await world.messages.ordinal(0) == 3


async def test_a_batch_that_comes_again_changes_nothing(world: World, persist: Persist) -> None:
    for _ in range(2):
        assert await outcomes(persist, event(1), event(2, seq=2)) == [OK] * 2
    assert await world.stored_ids(HERE) == [1, 2]


async def test_one_bad_entry_spoils_neither_its_neighbours_nor_other_conversations(
    world: World, persist: Persist
) -> None:
    await outcomes(persist, event(1))
    usurper, follower, neighbour = event(9, seq=1), event(10, seq=2), event(11, to=3)
    assert await outcomes(persist, usurper, follower, neighbour) == [DEAD, RETRY, OK]
    assert await world.stored_ids(HERE) == [1]
    assert await world.stored_ids(ELSEWHERE) == [11]


async def test_a_bad_entry_alone_is_told_apart(persist: Persist) -> None:
    await outcomes(persist, event(1))
    assert await outcomes(persist, event(9, seq=1)) == [DEAD]


async def test_an_entry_that_the_database_cannot_hold_spoils_nothing_else(
    world: World, persist: Persist
) -> None:
    monstrous = event(1)
    monstrous.created_at.seconds = (1 << 63) - 1
    assert await outcomes(persist, monstrous, event(2, seq=2), event(3, to=3)) == [DEAD, RETRY, OK]
    assert await world.stored_ids(ELSEWHERE) == [3]


async def test_a_locked_database_pauses_everything_and_counts_nothing(world: World, persist: Persist) -> None:
    path = world.url.removeprefix("sqlite+aiosqlite:///")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert await outcomes(persist, event(1), event(2, seq=2)) == [PAUSE, PAUSE]
    other.execute("ROLLBACK")
    other.close()
    assert await outcomes(persist, event(1), event(2, seq=2)) == [OK, OK]


async def test_without_redis_entries_stay_unacknowledged_and_are_stored_once(
    world: World, persist: Persist
) -> None:
    await world.redis_server.kill()
    assert await outcomes(persist, event(1)) == [PAUSE]
    await world.redis_server.start()
    assert await outcomes(persist, event(1)) == [OK]
    assert await world.stored_ids(HERE) == [1]


async def test_marks_take_no_number(world: World, persist: Persist) -> None:
    for number in (1, 2):
        await world.send(number)
    here = partition_of(HERE, PARTITIONS)
    for events in ([event(1), event(2, seq=2), marked(2, HERE, read=2)], [marked(2, HERE, delivered=2)]):
        handled = await persist.handle(batch_of(*events, partition=here))
        assert {one.outcome for one in handled} == {OK}
    assert await world.redis.hget(ConversationKeys(here).head(HERE), "persisted") == b"2"
    assert await world.stored_ids(HERE) == [1, 2]


async def test_nothing_is_nothing(persist: Persist) -> None:
    assert await persist.handle([]) == []
