from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from im.errors.v1.reason_errors import HISTORY_INCOMPLETE
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.errors import Error
from codegen.runtime.streams.partitions import partition_of
from impl.logic.history import NOWHERE, History, Page, Place, Window, contiguous, merged, place_of, reaches
from impl.storage.conversations import Conversations, Send
from impl.storage.database import Database
from impl.storage.envelope import payload_hash, tombstoned
from impl.storage.messages import Messages
from tests import servers
from tests.impl.logic.conftest import PARTITIONS, Tier

CONVERSATION = "dm.1.2"
PARTITION = partition_of(CONVERSATION, PARTITIONS)


def event(place: Place, text: str = "") -> ConversationEvent:
    made = ConversationEvent(conversation_id=CONVERSATION, epoch=place[0], seq=place[1], id=place[1] + 100)
    made.created_at.FromMilliseconds(1)
    made.sender_id = 1
    made.message.client_message_id = f"c{place[1]}"
    made.message.text = text
    return made


def test_places_follow_each_other_without_gaps_within_an_epoch() -> None:
    assert contiguous([NOWHERE, (1, 1), (1, 2), (2, 1003), (2, 1004)])
    assert not contiguous([NOWHERE, (1, 2)])
    assert not contiguous([(1, 2), (1, 4)])
    assert not contiguous([(2, 5), (1, 6)])
    assert not contiguous([(1, 5), (2, 5)])


def test_a_head_is_reached_unless_something_of_its_epoch_is_missing() -> None:
    assert reaches((1, 5), (1, 5))
    assert reaches((1, 6), (1, 5))  # accepted since the head was read
    assert reaches((1, 5), (2, 1005))  # an epoch has begun, nothing was accepted in it
    assert not reaches((1, 5), (1, 6))
    assert not reaches(NOWHERE, (2, 7))
    assert reaches(NOWHERE, NOWHERE)


def test_what_both_sources_have_is_as_the_database_says() -> None:
    hot = event((1, 1), "again").SerializeToString()
    found = merged([hot], [tombstoned(hot, 7)], Window(None, None, 9))
    assert [e.tombstone.duplicate_of for e in found] == [7]


SEQS = st.sets(st.integers(1, 30))
BOUND = st.none() | st.integers(0, 32)


@given(SEQS, SEQS, BOUND, BOUND, st.integers(1, 9))
def test_merging_gives_the_oldest_beyond_after_or_the_newest_below_before(
    hot: set[int], cold: set[int], after: int | None, before: int | None, limit: int
) -> None:
    window = Window(after, before, limit)
    found = merged(
        [event((1, n)).SerializeToString() for n in hot],
        [event((1, n)).SerializeToString() for n in cold],
        window,
    )
    wanted = sorted(n for n in hot | cold if (after is None or n > after) and (before is None or n < before))
    assert [e.seq for e in found] == (wanted[-limit:] if after is None else wanted[:limit])


async def accept(conversations: Conversations, count: int, start: int = 1) -> list[ConversationEvent]:
    """Events accepted by Redis, as they come out of its stream."""
    for n in range(start, start + count):
        made = event((0, 0), f"text {n}")
        made.id = n
        made.message.client_message_id = f"c{n}"
        send = Send(
            conversation_id=CONVERSATION,
            sender_id=1,
            members=(1, 2),
            client_message_id=f"c{n}",
            payload_hash=payload_hash(CONVERSATION, made.message.text),
            message_id=n,
            created_ms=1,
            event=made.SerializeToString(),
        )
        await conversations.accept(send)
    return [ConversationEvent.FromString(e) for e in await conversations.tail(CONVERSATION, None, None, 999)]


@pytest.fixture
def history(tier: Tier) -> History:
    return History(tier.conversations, tier.messages)


async def page(
    history: History, after: int | None = None, before: int | None = None, limit: int = 50
) -> Page:
    return await history.page(CONVERSATION, Window(after, before, limit))


def seqs(found: Page) -> list[int]:
    return [e.seq for e in found.events]


async def test_every_page_of_tail_and_database_is_what_was_asked_for(tier: Tier, history: History) -> None:
    events = await accept(tier.conversations, 30)
    await tier.messages.persist(0, 20, events[:20])
    head = place_of(events[-1])
    numbers = [e.seq for e in events]
    bounds = [None, 0, 1, 7, 19, 20, 21, 29, 30, 31, 99]
    for after, before, limit in itertools.product(bounds, bounds, (1, 4, 50)):
        wanted = [n for n in numbers if (after is None or n > after) and (before is None or n < before)]
        found = await page(history, after, before, limit)
        assert seqs(found) == (wanted[-limit:] if after is None else wanted[:limit])
        assert found.more == (len(wanted) > limit)
        assert found.head == head


async def test_an_unknown_conversation_is_empty(history: History) -> None:
    assert await page(history) == Page((), NOWHERE, more=False)
    assert await page(history, after=5) == Page((), NOWHERE, more=False)


async def test_a_conversation_that_redis_has_forgotten_is_read_from_the_database(
    tier: Tier, history: History
) -> None:
    await tier.messages.persist(0, 3, [event((1, n)) for n in (1, 2, 3)])
    found = await page(history)
    assert seqs(found) == [1, 2, 3]
    assert found.head == (1, 3)


async def test_a_page_may_cross_into_a_later_epoch(tier: Tier, history: History) -> None:
    places = [(1, 1), (1, 2), (3, 1003), (3, 1004)]
    await tier.messages.persist(0, 4, [event(place) for place in places])
    assert seqs(await page(history)) == [1, 2, 1003, 1004]
    assert seqs(await page(history, after=2)) == [1003, 1004]
    assert seqs(await page(history, after=9)) == [1003, 1004]  # the client has seen what was lost since
    assert seqs(await page(history, before=500)) == [1, 2]
    assert seqs(await page(history, before=1003, limit=1)) == [2]
    assert seqs(await page(history, after=1, before=1004)) == [2, 1003]


async def test_no_page_with_a_hole_is_ever_given_out(tier: Tier, history: History) -> None:
    stored = [n for n in range(1, 13) if n not in {4, 9}]
    await tier.messages.persist(0, 12, [event((1, n)) for n in stored])
    given_out, refused = 0, 0
    bounds = [None, 0, 1, 3, 4, 5, 8, 10, 12, 14]
    for after, before, limit in itertools.product(bounds, bounds, (1, 3, 20)):
        try:
            found = await page(history, after, before, limit)
        except Error:
            refused += 1
            continue
        given_out += 1
        wanted = [n for n in range(1, 13) if (after is None or n > after) and (before is None or n < before)]
        assert seqs(found) == (wanted[-limit:] if after is None else wanted[:limit])
    assert given_out > 50
    assert refused > 50


async def test_a_missing_end_is_a_hole(tier: Tier, history: History) -> None:
    events = await accept(tier.conversations, 130)
    await tier.messages.persist(0, 100, events[:100])
    # The database claims more than it holds, so the tail is trimmed too far.
    await tier.conversations.persisted(PARTITION, {CONVERSATION: 130})
    assert seqs(await page(history, limit=60)) == list(range(71, 131))
    assert seqs(await page(history, before=40, limit=5)) == [35, 36, 37, 38, 39]
    async with tier.messages._database.writing() as connection:
        await connection.exec_driver_sql("DELETE FROM messages WHERE seq = 20")
    with pytest.raises(Error, match="HISTORY_INCOMPLETE"):
        await page(history, after=18)


async def test_without_redis_only_pages_that_the_database_can_prove_are_given_out(
    tier: Tier, history: History, redis_process: servers.Redis
) -> None:
    await tier.messages.persist(0, 9, [event((1, n)) for n in range(1, 10)])
    await redis_process.kill()
    try:
        inner = await page(history, before=8, limit=3)
        assert (seqs(inner), inner.head) == ([5, 6, 7], None)
        assert seqs(await page(history, after=3, limit=3)) == [4, 5, 6]
        for after, before in ((None, None), (3, None), (None, 10)):
            with pytest.raises(Error) as caught:
                await page(history, after, before)
            assert caught.value.reason == HISTORY_INCOMPLETE
    finally:
        await redis_process.start()


async def test_without_the_database_only_pages_that_the_tail_can_prove_are_given_out(tier: Tier) -> None:
    events = await accept(tier.conversations, 130)
    await tier.messages.persist(0, 130, events)
    await tier.conversations.persisted(PARTITION, {CONVERSATION: 130})
    async with Database("sqlite+aiosqlite:////nowhere/at/all/db") as away:
        history = History(tier.conversations, Messages(away))
        assert seqs(await page(history, limit=50)) == list(range(81, 131))
        with pytest.raises(Error) as caught:
            await page(history, after=3)
        assert caught.value.reason == HISTORY_INCOMPLETE
