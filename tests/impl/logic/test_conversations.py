from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest
from im.errors.v1.reason_errors import (
    CONVERSATION_NOT_FOUND,
    NOT_A_MEMBER,
    PAGE_TOKEN_INVALID,
    USER_NOT_FOUND,
)
from im.logic.v1.conversation_pb2 import Conversation
from im.logic.v1.conversation_service_pb2 import (
    ListConversationsRequest,
    ListConversationsResponse,
    ListHeadsResponse,
    RecordDeliveredRequest,
)
from im.logic.v1.message_pb2 import Head
from im.logic.v1.message_service_pb2 import SendMessageRequest
from im.logic.v1.room_pb2 import HISTORY_POLICY_EVERYTHING, ROLE_ADMIN, ROLE_MEMBER
from im.logic.v1.rung_pb2 import ACCEPTED, DELIVERED, DURABLE, READ, Rung
from im.logic.v1.user_pb2 import User
from sqlalchemy.event import listen

from impl.logic.ranking import Ranking
from impl.storage.envelope import private_id, room_conversation
from tests.impl.logic import calls
from tests.impl.logic.conftest import ANYBODY, Tier, as_user, forgotten, person, refused, settle


async def page(tier: Tier, user: int, size: int = 0, token: str = "") -> ListConversationsResponse:
    request = ListConversationsRequest(page_size=size, page_token=token)
    return await tier.listing.list_conversations(request, as_user(user))


async def pages(tier: Tier, user: int, size: int) -> AsyncIterator[list[str]]:
    token = ""
    while True:
        response = await page(tier, user, size, token)
        yield [conversation.id for conversation in response.conversations]
        token = response.next_page_token
        if not token:
            return


async def whole(tier: Tier, user: int, size: int = 200) -> list[str]:
    return [name async for part in pages(tier, user, size) for name in part]


async def marked(tier: Tier, user: int, name: str, seq: int) -> None:
    mark = RecordDeliveredRequest.Mark(user_id=user, conversation_id=name, seq=seq)
    await tier.listing.record_delivered(RecordDeliveredRequest(marks=[mark]), ANYBODY)


async def test_a_conversation_is_shown_with_who_or_what_it_is(tier: Tier, ada: int, bo: int) -> None:
    said = await calls.write(tier, bo, ada, "hello")
    room = await calls.create(tier, bo, ada, name="garden")
    told = await calls.say(tier, bo, room, "all")
    (of_room, private) = (await page(tier, ada)).conversations
    assert private == Conversation(
        id=private_id(ada, bo),
        user=User(id=bo, username="bo"),
        head=Head(
            conversation_id=private_id(ada, bo),
            epoch=said.epoch,
            seq=1,
            first_seq=1,
            peer_delivered_seq=1,
            peer_read_seq=1,
        ),
        last_message=said,
        unread_count=1,
    )
    assert (of_room.id, of_room.last_message, of_room.unread_count) == (room_conversation(room), told, 2)
    assert (of_room.room.name, of_room.room.role, of_room.room.member_count) == ("garden", ROLE_MEMBER, 2)
    assert await calls.open_conversation(tier, ada, private.id) == private
    assert await calls.open_conversation(tier, ada, of_room.id) == of_room


async def test_the_one_with_the_latest_event_comes_first(tier: Tier, ada: int, bo: int, cy: int) -> None:
    await calls.write(tier, ada, bo)
    await calls.write(tier, cy, ada)
    await calls.write(tier, ada, ada)
    room = await calls.create(tier, bo, ada)
    note, of_bo, of_cy = (private_id(ada, other) for other in (ada, bo, cy))
    assert await whole(tier, ada) == [room_conversation(room), note, of_cy, of_bo]
    await calls.write(tier, bo, ada)
    await settle(tier)
    assert await whole(tier, ada) == [of_bo, room_conversation(room), note, of_cy]
    await forgotten(tier)
    assert await whole(tier, ada) == [of_bo, room_conversation(room), note, of_cy]
    await calls.write(tier, cy, ada)
    assert await whole(tier, ada) == [of_cy, of_bo, room_conversation(room), note]


async def test_a_forgotten_conversation_is_shown_as_the_database_knows_it(
    tier: Tier, ada: int, bo: int
) -> None:
    await calls.write(tier, bo, ada, "hello")
    await calls.create(tier, bo, ada, name="garden")
    await settle(tier)
    before = (await page(tier, ada)).conversations
    await forgotten(tier)
    assert (await page(tier, ada)).conversations == before


async def test_a_newcomer_has_no_conversations(tier: Tier, ada: int) -> None:
    assert await page(tier, ada) == ListConversationsResponse()
    assert await calls.heads(tier, ada) == ListHeadsResponse()


async def test_only_rooms_that_one_is_in_are_listed(tier: Tier, ada: int, bo: int) -> None:
    room = await calls.create(tier, ada, bo)
    await settle(tier)
    assert await whole(tier, bo) == [room_conversation(room)]
    await calls.remove(tier, ada, room, bo)
    assert await whole(tier, bo) == []
    await refused(NOT_A_MEMBER, calls.open_conversation(tier, bo, room_conversation(room)))


async def test_pages_of_every_size_make_the_same_list(tier: Tier, ada: int) -> None:
    for n in range(9):
        await calls.write(tier, ada, await person(tier, f"p{n}"))
        await calls.create(tier, ada, name=f"r{n}")
    everything = await whole(tier, ada)
    assert len(everything) == 18
    for size in (1, 5, 17, 18, 19):
        parts = [part async for part in pages(tier, ada, size)]
        assert [name for part in parts for name in part] == everything
        assert all(len(part) == size for part in parts[:-1])
        assert parts[-1]


async def test_more_conversations_than_are_looked_at_first_are_listed_too(tier: Tier, ada: int) -> None:
    for n in range(4):
        await calls.create(tier, ada, name=f"r{n}")  # old rooms are known at once, other old ones are not
    for n in range(9):
        await calls.write(tier, ada, await person(tier, f"p{n}"))
    everything = await whole(tier, ada)
    await settle(tier)
    await forgotten(tier)
    ranking = Ranking(tier.conversations, tier.messages, depth=2)
    found, last, more = [], None, True
    while more:
        places, more = await ranking.page(ada, last, 2)
        found += [place.conversation_id for place in places]
        last = places[-1]
    assert found == everything


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_that_did_not_move_is_lost_while_others_write(tier: Tier, ada: int, seed: int) -> None:
    chance = random.Random(seed)
    others = [await person(tier, f"p{n}") for n in range(24)]
    for other in others:
        await calls.write(tier, other, ada)
    before = await whole(tier, ada)
    moved: set[str] = set()

    async def others_write() -> None:
        while True:
            other = chance.choice(others[::2])
            moved.add(private_id(ada, other))
            await calls.write(tier, other, ada)

    writing = asyncio.create_task(others_write())
    try:
        seen = []
        async for part in pages(tier, ada, 3):
            seen += part
            await settle(tier)
    finally:
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing
    assert moved
    assert len(seen) == len(set(seen))
    assert [name for name in seen if name not in moved] == [name for name in before if name not in moved]


async def test_a_token_of_somebody_else_is_refused(tier: Tier, ada: int, bo: int, cy: int) -> None:
    for other in (bo, cy):
        await calls.write(tier, ada, other)
    token = (await page(tier, ada, 1)).next_page_token
    assert token
    await refused(PAGE_TOKEN_INVALID, page(tier, bo, 1, token))
    await refused(PAGE_TOKEN_INVALID, page(tier, ada, 1, "nonsense"))
    await page(tier, ada, 1, token)


async def test_a_conversation_is_opened_by_its_members_only(tier: Tier, ada: int, bo: int, cy: int) -> None:
    name = (await calls.write(tier, ada, bo)).conversation_id
    for call in (calls.open_conversation, calls.mark_read):
        await refused(NOT_A_MEMBER, call(tier, cy, name))
        for wrong in ("nonsense", f"dm.{ada}", "room.x", "room.012", private_id(cy, 12345)):
            await refused(CONVERSATION_NOT_FOUND, call(tier, cy, wrong))


async def test_a_private_conversation_that_has_not_begun_is_empty(tier: Tier, ada: int, bo: int) -> None:
    name = private_id(ada, bo)
    assert await calls.open_conversation(tier, ada, name) == Conversation(
        id=name, user=User(id=bo, username="bo"), head=Head(conversation_id=name, first_seq=1)
    )
    assert (await calls.mark_read(tier, ada, name)).unread_count == 0
    assert await whole(tier, ada) == []


async def test_reading_moves_ahead_and_never_back(tier: Tier, ada: int, bo: int) -> None:
    name = private_id(ada, bo)
    for _ in range(5):
        await calls.write(tier, bo, ada)
    for seq, read, unread in ((2, 2, 3), (1, 2, 3), (4, 4, 1), (99, 5, 0), (3, 5, 0)):
        answer = await calls.mark_read(tier, ada, name, seq)
        assert (answer.read_seq, answer.unread_count) == (read, unread)
    await calls.write(tier, bo, ada)
    assert (await calls.open_conversation(tier, ada, name)).unread_count == 1
    assert (await calls.mark_read(tier, ada, name)).read_seq == 6
    assert (await calls.open_conversation(tier, bo, name)).head.peer_read_seq == 6
    await calls.write(tier, bo, ada)
    await calls.write(tier, ada, bo)  # who answers has read
    assert (await calls.open_conversation(tier, ada, name)).unread_count == 0


async def test_what_was_said_before_somebody_came_is_not_unread_for_them(
    tier: Tier, ada: int, bo: int, cy: int
) -> None:
    room = await calls.create(tier, ada, is_open=True)
    name = room_conversation(room)
    assert (await calls.open_conversation(tier, ada, name)).unread_count == 0
    await calls.update(tier, ada, room, history=HISTORY_POLICY_EVERYTHING)
    for _ in range(3):
        await calls.say(tier, ada, room)
    await calls.add(tier, ada, room, bo)
    await calls.add(tier, cy, room, cy)
    for stored in (False, True):
        if stored:
            await settle(tier)
            await forgotten(tier)
        counts = [(await calls.open_conversation(tier, user, name)).unread_count for user in (ada, bo, cy)]
        assert counts == [2, 2, 0]  # the coming of both, of both, of nobody


async def test_in_a_room_everybody_reads_for_themselves_what_they_may_read(
    tier: Tier, ada: int, bo: int, cy: int
) -> None:
    room = await calls.create(tier, ada, bo)
    name = room_conversation(room)
    for _ in range(3):
        await calls.say(tier, ada, room)
    await calls.add(tier, ada, room, cy)
    await calls.say(tier, ada, room)
    assert (await calls.open_conversation(tier, cy, name)).unread_count == 2
    assert (await calls.mark_read(tier, cy, name, 3)).unread_count == 2
    assert (await calls.mark_read(tier, cy, name, 5)).unread_count == 1
    assert (await calls.open_conversation(tier, bo, name)).unread_count == 6
    assert (await calls.open_conversation(tier, ada, name)).head.peer_read_seq == 0
    await calls.update(tier, ada, room, history=HISTORY_POLICY_EVERYTHING)
    assert (await calls.open_conversation(tier, cy, name)).head.first_seq == 1
    await calls.remove(tier, cy, room, cy)
    await refused(NOT_A_MEMBER, calls.mark_read(tier, cy, name))


async def state(tier: Tier, sender: int, to: int, name: str) -> Rung.ValueType:
    """The rung that a repetition of a send is told."""
    request = SendMessageRequest(client_message_id=name, to_user_id=to, text="hi")
    return (await tier.desk.send_message(request, as_user(sender))).state


async def test_a_repeated_send_is_told_how_far_the_first_has_come(tier: Tier, ada: int, bo: int) -> None:
    name = private_id(ada, bo)
    assert await state(tier, ada, bo, "x") == ACCEPTED
    assert await state(tier, ada, bo, "x") == ACCEPTED
    await marked(tier, bo, name, 1)
    assert await state(tier, ada, bo, "x") == ACCEPTED  # each rung includes the ones before it
    await settle(tier)
    assert await state(tier, ada, bo, "x") == DELIVERED
    await calls.mark_read(tier, bo, name)
    assert await state(tier, ada, bo, "x") == READ
    assert await state(tier, ada, bo, "y") == ACCEPTED
    await settle(tier)
    assert await state(tier, ada, bo, "y") == DURABLE
    resend = SendMessageRequest(client_message_id="x", to_user_id=bo, text="hi", resend=True)
    assert (await tier.desk.send_message(resend, as_user(ada))).state == READ


async def test_nothing_is_delivered_to_oneself_to_strangers_or_to_rooms(
    tier: Tier, ada: int, bo: int, cy: int
) -> None:
    note = (await calls.write(tier, ada, ada)).conversation_id
    private = (await calls.write(tier, ada, bo)).conversation_id
    room = room_conversation(await calls.create(tier, ada, bo))
    for user, name in ((ada, note), (cy, private), (bo, room), (bo, "nonsense")):
        await marked(tier, user, name, 1)
    await marked(tier, bo, private, -5)
    assert (await calls.open_conversation(tier, ada, private)).head.peer_delivered_seq == 0
    await marked(tier, bo, private, 1 << 60)
    assert (await calls.open_conversation(tier, ada, private)).head.peer_delivered_seq == 1


async def test_marks_in_conversations_that_nobody_began_ask_the_database_once(
    tier: Tier, ada: int, bo: int
) -> None:
    said = await calls.write(tier, ada, bo)
    await settle(tier)
    await forgotten(tier)
    names = [private_id(bo, number) for number in range(1, 200)]
    marks = [
        RecordDeliveredRequest.Mark(user_id=bo, conversation_id=name, seq=1)
        for name in (*names, said.conversation_id)
    ]
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM conversations" in statement:
            asked.append(statement)

    listen(tier.messages._database._entered().sync_engine, "before_cursor_execute", note)
    await tier.listing.record_delivered(RecordDeliveredRequest(marks=marks), ANYBODY)
    assert len(asked) == 2  # for all, and to load the one that there is
    assert (await calls.open_conversation(tier, ada, said.conversation_id)).head.peer_delivered_seq == 1
    await tier.listing.record_delivered(RecordDeliveredRequest(marks=marks), ANYBODY)
    assert len(asked) == 3


async def test_heads_say_everything_a_session_must_know(tier: Tier, ada: int, bo: int, cy: int) -> None:
    room = await calls.create(tier, ada, cy)
    other = await calls.create(tier, ada, bo)
    await calls.appoint(tier, ada, room, cy, ROLE_ADMIN)
    await calls.add(tier, cy, room, bo)
    await calls.remove(tier, bo, other, bo)
    said = await calls.write(tier, ada, bo)
    await settle(tier)
    for lost in (False, True):
        if lost:
            await forgotten(tier)
        found = await calls.heads(tier, bo)
        assert [(head.conversation_id, head.seq, head.first_seq) for head in found.heads] == [
            (said.conversation_id, 1, 1),
            (room_conversation(room), 3, 3),
        ]
        assert [(r.conversation_id, r.joined_seq) for r in found.rooms] == [(room_conversation(room), 3)]
        assert found.heads[0].durable_seq == 1
        assert room_conversation(room) in await tier.conversations.rooms_of(bo)
    await refused(USER_NOT_FOUND, calls.heads(tier, 12345))
