from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE, INTERNAL
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.errors import Error
from impl.storage.conversations import Position
from impl.storage.database import Database
from impl.storage.membership import Membership, Stored
from impl.storage.messages import Messages
from impl.storage.migration import migrate
from tests.impl.storage.sql.events import event

A, B = "dm.1.2", "dm.1.3"


@pytest.fixture
def messages(database: Database) -> Messages:
    return Messages(database)


def seqs(envelopes: Sequence[bytes]) -> list[int]:
    return [ConversationEvent.FromString(envelope).seq for envelope in envelopes]


def read(user: int, seq: int) -> Membership:
    return Membership(user, delivered_seq=seq, read_seq=seq)


async def test_the_whole_envelope_comes_back(messages: Messages) -> None:
    stored = event(A, 1, number=10)
    stored.origin_session, stored.min_reader_version = "s-1", 3
    await messages.persist(0, 1, [stored])
    assert [ConversationEvent.FromString(e) for e in await messages.page(A, None, None, 9)] == [stored]
    assert await messages.find(A, 1, "c10") == stored
    assert await messages.find(A, 2, "c10") is None


async def test_pages_are_the_oldest_beyond_after_or_the_newest_below_before(messages: Messages) -> None:
    await messages.persist(0, 20, [event(A, n, number=n) for n in range(1, 21)])
    assert seqs(await messages.page(A, None, None, 3)) == [18, 19, 20]
    assert seqs(await messages.page(A, 5, None, 3)) == [6, 7, 8]
    assert seqs(await messages.page(A, None, 5, 3)) == [2, 3, 4]
    assert seqs(await messages.page(A, 3, 6, 9)) == [4, 5]
    assert seqs(await messages.page(B, None, None, 3)) == []


async def test_heads_and_members_follow_what_is_stored(messages: Messages) -> None:
    assert await messages.stored(A) is None
    await messages.persist(0, 3, [event(A, 1, number=1), event(B, 1, number=2), event(A, 2, number=3)])
    assert await messages.stored(A) == Stored(
        1, 2, (Membership(1, delivered_seq=2, read_seq=2), Membership(2))
    )
    await messages.persist(0, 4, [event(A, 1003, number=4, epoch=2)])
    assert await messages.stored(A) == Stored(
        2, 1003, (Membership(1, delivered_seq=1003, read_seq=1003), Membership(2))
    )
    assert await messages.heads([A, B, "dm.8.9"]) == {A: Position(A, 2, 1003), B: Position(B, 1, 1)}


async def test_a_conversation_with_oneself_has_one_member(messages: Messages) -> None:
    await messages.persist(0, 1, [event("dm.4.4", 1, number=1, sender_id=4)])
    assert await messages.stored("dm.4.4") == Stored(1, 1, (read(4, 1),))
    assert await messages.conversations_of(4, 9) == [("dm.4.4", 1)]


async def test_conversations_come_most_recent_first(messages: Messages) -> None:
    await messages.persist(0, 3, [event(A, 1, number=1), event(B, 1, number=2), event(A, 2, number=3)])
    assert await messages.conversations_of(1, 9) == [(A, 3), (B, 2)]
    assert await messages.conversations_of(1, 1) == [(A, 3)]
    assert await messages.conversations_of(1, 9, up_to=3) == [(A, 3), (B, 2)]
    assert await messages.conversations_of(1, 9, up_to=2) == [(B, 2)]
    assert await messages.conversations_of(3, 9) == [(B, 2)]
    assert await messages.conversations_of(9, 9) == []


async def test_redelivery_changes_nothing(messages: Messages) -> None:
    batch = [event(A, n, number=n) for n in range(1, 6)]
    await messages.persist(0, 5, batch)
    before = await messages.page(A, None, None, 99)
    await messages.persist(0, 3, batch[:3])
    await messages.persist(0, 6, [*batch, event(A, 6, number=6)])
    assert (await messages.page(A, None, None, 99))[:5] == before
    assert seqs(await messages.page(A, None, None, 99)) == [1, 2, 3, 4, 5, 6]
    assert await messages.ordinal(0) == 6


async def test_the_mark_of_a_partition_never_goes_back(messages: Messages) -> None:
    assert await messages.ordinal(3) == 0
    await messages.persist(3, 9, [])
    await messages.persist(3, 4, [event(A, 1, number=1)])
    assert await messages.ordinal(3) == 9
    assert await messages.ordinal(4) == 0


@pytest.mark.parametrize(
    ("wrong", "what"), [(event(A, 1, number=99), "position"), (event(A, 7, number=1), "id")]
)
async def test_a_position_or_id_of_another_event_is_an_error_and_stores_nothing(
    messages: Messages, wrong: ConversationEvent, what: str
) -> None:
    await messages.persist(0, 1, [event(A, 1, number=1)])
    with pytest.raises(Error, match=what) as caught:
        await messages.persist(0, 3, [event(A, 2, number=2), wrong])
    assert caught.value.reason == INTERNAL
    assert caught.value.metadata == {"conversation_id": A, "epoch": "1", "seq": str(wrong.seq)}
    assert seqs(await messages.page(A, None, None, 9)) == [1]
    assert await messages.ordinal(0) == 1


async def test_a_late_repetition_keeps_its_place_as_a_tombstone_that_names_the_first(
    messages: Messages,
) -> None:
    await messages.persist(0, 1, [event(A, 1, number=1, name="x", text="first")])
    late = [event(A, 2, number=2, name="x", text="first"), event(A, 3, number=3, name="x", text="other")]
    await messages.persist(0, 3, late)
    await messages.persist(0, 3, late)
    found = [ConversationEvent.FromString(e) for e in await messages.page(A, None, None, 9)]
    assert [e.tombstone.duplicate_of for e in found] == [0, 1, 1]
    assert [e.HasField("tombstone") for e in found] == [False, True, True]
    first = await messages.find(A, 1, "x")
    assert first is not None
    assert first.id == 1


async def test_the_same_client_message_id_of_another_sender_or_conversation_is_another_send(
    messages: Messages,
) -> None:
    await messages.persist(0, 1, [event(A, 1, number=1, name="x")])
    others = [
        event(A, 2, number=2, sender_id=2, name="x"),
        event(B, 1, number=3, name="x"),
        event(A, 3, number=4, name="X"),
    ]
    await messages.persist(0, 4, others)
    found = [*await messages.page(A, None, None, 9), *await messages.page(B, None, None, 9)]
    assert not any(ConversationEvent.FromString(e).HasField("tombstone") for e in found)


async def test_an_empty_database_says_so(messages: Messages) -> None:
    assert await messages.is_empty()
    await messages.persist(0, 1, [event(A, 1, number=1)])
    assert not await messages.is_empty()


async def test_a_database_that_is_away_is_said_to_be() -> None:
    async with Database("sqlite+aiosqlite:////nowhere/at/all/db") as database:
        with pytest.raises(Error) as caught:
            await Messages(database).persist(0, 1, [event(A, 1, number=1)])
    assert caught.value.reason == DEPENDENCY_UNAVAILABLE


async def test_a_batch_of_512_is_stored_in_one_go(messages: Messages) -> None:
    await messages.persist(
        0, 512, [event(f"dm.1.{2 + n % 50}", 1 + n // 50, number=n + 1) for n in range(512)]
    )
    assert len(await messages.conversations_of(1, 100)) == 50
    assert seqs(await messages.page("dm.1.2", None, None, 2)) == [10, 11]


# A stream as tasks see it: few names, so that they repeat; batches cut anywhere; any batch delivered again.
SENDS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(1, 2), st.sampled_from("pqr")), min_size=1, max_size=20
)
STEPS = st.lists(st.tuples(st.integers(0, 19), st.integers(1, 8)), max_size=6)
EXAMPLES = itertools.count(1)


@pytest.fixture
def migrated(url: str) -> str:
    migrate(url)
    return url


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(SENDS, STEPS)
def test_however_a_stream_is_delivered_the_database_ends_as_if_once(
    migrated: str, sends: list[tuple[int, int, str]], steps: list[tuple[int, int]]
) -> None:
    example = next(EXAMPLES)  # every example has conversations, ids and a partition of its own
    places = [f"dm.{example}.{10_000 + place}" for place in (1, 2)]
    numbers = [itertools.count(1), itertools.count(1)]
    stream = [
        event(places[place], next(numbers[place]), number=100 * example + index, sender_id=sender, name=name)
        for index, (place, sender, name) in enumerate(sends)
    ]
    first: dict[tuple[int, int, str], int] = {}
    expected = [first.setdefault(send, 100 * example + index) for index, send in enumerate(sends)]

    async def deliver() -> None:
        async with Database(migrated) as database:
            await check(Messages(database))

    async def check(messages: Messages) -> None:
        done = 0
        for start, length in [*steps, (0, 8), (0, 8), (0, 20)]:
            begin = min(start, done)  # an owner begins at or before what was stored, never beyond
            batch = stream[begin : begin + length]
            done = max(done, begin + len(batch))
            await messages.persist(example, begin + len(batch), batch)
        found = [envelope for place in places for envelope in await messages.page(place, None, None, 99)]
        events = {e.id: e for e in map(ConversationEvent.FromString, found)}
        assert sorted(events) == [one.id for one in stream]
        for one, original in zip(stream, expected, strict=True):
            assert events[one.id].tombstone.duplicate_of == (original if original != one.id else 0)
        assert await messages.ordinal(example) == len(stream)

    asyncio.run(deliver())
