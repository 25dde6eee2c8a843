"""Who may read what around joining, leaving, being removed, coming back, and changes of policy."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from im.errors.v1.reason_errors import HISTORY_INCOMPLETE, NOT_A_MEMBER
from im.logic.v1.message_pb2 import Head
from im.logic.v1.room_pb2 import HISTORY_POLICY_EVERYTHING, HISTORY_POLICY_SINCE_JOIN, JOIN_POLICY_INVITE_ONLY

from impl.logic.history import Window
from impl.storage.envelope import room_conversation
from tests.impl.logic import calls
from tests.impl.logic.conftest import Tier, forgotten, refused, settle

BOUNDS = [None, 0, 1, 2, 4, 5, 6, 7, 9, 10, 11, 99]


async def timeline(tier: Tier, ada: int, bo: int, cy: int) -> int:
    """What docs/rooms.md tells, up to number 10."""
    room = await calls.create(tier, ada, bo)
    await calls.say(tier, ada, room, "one")
    await calls.add(tier, ada, room, cy)
    await calls.say(tier, bo, room, "two")
    await calls.remove(tier, ada, room, cy)
    await calls.say(tier, ada, room, "three")
    await calls.add(tier, ada, room, cy)
    await calls.say(tier, bo, room, "four")
    await calls.remove(tier, cy, room, cy)
    await calls.say(tier, ada, room, "five")
    return room


async def test_a_stay_begins_with_its_own_coming_and_ends_with_its_own_going(
    tier: Tier, ada: int, bo: int, cy: int
) -> None:
    room = await calls.create(tier, ada, bo)
    await calls.say(tier, ada, room, "one")
    await refused(NOT_A_MEMBER, calls.seqs(tier, cy, room))
    await calls.add(tier, ada, room, cy)
    assert await calls.seqs(tier, cy, room) == [3]
    await calls.say(tier, bo, room, "two")
    assert await calls.seqs(tier, cy, room) == [3, 4]
    await calls.remove(tier, ada, room, cy)
    await calls.say(tier, ada, room, "three")
    assert await calls.seqs(tier, cy, room) == [3, 4, 5]
    await calls.add(tier, ada, room, cy)
    assert await calls.seqs(tier, cy, room) == [7]  # the earlier stay can no longer be read
    await calls.say(tier, bo, room, "four")
    await calls.remove(tier, cy, room, cy)
    await calls.say(tier, ada, room, "five")
    assert await calls.seqs(tier, cy, room) == [7, 8, 9]
    for user in (ada, bo):
        assert await calls.seqs(tier, user, room) == list(range(1, 11))


async def test_a_policy_holds_when_it_is_read_for_who_is_there_and_who_was(
    tier: Tier, ada: int, bo: int, cy: int
) -> None:
    room = await timeline(tier, ada, bo, cy)
    await calls.update(tier, ada, room, history=HISTORY_POLICY_EVERYTHING)
    assert await calls.seqs(tier, cy, room) == list(range(1, 10))
    await calls.add(tier, ada, room, cy)
    assert await calls.seqs(tier, cy, room) == list(range(1, 13))
    await calls.update(tier, ada, room, history=HISTORY_POLICY_SINCE_JOIN)
    assert await calls.seqs(tier, cy, room) == [12, 13]
    await calls.update(tier, ada, room, join=JOIN_POLICY_INVITE_ONLY)
    assert await calls.seqs(tier, bo, room) == list(range(1, 14))


@pytest.mark.parametrize("kept", ["redis", "both", "database"])
async def test_every_page_is_what_was_asked_for_of_what_may_be_read(
    tier: Tier, ada: int, bo: int, cy: int, kept: str
) -> None:
    room = await timeline(tier, ada, bo, cy)
    if kept != "redis":
        await settle(tier)
    if kept == "database":
        await forgotten(tier)
    name = room_conversation(room)
    for after, before, size in itertools.product(BOUNDS, BOUNDS, (1, 2, 50)):
        bounds = {"after_seq": after, "before_seq": before, "page_size": size}
        page = await calls.read(tier, cy, name, **{key: n for key, n in bounds.items() if n is not None})
        wanted = [n for n in (7, 8, 9) if (after is None or n > after) and (before is None or n < before)]
        assert [m.seq for m in page.messages] == (wanted[-size:] if after is None else wanted[:size])
        assert page.more == (len(wanted) > size)


async def test_a_whole_stay_is_read_page_by_page_in_both_directions(
    tier: Tier, ada: int, bo: int, cy: int
) -> None:
    room = await timeline(tier, ada, bo, cy)
    name = room_conversation(room)
    upwards: list[int] = []
    downwards: list[int] = []
    last, first = 0, 99
    while (page := await calls.read(tier, cy, name, after_seq=last, page_size=1)).messages:
        upwards += [m.seq for m in page.messages]
        last = upwards[-1]
        assert page.more == (last < 9)
    while (page := await calls.read(tier, cy, name, before_seq=first, page_size=2)).messages:
        downwards = [*(m.seq for m in page.messages), *downwards]
        first = downwards[0]
        assert page.more == (first > 7)
    assert upwards == downwards == [7, 8, 9]


async def test_a_head_says_where_reading_begins_and_how_far_it_has_come(
    tier: Tier, ada: int, bo: int, cy: int
) -> None:
    room = await timeline(tier, ada, bo, cy)
    name = room_conversation(room)
    epoch = (await tier.conversations.heads([name]))[name].epoch
    await settle(tier)
    former = (await calls.read(tier, cy, name)).head
    assert former == Head(conversation_id=name, epoch=epoch, seq=9, first_seq=7, durable_seq=9, read_seq=6)
    await calls.add(tier, ada, room, cy)
    back = (await calls.read(tier, cy, name)).head
    assert back == Head(conversation_id=name, epoch=epoch, seq=11, first_seq=11, durable_seq=10, read_seq=10)
    owner = (await calls.read(tier, ada, name)).head
    assert (owner.first_seq, owner.read_seq, owner.seq) == (1, 10, 11)


async def test_what_was_just_written_is_read_at_once(tier: Tier, ada: int, bo: int) -> None:
    room = await calls.create(tier, ada, bo)
    for n in range(30):
        said = await calls.say(tier, ada if n % 2 else bo, room, str(n))
        page = await calls.read(tier, bo, room_conversation(room), page_size=1)
        assert list(page.messages) == [said]
        assert page.head.seq == said.seq
        if n == 15:
            await settle(tier)


async def test_a_hole_in_what_one_may_not_read_is_no_hole(tier: Tier, ada: int, bo: int, cy: int) -> None:
    room = await timeline(tier, ada, bo, cy)
    await settle(tier)
    await forgotten(tier)
    async with tier.messages._database.writing() as connection:
        await connection.exec_driver_sql("DELETE FROM messages WHERE seq = 4")
    assert await calls.seqs(tier, cy, room) == [7, 8, 9]
    await refused(HISTORY_INCOMPLETE, calls.seqs(tier, ada, room))


def test_a_window_of_a_stay_holds_what_lies_in_both() -> None:
    for after, before, first, end in itertools.product(BOUNDS, BOUNDS, (1, 5), (None, 5, 8)):
        window = Window(after, before, 9).within(first, end)
        asked = Window(after, before, 9)
        for seq in range(1, 12):
            may = first <= seq and (end is None or seq < end)
            assert window.holds(seq) == (asked.holds(seq) and may)
        if window.is_empty:
            assert not any(window.holds(seq) for seq in range(200))


async def test_who_reads_while_they_are_removed_sees_nothing_that_follows(
    tier: Tier, ada: int, bo: int
) -> None:
    room = await calls.create(tier, ada, bo)

    async def removal() -> None:
        await calls.remove(tier, ada, room, bo)
        await calls.say(tier, ada, room)

    async def glance() -> tuple[int, int]:
        page = await calls.read(tier, bo, room_conversation(room))
        return page.messages[-1].seq, page.head.seq

    removing = asyncio.create_task(removal())
    glances = await asyncio.gather(*(glance() for _ in range(30)))
    await removing
    assert set(itertools.chain.from_iterable(glances)) <= {1, 2}
