from __future__ import annotations

import asyncio

from im.errors.v1.reason_errors import (
    CLIENT_REQUEST_ID_REUSED,
    CONVERSATION_NOT_FOUND,
    INVITE_ONLY,
    MEMBER_NOT_FOUND,
    NOT_A_MEMBER,
    PAGE_TOKEN_INVALID,
    ROLE_REQUIRED,
    ROOM_FULL,
    ROOM_NOT_FOUND,
    TOO_MANY_ROOMS,
    USER_NOT_FOUND,
)
from im.logic.v1.message_pb2 import Message
from im.logic.v1.room_pb2 import (
    HISTORY_POLICY_EVERYTHING,
    HISTORY_POLICY_SINCE_JOIN,
    JOIN_POLICY_INVITE_ONLY,
    JOIN_POLICY_OPEN,
    ROLE_ADMIN,
    ROLE_MEMBER,
    ROLE_OWNER,
    ROLE_UNSPECIFIED,
)
from im.logic.v1.room_service_pb2 import CreateRoomRequest, ListMembersRequest
from im.logic.v1.user_service_pb2 import UpdateMeRequest

from codegen.runtime.errors import Error
from impl.logic.room_changes import first_settings
from impl.logic.rooms import RoomDirectory, RoomLimits, _digest
from impl.storage.envelope import room_conversation
from tests.impl.logic import calls
from tests.impl.logic.conftest import Tier, as_user, forgotten, person, refused, settle


def narrow(tier: Tier, *, members: int = 1000, rooms: int = 1000) -> Tier:
    """The same tier with less room."""
    whole = tier.rooms
    limits = RoomLimits(members, rooms)
    parts = (whole._accounts, whole._profiles, whole._ids, whole._conversations)
    return Tier(**{**vars(tier), "rooms": RoomDirectory(*parts, limits)})


async def events(tier: Tier, user: int, room: int) -> list[Message]:
    return list((await calls.read(tier, user, room_conversation(room))).messages)


async def test_a_new_room_is_as_it_was_asked_for(tier: Tier, ada: int, bo: int, cy: int) -> None:
    request = CreateRoomRequest(
        name="garden",
        description="for gardeners",
        join=JOIN_POLICY_OPEN,
        history=HISTORY_POLICY_EVERYTHING,
        member_ids=[cy, bo, ada],
    )
    room = (await tier.rooms.create_room(request, as_user(ada))).room
    assert (room.name, room.description) == ("garden", "for gardeners")
    assert (room.join, room.history) == (JOIN_POLICY_OPEN, HISTORY_POLICY_EVERYTHING)
    assert (room.member_count, room.role) == (3, ROLE_OWNER)
    assert room.conversation_id == room_conversation(room.id)
    assert {m.user_id: m.role for m in await calls.roster(tier, cy, room.id)} == {
        ada: ROLE_OWNER,
        bo: ROLE_MEMBER,
        cy: ROLE_MEMBER,
    }
    assert (await calls.look(tier, bo, room.id)).role == ROLE_MEMBER
    (created,) = await events(tier, bo, room.id)
    assert (created.seq, created.sender_id, created.text) == (1, ada, "")
    assert created.created_at == room.created_at
    assert created.room.created.settings.name == "garden"
    assert list(created.room.created.member_ids) == [cy, bo]


async def test_a_room_is_closed_and_tells_of_what_is_said_from_now_on_unless_it_is_told_otherwise(
    tier: Tier, ada: int
) -> None:
    room = (await tier.rooms.create_room(CreateRoomRequest(name="r"), as_user(ada))).room
    assert (room.join, room.history) == (JOIN_POLICY_INVITE_ONLY, HISTORY_POLICY_SINCE_JOIN)


async def test_the_same_creation_again_gives_the_same_room(tier: Tier, ada: int, bo: int) -> None:
    def creation(**changed: object) -> CreateRoomRequest:
        fields = {"client_request_id": "x", "name": "r", "member_ids": [bo], **changed}
        return CreateRoomRequest(**fields)  # type: ignore[arg-type]

    answers = await asyncio.gather(*(tier.rooms.create_room(creation(), as_user(ada)) for _ in range(8)))
    (room_id,) = {answer.room.id for answer in answers}
    assert len(await events(tier, bo, room_id)) == 1
    await calls.update(tier, ada, room_id, name="renamed")
    again = (await tier.rooms.create_room(creation(), as_user(ada))).room
    assert (again.id, again.name) == (room_id, "renamed")
    await refused(CLIENT_REQUEST_ID_REUSED, tier.rooms.create_room(creation(name="s"), as_user(ada)))
    await refused(CLIENT_REQUEST_ID_REUSED, tier.rooms.create_room(creation(member_ids=[]), as_user(ada)))
    of_bo = (await tier.rooms.create_room(creation(member_ids=[]), as_user(bo))).room
    assert of_bo.id != room_id
    nameless = [(await tier.rooms.create_room(creation(client_request_id=""), as_user(ada))) for _ in "12"]
    assert len({room_id, *(answer.room.id for answer in nameless)}) == 3


async def test_a_creation_repeated_by_who_was_removed_since_shows_nothing(
    tier: Tier, ada: int, bo: int
) -> None:
    room = await calls.create(tier, ada, bo, client_request_id="x")
    await calls.appoint(tier, ada, room, bo, ROLE_OWNER)
    await calls.remove(tier, bo, room, ada)
    await refused(NOT_A_MEMBER, calls.create(tier, ada, bo, client_request_id="x"))


async def test_a_creation_that_died_half_way_is_finished_by_its_repetition(tier: Tier, ada: int) -> None:
    request = CreateRoomRequest(client_request_id="x", name="r")
    reserved = await tier.conversations.reserve_room(ada, "x", 4711, _digest(first_settings(request), ()))
    assert reserved == 4711
    assert (await tier.rooms.create_room(request, as_user(ada))).room.id == 4711


async def test_nobody_is_made_a_member_who_does_not_exist(tier: Tier, ada: int) -> None:
    await refused(USER_NOT_FOUND, calls.create(tier, ada, 12345))
    room = await calls.create(tier, ada)
    await refused(USER_NOT_FOUND, calls.add(tier, ada, room, 12345))
    assert await tier.conversations.rooms_of(12345) == []


async def test_every_change_is_an_event_of_who_caused_it(tier: Tier, ada: int, bo: int, cy: int) -> None:
    room = await calls.create(tier, ada, bo, is_open=True)
    await calls.update(tier, ada, room, name="new", history=HISTORY_POLICY_EVERYTHING)
    await calls.add(tier, cy, room, cy)
    await calls.appoint(tier, ada, room, bo, ROLE_ADMIN)
    await calls.remove(tier, bo, room, cy)
    await calls.appoint(tier, ada, room, bo, ROLE_OWNER)
    await calls.remove(tier, ada, room, ada)
    _, changed, joined, promoted, removed, handed, left = await events(tier, bo, room)
    assert [e.sender_id for e in (changed, joined, promoted, removed, handed, left)] == [
        ada,
        cy,
        ada,
        bo,
        ada,
        ada,
    ]
    settings = changed.room.changed
    assert (settings.name, settings.history) == ("new", HISTORY_POLICY_EVERYTHING)
    assert not settings.HasField("description")
    assert not settings.HasField("join")
    assert (joined.room.joined.user_id, joined.room.joined.role) == (cy, ROLE_MEMBER)
    assert (promoted.room.role.user_id, promoted.room.role.role) == (bo, ROLE_ADMIN)
    assert (removed.room.left.user_id, handed.room.owner.user_id) == (cy, bo)
    assert left.room.left.user_id == ada
    assert [e.seq for e in await events(tier, bo, room)] == list(range(1, 8))


async def test_what_is_so_already_takes_no_number(tier: Tier, ada: int, bo: int) -> None:
    room = await calls.create(tier, ada, bo, description="about")
    await calls.update(tier, ada, room, name="room", description="about", join=JOIN_POLICY_INVITE_ONLY)
    first = await calls.add(tier, ada, room, bo)
    assert await calls.add(tier, bo, room, bo) == first
    assert (first.user_id, first.role, first.joined_seq, first.username) == (bo, ROLE_MEMBER, 1, "bo")
    await calls.appoint(tier, ada, room, bo, ROLE_MEMBER)
    assert len(await events(tier, ada, room)) == 1
    await calls.update(tier, ada, room, name="other", description="about")
    (_, changed) = await events(tier, ada, room)
    assert not changed.room.changed.HasField("description")
    assert (await calls.update(tier, ada, room, description="")).description == ""


async def test_there_is_one_owner_however_the_room_is_handed_over(
    tier: Tier, ada: int, bo: int, cy: int
) -> None:
    room = await calls.create(tier, ada, bo, cy)
    results = await asyncio.gather(
        *(calls.appoint(tier, ada, room, heir, ROLE_OWNER) for heir in (bo, cy)), return_exceptions=True
    )
    (denied,) = [result for result in results if isinstance(result, Error)]
    assert denied.reason == ROLE_REQUIRED
    roles = {m.user_id: m.role for m in await calls.roster(tier, ada, room)}
    assert roles[ada] == ROLE_ADMIN
    assert sorted(roles.values()) == [ROLE_MEMBER, ROLE_ADMIN, ROLE_OWNER]


async def test_with_its_last_member_a_room_is_gone(tier: Tier, ada: int, bo: int) -> None:
    room = await calls.create(tier, ada, is_open=True)
    await calls.say(tier, ada, room, "bye")
    await calls.remove(tier, ada, room, ada)
    for user in (ada, bo):
        await refused(ROOM_NOT_FOUND, calls.look(tier, user, room))
        await refused(ROOM_NOT_FOUND, calls.add(tier, user, room, user))
    await refused(NOT_A_MEMBER, calls.say(tier, ada, room))
    assert await calls.seqs(tier, ada, room) == [1, 2, 3]


async def test_what_is_no_room_is_said_to_be_none(tier: Tier, ada: int, bo: int) -> None:
    await refused(ROOM_NOT_FOUND, calls.look(tier, ada, 5))
    await refused(ROOM_NOT_FOUND, calls.update(tier, ada, 5, name="x"))
    await refused(ROOM_NOT_FOUND, calls.roster(tier, ada, 5))
    await refused(ROOM_NOT_FOUND, calls.add(tier, ada, 5, ada))
    await refused(ROOM_NOT_FOUND, calls.add(tier, ada, 5, bo))
    await refused(ROOM_NOT_FOUND, calls.appoint(tier, ada, 5, bo, ROLE_ADMIN))
    await refused(ROOM_NOT_FOUND, calls.remove(tier, ada, 5, bo))
    await refused(ROOM_NOT_FOUND, calls.say(tier, ada, 5))
    await refused(CONVERSATION_NOT_FOUND, calls.read(tier, ada, "room.5"))
    await refused(CONVERSATION_NOT_FOUND, calls.open_conversation(tier, ada, "room.5"))
    await refused(CONVERSATION_NOT_FOUND, calls.mark_read(tier, ada, "room.5"))


async def test_a_room_does_not_take_more_than_it_may_have(tier: Tier, ada: int, bo: int, cy: int) -> None:
    small = narrow(tier, members=2)
    await refused(ROOM_FULL, calls.create(small, ada, bo, cy))
    room = await calls.create(small, ada, bo, is_open=True)
    await refused(ROOM_FULL, calls.add(small, ada, room, cy))
    await refused(ROOM_FULL, calls.add(small, cy, room, cy))
    await calls.add(small, ada, room, bo)  # who is in does not need a place
    await calls.remove(small, ada, room, bo)
    await calls.add(small, cy, room, cy)
    assert (await calls.look(small, ada, room)).member_count == 2


async def test_nobody_is_in_more_rooms_than_one_may_be(tier: Tier, ada: int, bo: int, cy: int) -> None:
    small = narrow(tier, rooms=2)
    first = await calls.create(small, bo)
    second = await calls.create(small, ada, bo)
    await refused(TOO_MANY_ROOMS, calls.create(small, bo))
    await refused(TOO_MANY_ROOMS, calls.create(small, ada, bo))
    third = await calls.create(small, ada, is_open=True)
    await refused(TOO_MANY_ROOMS, calls.add(small, ada, third, bo))
    await refused(TOO_MANY_ROOMS, calls.add(small, bo, third, bo))
    await refused(NOT_A_MEMBER, calls.add(small, cy, third, bo))  # nobody outside learns how many they are
    await calls.add(small, ada, second, bo)  # nothing to do
    await calls.remove(small, bo, first, bo)
    assert (await calls.add(small, bo, third, bo)).joined_seq == 2


async def test_a_creation_that_fills_the_last_place_can_be_repeated(tier: Tier, ada: int) -> None:
    small = narrow(tier, rooms=1)
    request = CreateRoomRequest(client_request_id="x", name="r")
    first = await small.rooms.create_room(request, as_user(ada))
    assert await small.rooms.create_room(request, as_user(ada)) == first


async def test_members_are_listed_in_the_order_in_which_they_came(tier: Tier, ada: int) -> None:
    others = [await person(tier, f"p{n}") for n in range(7)]
    room = await calls.create(tier, ada, others[1], others[0])
    for user in others[6:1:-1]:
        await calls.add(tier, ada, room, user)
    came = [*sorted([ada, *others[:2]]), *others[6:1:-1]]
    assert [m.user_id for m in await calls.roster(tier, ada, room)] == came
    listed, token = [], ""
    while True:
        request = ListMembersRequest(room_id=room, page_size=3, page_token=token)
        page = await tier.rooms.list_members(request, as_user(others[0]))
        listed += [m.user_id for m in page.members]
        token = page.next_page_token
        if not token:
            break
    assert listed == came
    for wrong in ("nonsense", "é", "AAAA"):
        await refused(PAGE_TOKEN_INVALID, calls.roster(tier, ada, room, page_token=wrong))


async def test_members_have_their_names(tier: Tier, ada: int, bo: int) -> None:
    await tier.directory.update_me(UpdateMeRequest(display_name="Bo the Bold"), as_user(bo))
    room = await calls.create(tier, ada, bo)
    names = {m.user_id: (m.username, m.display_name) for m in await calls.roster(tier, ada, room)}
    assert names == {ada: ("ada", ""), bo: ("bo", "Bo the Bold")}


async def test_everybody_sees_an_open_room_but_not_who_is_in_it(tier: Tier, ada: int, bo: int) -> None:
    room = await calls.create(tier, ada, is_open=True)
    seen = await calls.look(tier, bo, room)
    assert (seen.name, seen.member_count, seen.role) == ("room", 1, ROLE_UNSPECIFIED)
    await refused(NOT_A_MEMBER, calls.roster(tier, bo, room))
    await calls.update(tier, ada, room, join=JOIN_POLICY_INVITE_ONLY)
    await refused(NOT_A_MEMBER, calls.look(tier, bo, room))
    await refused(INVITE_ONLY, calls.add(tier, bo, room, bo))


async def test_who_has_left_is_no_member_to_be_removed_or_promoted(tier: Tier, ada: int, bo: int) -> None:
    room = await calls.create(tier, ada, bo)
    await calls.remove(tier, bo, room, bo)
    await refused(NOT_A_MEMBER, calls.remove(tier, bo, room, bo))
    await refused(MEMBER_NOT_FOUND, calls.remove(tier, ada, room, bo))
    await refused(MEMBER_NOT_FOUND, calls.appoint(tier, ada, room, bo, ROLE_ADMIN))
    await refused(NOT_A_MEMBER, calls.look(tier, bo, room))
    assert (await calls.add(tier, ada, room, bo)).role == ROLE_MEMBER


async def test_a_room_that_redis_has_lost_goes_on_as_the_database_knows_it(
    tier: Tier, ada: int, bo: int, cy: int
) -> None:
    room = await calls.create(tier, ada, bo, is_open=True, name="garden")
    await calls.add(tier, cy, room, cy)
    await calls.appoint(tier, ada, room, bo, ROLE_ADMIN)
    await calls.remove(tier, cy, room, cy)
    await settle(tier)
    await forgotten(tier)
    assert (await calls.look(tier, bo, room)).role == ROLE_ADMIN
    assert (await calls.look(tier, ada, room)).member_count == 2
    await refused(NOT_A_MEMBER, calls.say(tier, cy, room))
    said = await calls.say(tier, bo, room)
    assert said.seq > 1000
    assert [m.user_id for m in await calls.roster(tier, ada, room)] == sorted([ada, bo])
    assert (await calls.add(tier, cy, room, cy)).joined_seq == said.seq + 1
    assert await calls.seqs(tier, cy, room) == [said.seq + 1]


async def test_who_may_let_nobody_in_learns_of_nobody_who_exists(
    tier: Tier, ada: int, bo: int, cy: int
) -> None:
    room = await calls.create(tier, ada, bo)
    for actor, reason in ((bo, ROLE_REQUIRED), (cy, NOT_A_MEMBER), (ada, USER_NOT_FOUND)):
        await refused(reason, calls.add(tier, actor, room, 4711))
