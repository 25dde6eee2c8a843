from __future__ import annotations

import asyncio

import pytest
from im.logic.v1.room_pb2 import (
    HISTORY_POLICY_EVERYTHING,
    HISTORY_POLICY_SINCE_JOIN,
    JOIN_POLICY_INVITE_ONLY,
    JOIN_POLICY_OPEN,
    ROLE_ADMIN,
    ROLE_MEMBER,
    ROLE_OWNER,
    RoomEvent,
    RoomSettings,
)
from im.stream.v1.conversation_event_pb2 import ConversationEvent
from sqlalchemy import select
from sqlmodel import col

from impl.storage.conversations import Position
from impl.storage.database import Database
from impl.storage.membership import Membership, Overview, RoomState, Stored
from impl.storage.messages import Messages
from impl.storage.tables import ConversationKind, ConversationRow, EventKind, MessageRow, RoomRow
from tests.impl.storage.sql.events import (
    created,
    event,
    given,
    handed_to,
    joined,
    left,
    marked,
    room_event,
)

ROOM, PAIR = "room.70", "dm.1.2"


@pytest.fixture
def messages(database: Database) -> Messages:
    return Messages(database)


async def persist(messages: Messages, *events: ConversationEvent) -> None:
    await messages.persist(0, max((one.seq for one in events), default=0), events)


async def changes(messages: Messages, *changes: RoomEvent | tuple[int, RoomEvent]) -> None:
    """Persists changes numbered from 1, by user 1 or by the one they say."""
    pairs = [change if isinstance(change, tuple) else (1, change) for change in changes]
    await persist(
        messages,
        *(room_event(ROOM, seq, change, sender_id=who) for seq, (who, change) in enumerate(pairs, 1)),
    )


async def membership(messages: Messages, conversation: str, user: int) -> Membership | None:
    return (await messages.memberships(user, [conversation])).get(conversation)


async def present(messages: Messages) -> dict[int, int]:
    stored = await messages.stored(ROOM)
    assert stored is not None
    return {member.user_id: member.role for member in stored.members}


async def test_a_room_is_stored_with_its_owner_and_first_members(messages: Messages) -> None:
    await changes(messages, created(5, 3))
    assert await messages.stored(ROOM) == Stored(
        1,
        1,
        (
            Membership(1, ROLE_OWNER, joined_seq=1, delivered_seq=1, read_seq=1),
            Membership(3, ROLE_MEMBER, joined_seq=1),
            Membership(5, ROLE_MEMBER, joined_seq=1),
        ),
        RoomState("tea", "black", JOIN_POLICY_OPEN, HISTORY_POLICY_SINCE_JOIN, 1_800_000_000_123, 3),
    )
    assert await messages.heads([ROOM]) == {ROOM: Position(ROOM, 1, 1)}


async def test_changes_are_kept_as_events_of_a_room(messages: Messages, database: Database) -> None:
    await changes(messages, created(), joined(2))
    async with database.reading() as connection:
        kinds = (await connection.execute(select(col(MessageRow.kind)))).scalars().all()
        kind = (await connection.execute(select(col(ConversationRow.kind)))).scalar_one()
        owner = (await connection.execute(select(col(RoomRow.created_by)))).scalar_one()
    assert (kinds, kind, owner) == ([EventKind.ROOM] * 2, ConversationKind.ROOM, 1)
    page = [ConversationEvent.FromString(envelope) for envelope in await messages.page(ROOM, None, None, 9)]
    assert [one.room for one in page] == [created(), joined(2)]


async def test_settings_change_one_by_one(messages: Messages) -> None:
    await changes(
        messages,
        created(),
        RoomEvent(changed=RoomSettings(name="coffee")),
        RoomEvent(changed=RoomSettings(description="", history=HISTORY_POLICY_EVERYTHING)),
        RoomEvent(changed=RoomSettings(join=JOIN_POLICY_INVITE_ONLY)),
    )
    stored = await messages.stored(ROOM)
    assert stored is not None
    assert stored.room == RoomState(
        "coffee", "", JOIN_POLICY_INVITE_ONLY, HISTORY_POLICY_EVERYTHING, 1_800_000_000_123, 1
    )


async def test_roles_and_ownership_change_hands(messages: Messages) -> None:
    await changes(messages, created(2, 3), given(2, ROLE_ADMIN), given(2, ROLE_MEMBER), given(3, ROLE_ADMIN))
    assert await present(messages) == {1: ROLE_OWNER, 2: ROLE_MEMBER, 3: ROLE_ADMIN}
    await persist(messages, room_event(ROOM, 5, handed_to(2)))
    assert await present(messages) == {1: ROLE_ADMIN, 2: ROLE_OWNER, 3: ROLE_ADMIN}


async def test_who_left_is_known_as_a_former_member_who_saw_their_own_leave(messages: Messages) -> None:
    await changes(messages, created(), joined(2), (2, left(2)))
    assert await membership(messages, ROOM, 2) == Membership(2, ROLE_MEMBER, 2, 4, 1, 1)
    assert await membership(messages, ROOM, 3) is None
    assert await present(messages) == {1: ROLE_OWNER}
    assert await messages.rooms_of(2) == []
    assert await messages.conversations_of(2, 9) == []
    assert await messages.rooms_of(1) == [ROOM]
    assert await messages.conversations_of(1, 9) == [(ROOM, 3)]


async def test_who_comes_back_begins_a_new_stay_and_has_read_what_was_before(messages: Messages) -> None:
    await changes(messages, created(), joined(2), given(2, ROLE_ADMIN), left(2))
    await persist(messages, marked(ROOM, 2, read=3))
    await persist(messages, room_event(ROOM, 5, joined(2)))
    assert await membership(messages, ROOM, 2) == Membership(2, ROLE_MEMBER, 5, None, 4, 4)
    assert await messages.rooms_of(2) == [ROOM]


@pytest.mark.parametrize("conversation", [ROOM, PAIR])
async def test_marks_only_grow_and_own_messages_count_as_read(messages: Messages, conversation: str) -> None:
    if conversation == ROOM:
        await persist(messages, room_event(ROOM, 1, created(2)))
    await persist(messages, *(event(conversation, n, number=n) for n in range(2, 9)))

    async def marks(user: int) -> tuple[int, int]:
        member = await membership(messages, conversation, user)
        assert member is not None
        return member.delivered_seq, member.read_seq

    assert await marks(1) == (8, 8)
    assert await marks(2) == (0, 0)
    await persist(messages, marked(conversation, 2, delivered=5), marked(conversation, 2, read=3))
    assert await marks(2) == (5, 3)
    await persist(messages, marked(conversation, 2, delivered=4, read=2), marked(conversation, 9, read=2))
    assert await marks(2) == (5, 3)
    await persist(messages, marked(conversation, 2, read=7))
    assert await marks(2) == (7, 7)
    assert await membership(messages, conversation, 9) is None


async def test_who_is_added_has_all_but_their_coming_read_and_who_joins_that_too(messages: Messages) -> None:
    await changes(messages, created(), joined(2), (3, joined(3)))
    assert await membership(messages, ROOM, 2) == Membership(2, ROLE_MEMBER, 2, None, 1, 1)
    assert await membership(messages, ROOM, 3) == Membership(3, ROLE_MEMBER, 3, None, 3, 3)


async def test_many_conversations_are_seen_at_once_as_a_user_sees_them(messages: Messages) -> None:
    await changes(messages, created(2, 3), left(3), joined(4))
    await persist(messages, *(event(f"dm.1.{user}", 1, number=100 + user) for user in range(1, 1200)))
    room = (await messages.stored(ROOM) or Stored(0, 0, ())).room
    assert room is not None

    names = [*(f"dm.1.{user}" for user in range(2, 1300)), ROOM, "dm.1.1", "room.8", "nonsense"]
    own, peer = Membership(1, delivered_seq=1, read_seq=1), Membership(600)
    seen = await messages.overviews(1, names)
    assert set(seen) == {*(f"dm.1.{user}" for user in range(1, 1200)), ROOM}
    assert seen["dm.1.600"] == Overview("dm.1.600", 1, 1, 700, 1, own, peer, None, None)
    assert seen["dm.1.1"] == Overview("dm.1.1", 1, 1, 101, 1, own, None, None, None)
    assert seen[ROOM] == Overview(
        ROOM, 1, 3, 3, 3, Membership(1, ROLE_OWNER, 1, None, 1, 1), None, room, None
    )

    of_former = await messages.overviews(3, [ROOM, "dm.1.3", "dm.1.2"])
    assert of_former[ROOM].membership == Membership(3, ROLE_MEMBER, 1, 3)
    assert (of_former["dm.1.3"].membership, of_former["dm.1.3"].peer) == (Membership(3), own)
    assert (of_former["dm.1.2"].membership, of_former["dm.1.2"].peer) == (None, None)
    assert await messages.overviews(1, []) == {}
    assert await messages.memberships(1, []) == {}


async def test_a_mark_has_no_row_and_no_place_in_the_history(messages: Messages) -> None:
    await persist(messages, event(PAIR, 1, number=1), marked(PAIR, 2, read=1), marked(PAIR, 2, read=1))
    await messages.persist(0, 9, [marked(PAIR, 2, read=1)])
    assert len(await messages.page(PAIR, None, None, 9)) == 1
    assert await messages.heads([PAIR]) == {PAIR: Position(PAIR, 1, 1)}
    assert await messages.ordinal(0) == 9


async def test_older_changes_that_come_again_change_nothing(messages: Messages) -> None:
    history = [
        room_event(ROOM, 1, created(2, 3)),
        room_event(ROOM, 2, RoomEvent(changed=RoomSettings(name="coffee"))),
        room_event(ROOM, 3, left(2)),
        room_event(ROOM, 4, joined(2)),
        room_event(ROOM, 5, handed_to(3)),
        room_event(ROOM, 1006, given(1, ROLE_MEMBER), sender_id=3, epoch=2),
    ]
    await persist(messages, *history)
    after = await messages.stored(ROOM)
    for start in range(6):
        for end in range(start, 7):
            await persist(messages, *history[start:end])
    assert await messages.stored(ROOM) == after


async def test_two_owners_at_once_store_what_one_would(database: Database, url: str) -> None:
    history = [room_event(ROOM, 1, created(2, 3))]
    for seq in range(2, 60):
        change = left(2) if seq % 2 else joined(2)
        history.append(room_event(ROOM, seq, change) if seq % 3 else event(ROOM, seq, number=seq))
        history.append(marked(ROOM, 3, read=seq))

    async def own(owner: Messages, size: int) -> None:
        for start in range(0, len(history), size):
            batch = history[start : start + size]
            await owner.persist(5, start + len(batch), batch)

    async with Database(url) as other:
        await asyncio.gather(own(Messages(database), 7), own(Messages(other), 10), own(Messages(other), 3))
    expected = Messages(database)
    here = await expected.stored(ROOM)
    elsewhere = [ConversationEvent.FromString(one.SerializeToString()) for one in history]
    for one in elsewhere:
        one.conversation_id = "room.71"
        one.id += 1000
    await expected.persist(6, len(elsewhere), elsewhere)
    alone = await expected.stored("room.71")
    assert here is not None
    assert alone is not None
    assert here == alone
    assert len(await expected.page(ROOM, None, None, 999)) == 59
    assert await expected.ordinal(5) == len(history)


async def test_a_room_of_many_is_stored_at_once(messages: Messages) -> None:
    await changes(messages, created(*range(2, 502)))
    await persist(messages, *(room_event(ROOM, seq, joined(1000 + seq)) for seq in range(2, 514)))
    stored = await messages.stored(ROOM)
    assert stored is not None
    assert len(stored.members) == 501 + 512
    assert stored.members[-1] == Membership(1513, joined_seq=513, delivered_seq=512, read_seq=512)


async def test_texts_that_only_look_the_same_are_others(messages: Messages) -> None:
    names = ["a", "a ", "A", "á", "a\u0301", "a\0", " a", "🧮", "ß", "ss"]
    sends = [event(PAIR, n, number=n, name=name) for n, name in enumerate(names, 1)]
    await persist(messages, *sends)
    for send, name in zip(sends, names, strict=True):
        assert await messages.find(PAIR, 1, name) == send
    page = [ConversationEvent.FromString(envelope) for envelope in await messages.page(PAIR, None, None, 99)]
    assert not any(one.HasField("tombstone") for one in page)


async def test_names_may_have_any_character(messages: Messages) -> None:
    settings = RoomSettings(name="Tee 🍵 ", description="\\'\"%s\n\0 " * 100)
    await changes(messages, created(), RoomEvent(changed=settings))
    stored = await messages.stored(ROOM)
    assert stored is not None
    assert stored.room is not None
    assert (stored.room.name, stored.room.description) == (settings.name, settings.description)
