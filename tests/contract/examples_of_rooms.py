"""Rooms and their members. Alice owns every room; Bob is a member where it says so."""

from __future__ import annotations

from collections.abc import Mapping

from im.logic.v1.room_pb2 import (
    HISTORY_POLICY_EVERYTHING,
    JOIN_POLICY_INVITE_ONLY,
    JOIN_POLICY_OPEN,
    ROLE_ADMIN,
    ROLE_MEMBER,
    ROLE_OWNER,
    JoinPolicy,
    Role,
)
from im.logic.v1.room_service_pb2 import (
    AddMemberRequest,
    CreateRoomRequest,
    GetRoomRequest,
    ListMembersRequest,
    RemoveMemberRequest,
    UpdateMemberRequest,
    UpdateRoomRequest,
)

from tests.contract.world import NOBODY, Example, Request, World, done, fresh, registered

_SERVICE = "im.logic.v1.RoomService"


async def room(
    world: World, *, with_bob: bool = False, join: JoinPolicy.ValueType = JOIN_POLICY_INVITE_ONLY
) -> int:
    """Id of a new room of Alice's."""
    members = [world.bob.user.id] if with_bob else []
    request = CreateRoomRequest(name="A room", join=join, member_ids=members)
    answer = await done(world, "RoomService.CreateRoom", request, world.alice.access_token)
    return int(answer.room.id)


async def _create(world: World) -> Request:
    request = CreateRoomRequest(
        client_request_id=fresh("room"),
        name="Gärten 🦜",
        description="of all kinds",
        join=JOIN_POLICY_OPEN,
        history=HISTORY_POLICY_EVERYTHING,
        member_ids=[world.bob.user.id],
    )
    return Request(request, world.alice.access_token)


async def _create_again(world: World) -> Request:
    request = await _create(world)
    await done(world, "RoomService.CreateRoom", request.message, request.token)
    return request


async def _create_with_nobody(world: World) -> Request:
    request = CreateRoomRequest(name="x", member_ids=[NOBODY])
    return Request(request, world.alice.access_token, "USER_NOT_FOUND")


async def _create_another_under_the_same_id(world: World) -> Request:
    name = fresh("room")
    first = CreateRoomRequest(client_request_id=name, name="one")
    await done(world, "RoomService.CreateRoom", first, world.alice.access_token)
    other = CreateRoomRequest(client_request_id=name, name="other")
    return Request(other, world.alice.access_token, "CLIENT_REQUEST_ID_REUSED")


async def _get(world: World) -> Request:
    return Request(GetRoomRequest(room_id=await room(world)), world.alice.access_token)


async def _get_open_as_a_guest(world: World) -> Request:
    room_id = await room(world, join=JOIN_POLICY_OPEN)
    return Request(GetRoomRequest(room_id=room_id), world.bob.access_token)


async def _get_none(world: World) -> Request:
    return Request(GetRoomRequest(room_id=NOBODY), world.alice.access_token, "ROOM_NOT_FOUND")


async def _get_as_a_stranger(world: World) -> Request:
    return Request(GetRoomRequest(room_id=await room(world)), world.bob.access_token, "NOT_A_MEMBER")


async def _update(world: World) -> Request:
    request = UpdateRoomRequest(room_id=await room(world), name="Another", join=JOIN_POLICY_OPEN)
    return Request(request, world.alice.access_token)


async def _update_as_a_member(world: World) -> Request:
    request = UpdateRoomRequest(room_id=await room(world, with_bob=True), name="Another")
    return Request(request, world.bob.access_token, "ROLE_REQUIRED")


async def _update_none(world: World) -> Request:
    request = UpdateRoomRequest(room_id=NOBODY, name="Another")
    return Request(request, world.alice.access_token, "ROOM_NOT_FOUND")


async def _add(world: World) -> Request:
    request = AddMemberRequest(room_id=await room(world), user_id=world.bob.user.id)
    return Request(request, world.alice.access_token)


async def _add_again(world: World) -> Request:
    request = AddMemberRequest(room_id=await room(world, with_bob=True), user_id=world.bob.user.id)
    return Request(request, world.alice.access_token)


async def _join(world: World) -> Request:
    room_id = await room(world, join=JOIN_POLICY_OPEN)
    return Request(AddMemberRequest(room_id=room_id, user_id=world.bob.user.id), world.bob.access_token)


async def _join_uninvited(world: World) -> Request:
    request = AddMemberRequest(room_id=await room(world), user_id=world.bob.user.id)
    return Request(request, world.bob.access_token, "INVITE_ONLY")


async def _add_nobody(world: World) -> Request:
    request = AddMemberRequest(room_id=await room(world), user_id=NOBODY)
    return Request(request, world.alice.access_token, "USER_NOT_FOUND")


async def _add_as_a_member(world: World) -> Request:
    user_id = (await registered(world)).user.id
    request = AddMemberRequest(room_id=await room(world, with_bob=True), user_id=user_id)
    return Request(request, world.bob.access_token, "ROLE_REQUIRED")


async def _members(world: World) -> Request:
    request = ListMembersRequest(room_id=await room(world, with_bob=True), page_size=1)
    return Request(request, world.bob.access_token)


async def _members_beyond_the_first_page(world: World) -> Request:
    first = await _members(world)
    answer = await done(world, "RoomService.ListMembers", first.message, first.token)
    request = ListMembersRequest(page_token=answer.next_page_token)
    request.MergeFrom(first.message)
    return Request(request, first.token)


async def _members_of_no_page(world: World) -> Request:
    request = ListMembersRequest(room_id=await room(world), page_token="nonsense")
    return Request(request, world.alice.access_token, "PAGE_TOKEN_INVALID")


async def _members_as_a_stranger(world: World) -> Request:
    return Request(ListMembersRequest(room_id=await room(world)), world.bob.access_token, "NOT_A_MEMBER")


def _role(room_id: int, user_id: int, role: Role.ValueType) -> UpdateMemberRequest:
    return UpdateMemberRequest(room_id=room_id, user_id=user_id, role=role)


async def _promote(world: World) -> Request:
    request = _role(await room(world, with_bob=True), world.bob.user.id, ROLE_ADMIN)
    return Request(request, world.alice.access_token)


async def _hand_over(world: World) -> Request:
    request = _role(await room(world, with_bob=True), world.bob.user.id, ROLE_OWNER)
    return Request(request, world.alice.access_token)


async def _promote_who_is_not_there(world: World) -> Request:
    request = _role(await room(world), world.bob.user.id, ROLE_ADMIN)
    return Request(request, world.alice.access_token, "MEMBER_NOT_FOUND")


async def _promote_oneself(world: World) -> Request:
    request = _role(await room(world, with_bob=True), world.bob.user.id, ROLE_ADMIN)
    return Request(request, world.bob.access_token, "ROLE_REQUIRED")


async def _step_back_as_the_owner(world: World) -> Request:
    request = _role(await room(world, with_bob=True), world.alice.user.id, ROLE_MEMBER)
    return Request(request, world.alice.access_token, "OWNER_MUST_TRANSFER")


async def _remove(world: World) -> Request:
    request = RemoveMemberRequest(room_id=await room(world, with_bob=True), user_id=world.bob.user.id)
    return Request(request, world.alice.access_token)


async def _leave(world: World) -> Request:
    request = RemoveMemberRequest(room_id=await room(world, with_bob=True), user_id=world.bob.user.id)
    return Request(request, world.bob.access_token)


async def _leave_as_the_owner(world: World) -> Request:
    request = RemoveMemberRequest(room_id=await room(world, with_bob=True), user_id=world.alice.user.id)
    return Request(request, world.alice.access_token, "OWNER_MUST_TRANSFER")


async def _remove_the_owner(world: World) -> Request:
    request = RemoveMemberRequest(room_id=await room(world, with_bob=True), user_id=world.alice.user.id)
    return Request(request, world.bob.access_token, "ROLE_REQUIRED")


async def _remove_who_is_not_there(world: World) -> Request:
    request = RemoveMemberRequest(room_id=await room(world), user_id=world.bob.user.id)
    return Request(request, world.alice.access_token, "MEMBER_NOT_FOUND")


ROOMS: Mapping[str, Example] = {
    f"{_SERVICE}.CreateRoom": Example(
        (_create, _create_again), (_create_with_nobody, _create_another_under_the_same_id)
    ),
    f"{_SERVICE}.GetRoom": Example((_get, _get_open_as_a_guest), (_get_none, _get_as_a_stranger)),
    f"{_SERVICE}.UpdateRoom": Example((_update,), (_update_as_a_member, _update_none)),
    f"{_SERVICE}.AddMember": Example(
        (_add, _add_again, _join), (_join_uninvited, _add_nobody, _add_as_a_member)
    ),
    f"{_SERVICE}.ListMembers": Example(
        (_members, _members_beyond_the_first_page), (_members_of_no_page, _members_as_a_stranger)
    ),
    f"{_SERVICE}.UpdateMember": Example(
        (_promote, _hand_over), (_promote_who_is_not_there, _promote_oneself, _step_back_as_the_owner)
    ),
    f"{_SERVICE}.RemoveMember": Example(
        (_remove, _leave), (_leave_as_the_owner, _remove_the_owner, _remove_who_is_not_there)
    ),
}
