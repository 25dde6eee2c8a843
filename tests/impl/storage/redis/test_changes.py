"""Changes of rooms: what each does, what refuses it, and that it happens once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from im.errors.v1 import reason_errors
from im.logic.v1.room_pb2 import (
    HISTORY_POLICY_EVERYTHING,
    HISTORY_POLICY_SINCE_JOIN,
    JOIN_POLICY_INVITE_ONLY,
    JOIN_POLICY_OPEN,
    ROLE_ADMIN,
    ROLE_MEMBER,
    ROLE_OWNER,
)

from codegen.runtime.errors import Error
from impl.storage.keys import keys_of
from impl.storage.membership import Changed, Denied, Membership, RoomChange, RoomState, Rule, Standing
from tests.impl.storage.redis.changes import (
    EVERYBODY,
    NOBODY,
    ROOM,
    configure,
    create,
    join,
    leave,
    role,
    transfer,
)
from tests.impl.storage.redis.conftest import PARTITIONS, Process
from tests.impl.storage.redis.sends import send, stream_of

OWNER, ADMIN, MEMBER, GUEST, STRANGER = Standing


async def members_of(process: Process) -> dict[int, Membership]:
    members, token = await process.conversations.roster(ROOM, "", 100)
    assert token == ""
    return {member.user_id: member for member in members}


async def count_of(process: Process) -> int:
    room = await process.conversations.room(ROOM)
    assert room
    return room.member_count


async def refusal(process: Process, change: RoomChange) -> object:
    try:
        await process.conversations.change(change)
    except Error as error:
        return error.reason
    except Denied as denied:
        return denied.actor, denied.target
    raise AssertionError("it was not refused")


async def numbers(process: Process) -> list[int]:
    return [event.seq for _, event in await stream_of(process.redis, ROOM) if event.conversation_id == ROOM]


async def test_a_new_room_has_its_settings_its_owner_and_its_first_members(process: Process) -> None:
    made = create(1, 5, 3)
    created = await process.conversations.change(made)

    owner = Membership(1, ROLE_OWNER, joined_seq=1, delivered_seq=1, read_seq=1)
    assert created == Changed(1, 1, owner)
    assert await members_of(process) == {
        1: owner,
        3: Membership(3, ROLE_MEMBER, joined_seq=1),
        5: Membership(5, ROLE_MEMBER, joined_seq=1),
    }
    assert await process.conversations.room(ROOM) == RoomState(
        name="Lobby",
        description='Where\nall "meet" \0 ✓',
        join=JOIN_POLICY_INVITE_ONLY,
        history=HISTORY_POLICY_SINCE_JOIN,
        created_ms=made.created_ms,
        member_count=3,
    )
    ((_, event),) = await stream_of(process.redis, ROOM)
    assert (event.epoch, event.seq, event.id) == (1, 1, made.event_id)
    assert event.room.created.settings.name == "Lobby"
    assert len(await process.conversations.tail(ROOM, None, None, 5)) == 1


async def test_who_creates_a_room_again_gets_the_first_result_and_changes_nothing(process: Process) -> None:
    made = create(1, 2)
    first = await process.conversations.change(made)
    await process.conversations.change(join(1, 3))

    assert await process.conversations.change(made) == first
    assert await process.conversations.change(create(1, 9)) == first
    assert set(await members_of(process)) == {1, 2, 3}
    assert await numbers(process) == [1, 2]


async def test_who_comes_begins_with_their_own_coming_and_who_goes_ends_with_their_own_going(
    process: Process,
) -> None:
    await process.conversations.change(create())
    joined = await process.conversations.change(join(1, 2))
    assert joined == Changed(1, 2, Membership(2, ROLE_MEMBER, 2, None, 1, 1))
    await process.conversations.accept(send(ROOM, 2, members=()))
    left = await process.conversations.change(leave(2))

    assert left == Changed(1, 4, None)
    entry: Any = await process.redis.hget(keys_of(ROOM, PARTITIONS).members(ROOM), "2")
    assert entry == b"member 2 5 3 3"
    assert set(await members_of(process)) == {1}
    assert await count_of(process) == 1


async def test_who_is_added_has_all_but_their_coming_read_and_who_joins_that_too(process: Process) -> None:
    await process.conversations.change(create(1))
    for _ in range(3):
        await process.conversations.accept(send(ROOM, 1, members=()))
    added = await process.conversations.change(join(1, 2))
    assert added == Changed(1, 5, Membership(2, ROLE_MEMBER, 5, None, 4, 4))
    joined = await process.conversations.change(join(3))
    assert joined == Changed(1, 6, Membership(3, ROLE_MEMBER, 6, None, 6, 6))


async def test_who_comes_back_begins_a_new_stay_and_has_read_what_was_before(process: Process) -> None:
    await process.conversations.change(create(1, 2))
    await process.conversations.accept(send(ROOM, 2, members=()))
    await process.conversations.change(role(1, 2, ROLE_ADMIN))
    await process.conversations.change(leave(2))
    back = await process.conversations.change(join(1, 2))
    assert back.target == Membership(2, ROLE_MEMBER, joined_seq=5, delivered_seq=4, read_seq=4)


async def test_a_role_is_given_and_taken(process: Process) -> None:
    await process.conversations.change(create(1, 2))
    given = await process.conversations.change(role(1, 2, ROLE_ADMIN))
    assert given == Changed(1, 2, Membership(2, ROLE_ADMIN, joined_seq=1))
    taken = await process.conversations.change(role(1, 2, ROLE_MEMBER))
    assert taken == Changed(1, 3, Membership(2, ROLE_MEMBER, joined_seq=1))


async def test_a_room_that_is_handed_over_has_one_owner(process: Process) -> None:
    await process.conversations.change(create(1, 2))
    handed = await process.conversations.change(transfer(1, 2))
    assert handed == Changed(1, 2, Membership(2, ROLE_OWNER, joined_seq=1))
    assert {user: member.role for user, member in (await members_of(process)).items()} == {
        1: ROLE_ADMIN,
        2: ROLE_OWNER,
    }


async def test_only_the_settings_that_are_named_change(process: Process) -> None:
    await process.conversations.change(create())
    before = await process.conversations.room(ROOM)
    await process.conversations.change(configure(1, {"name": "Hall", "history": HISTORY_POLICY_EVERYTHING}))
    after = await process.conversations.room(ROOM)
    assert before
    assert after
    assert (after.name, after.history) == ("Hall", HISTORY_POLICY_EVERYTHING)
    assert (after.description, after.join, after.created_ms) == (
        before.description,
        before.join,
        before.created_ms,
    )


async def test_a_repeated_change_gets_the_first_result_though_it_would_be_refused_now(
    process: Process,
) -> None:
    await process.conversations.change(create(1, 2))
    changes = [role(1, 2, ROLE_ADMIN), leave(2), join(1, 2), transfer(1, 2)]
    first = [await process.conversations.change(one) for one in changes]
    again = [await process.conversations.change(one) for one in changes]
    assert again == first
    assert await numbers(process) == [1, 2, 3, 4, 5]


async def test_a_send_cannot_be_taken_for_a_change_of_the_same_name(process: Process) -> None:
    await process.conversations.change(create())
    coming = join(1, 2)
    await process.conversations.change(coming)
    for name in (f"#{coming.event_id}", str(coming.event_id)):
        accepted = await process.conversations.accept(send(ROOM, 1, name, members=()))
        assert not accepted.duplicate
    again = join(1, 3)
    assert (await process.conversations.change(again)).seq == 5


async def test_what_is_left_to_do_of_a_change_may_be_nothing(process: Process) -> None:
    await process.conversations.change(create(1, 2))
    kept = Rule(applies={}, keeps={OWNER: frozenset({MEMBER})})
    unchanged = await process.conversations.change(join(1, 2, rule=kept))
    assert unchanged == Changed(0, 0, Membership(2, ROLE_MEMBER, joined_seq=1))
    assert await numbers(process) == [1]


@pytest.mark.parametrize("open_to_all", [True, False])
async def test_a_refused_change_says_what_both_are_and_leaves_nothing_behind(
    process: Process, *, open_to_all: bool
) -> None:
    policy = JOIN_POLICY_OPEN if open_to_all else JOIN_POLICY_INVITE_ONLY
    await process.conversations.change(create(1, 2, 3, 4, join=policy))
    await process.conversations.change(role(1, 2, ROLE_ADMIN))
    await process.conversations.change(leave(4))
    outside = GUEST if open_to_all else STRANGER

    standings = {1: OWNER, 2: ADMIN, 3: MEMBER, 4: outside, 5: outside}
    for actor, does in standings.items():
        for target, suffers in standings.items():
            assert await refusal(process, leave(actor, target, rule=NOBODY)) == (does, suffers)
    assert await numbers(process) == [1, 2, 3]


async def test_an_owner_leaves_only_an_empty_room(process: Process) -> None:
    await process.conversations.change(create(1, 2))
    assert await refusal(process, leave(1)) is reason_errors.OWNER_MUST_TRANSFER
    await process.conversations.change(leave(2))
    await process.conversations.change(leave(1))
    assert await members_of(process) == {}
    assert await count_of(process) == 0


async def test_a_full_room_takes_nobody_and_those_who_are_in_it_stay_in_it(process: Process) -> None:
    await process.conversations.change(create(1, 2))
    rule = Rule(EVERYBODY.applies, {OWNER: frozenset({MEMBER})})
    results = await asyncio.gather(
        *(process.conversations.change(join(1, user, rule=rule, most_members=4)) for user in range(2, 9)),
        return_exceptions=True,
    )
    refused = [one.reason for one in results if isinstance(one, Error)]
    assert refused == [reason_errors.ROOM_FULL] * 4
    assert set(await members_of(process)) == {1, 2, 3, 4}


async def test_a_room_that_nobody_created_is_not_found(process: Process) -> None:
    assert await refusal(process, join(1)) is reason_errors.ROOM_NOT_FOUND
    assert await refusal(process, join(1)) is reason_errors.ROOM_NOT_FOUND
    with pytest.raises(Error) as refused:
        await process.conversations.accept(send(ROOM, 1, members=()))
    assert refused.value.reason is reason_errors.ROOM_NOT_FOUND
    assert await process.redis.keys("*room.7*") == []


async def test_a_private_conversation_is_no_room(process: Process) -> None:
    await process.conversations.accept(send("dm.1.2"))
    with pytest.raises(Error):
        await process.conversations.change(join(1, 3, room="dm.1.2"))
    assert (await process.conversations.heads(["dm.1.2"]))["dm.1.2"].seq == 1


async def test_only_members_write_and_what_they_wrote_before_they_left_is_found_again(
    process: Process,
) -> None:
    await process.conversations.change(create(1, 2))
    first = await process.conversations.accept(send(ROOM, 2, "x", members=()))
    await process.conversations.change(leave(1, 2))

    again = await process.conversations.accept(send(ROOM, 2, "x", members=()))
    assert (again.seq, again.duplicate) == (first.seq, True)
    for user in (2, 9):
        with pytest.raises(Error) as refused:
            await process.conversations.accept(send(ROOM, user, members=()))
        assert refused.value.reason is reason_errors.NOT_A_MEMBER


async def test_messages_and_changes_of_one_batch_are_numbered_in_their_order(process: Process) -> None:
    await process.conversations.change(create())
    conversations = process.conversations
    results: Any = await asyncio.gather(
        conversations.accept(send(ROOM, 2, members=())),
        conversations.change(join(1, 2)),
        conversations.accept(send(ROOM, 2, members=())),
        conversations.change(leave(1, 2)),
        conversations.accept(send(ROOM, 2, members=())),
        return_exceptions=True,
    )
    assert [getattr(one, "seq", None) for one in results] == [None, 2, 3, 4, None]
    kinds = [event.WhichOneof("event") for _, event in await stream_of(process.redis, ROOM)]
    assert kinds == ["room", "room", "message", "room"]
