"""Redis comes back in an older state: what was answered before is not taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from im.errors.v1.reason_errors import NOT_A_MEMBER

from impl.storage.envelope import private_id, room_conversation
from impl.storage.keys import keys_of
from tests.impl.logic import calls
from tests.impl.logic.conftest import PARTITIONS, Tier, refused, settle


async def saved(tier: Tier) -> dict[bytes, bytes]:
    """All that Redis holds now."""
    redis: Any = tier.conversations._redis
    return {key: await redis.dump(key) for key in await redis.keys("*")}


async def restored(tier: Tier, state: Mapping[bytes, bytes]) -> None:
    """Redis holds what it held then."""
    redis: Any = tier.conversations._redis
    await redis.flushall()
    for key, value in state.items():
        await redis.restore(key, 0, value)
    await redis.connection_pool.disconnect()


async def compared(tier: Tier, name: str) -> None:
    """Waits until Redis knows what the database holds of a conversation."""
    redis: Any = tier.conversations._redis
    keys = keys_of(name, PARTITIONS)
    async with asyncio.timeout(10):
        while True:
            epoch = await redis.hget(keys.of_partition.generation, "epoch")
            if epoch == await redis.hget(keys.head(name), "asked"):
                return
            await asyncio.sleep(0.01)


async def test_who_was_removed_stays_removed(tier: Tier, ada: int, bo: int, cy: int) -> None:
    room = await calls.create(tier, ada, bo, cy)
    await calls.say(tier, ada, room, "one")
    await settle(tier)
    before = await saved(tier)
    await calls.remove(tier, ada, room, cy)
    await calls.say(tier, ada, room, "secret")
    await settle(tier)
    await restored(tier, before)
    name = room_conversation(room)
    for _ in range(2):
        assert await calls.seqs(tier, cy, room) == [1, 2, 3]
        await refused(NOT_A_MEMBER, calls.open_conversation(tier, cy, name))
        await refused(NOT_A_MEMBER, calls.look(tier, cy, room))
        await refused(NOT_A_MEMBER, calls.roster(tier, cy, room))
        assert not (await calls.heads(tier, cy)).rooms
        assert [head.seq for head in (await calls.heads(tier, bo)).heads] == [4]
        assert await calls.seqs(tier, bo, room) == [1, 2, 3, 4]
        await compared(tier, name)


async def test_the_members_are_those_of_the_database(tier: Tier, ada: int, bo: int, cy: int) -> None:
    room = await calls.create(tier, ada, bo, cy, name="then")
    await settle(tier)
    before = await saved(tier)
    await calls.remove(tier, ada, room, cy)
    await calls.update(tier, ada, room, name="now")
    await settle(tier)
    await restored(tier, before)
    page, _ = await tier.conversations.roster(room_conversation(room), "", 10)
    assert [member.user_id for member in page] == [ada, bo]
    assert (await calls.look(tier, bo, room)).name == "now"


async def test_the_settings_are_those_of_the_database(tier: Tier, ada: int, bo: int) -> None:
    room = await calls.create(tier, ada, bo, name="then")
    await settle(tier)
    before = await saved(tier)
    await calls.update(tier, ada, room, name="now")
    await settle(tier)
    await restored(tier, before)
    state = await tier.conversations.room(room_conversation(room))
    assert state
    assert state.name == "now"


async def test_what_redis_has_not_lost_is_shown_before_it_is_stored(
    tier: Tier, ada: int, bo: int, cy: int
) -> None:
    room = await calls.create(tier, ada, bo)
    other = await calls.create(tier, ada, cy)
    await settle(tier)
    await calls.add(tier, ada, room, cy)
    before = await saved(tier)
    for _ in range(3):
        await calls.say(tier, ada, other)
    await calls.remove(tier, ada, room, cy)
    await restored(tier, before)  # the removal was stored nowhere
    assert (await calls.look(tier, cy, room)).member_count == 3
    assert [member.user_id for member in await calls.roster(tier, cy, room)] == [ada, bo, cy]


async def test_a_private_conversation_ends_where_the_database_says(tier: Tier, ada: int, bo: int) -> None:
    await calls.write(tier, ada, bo, "one")
    await settle(tier)
    before = await saved(tier)
    two = await calls.write(tier, ada, bo, "two")
    await settle(tier)
    await restored(tier, before)
    name = private_id(ada, bo)
    for _ in range(2):
        shown = await calls.open_conversation(tier, bo, name)
        assert (shown.head.seq, shown.unread_count, shown.last_message) == (2, 2, two)
        assert [head.seq for head in (await calls.heads(tier, bo)).heads] == [2]
        await compared(tier, name)
