"""Calls of users, short enough to read as sentences."""

from __future__ import annotations

import secrets
from typing import Any

from im.logic.v1.conversation_pb2 import Conversation
from im.logic.v1.conversation_service_pb2 import (
    GetConversationRequest,
    ListHeadsRequest,
    ListHeadsResponse,
    MarkReadRequest,
    MarkReadResponse,
)
from im.logic.v1.message_pb2 import Message
from im.logic.v1.message_service_pb2 import ListMessagesRequest, ListMessagesResponse, SendMessageRequest
from im.logic.v1.room_pb2 import JOIN_POLICY_INVITE_ONLY, JOIN_POLICY_OPEN, Member, Role, Room
from im.logic.v1.room_service_pb2 import (
    AddMemberRequest,
    CreateRoomRequest,
    GetRoomRequest,
    ListMembersRequest,
    RemoveMemberRequest,
    UpdateMemberRequest,
    UpdateRoomRequest,
)

from impl.storage.envelope import room_conversation
from tests.impl.logic.conftest import ANYBODY, Tier, as_user


async def write(tier: Tier, sender: int, to: int, text: str = "hi") -> Message:
    """A message to a user."""
    request = SendMessageRequest(client_message_id=secrets.token_hex(8), to_user_id=to, text=text)
    return (await tier.desk.send_message(request, as_user(sender))).message


async def say(tier: Tier, sender: int, room_id: int, text: str = "hi") -> Message:
    """A message to a room."""
    request = SendMessageRequest(client_message_id=secrets.token_hex(8), room_id=room_id, text=text)
    return (await tier.desk.send_message(request, as_user(sender))).message


async def read(tier: Tier, user: int, conversation_id: str, **bounds: int) -> ListMessagesResponse:
    """A page of a conversation."""
    request = ListMessagesRequest(conversation_id=conversation_id, **bounds)
    return await tier.desk.list_messages(request, as_user(user))


async def seqs(tier: Tier, user: int, room_id: int, **bounds: int) -> list[int]:
    """Numbers of a page of a room."""
    page = await read(tier, user, room_conversation(room_id), **bounds)
    return [message.seq for message in page.messages]


async def create(tier: Tier, owner: int, *member_ids: int, is_open: bool = False, **fields: Any) -> int:
    """A new room's id."""
    join = JOIN_POLICY_OPEN if is_open else JOIN_POLICY_INVITE_ONLY
    request = CreateRoomRequest(**{"name": "room", "join": join, "member_ids": member_ids, **fields})
    return (await tier.rooms.create_room(request, as_user(owner))).room.id


async def look(tier: Tier, user: int, room_id: int) -> Room:
    """The room as a user sees it."""
    return (await tier.rooms.get_room(GetRoomRequest(room_id=room_id), as_user(user))).room


async def update(tier: Tier, user: int, room_id: int, **fields: Any) -> Room:
    """The room with new settings."""
    request = UpdateRoomRequest(room_id=room_id, **fields)
    return (await tier.rooms.update_room(request, as_user(user))).room


async def add(tier: Tier, actor: int, room_id: int, user: int) -> Member:
    """Adds a user; oneself: joins."""
    request = AddMemberRequest(room_id=room_id, user_id=user)
    return (await tier.rooms.add_member(request, as_user(actor))).member


async def remove(tier: Tier, actor: int, room_id: int, user: int) -> None:
    """Removes a member; oneself: leaves."""
    await tier.rooms.remove_member(RemoveMemberRequest(room_id=room_id, user_id=user), as_user(actor))


async def appoint(tier: Tier, actor: int, room_id: int, user: int, role: Role.ValueType) -> Member:
    """Gives a role."""
    request = UpdateMemberRequest(room_id=room_id, user_id=user, role=role)
    return (await tier.rooms.update_member(request, as_user(actor))).member


async def roster(tier: Tier, user: int, room_id: int, **page: Any) -> list[Member]:
    """Members of a room."""
    request = ListMembersRequest(room_id=room_id, **page)
    return list((await tier.rooms.list_members(request, as_user(user))).members)


async def open_conversation(tier: Tier, user: int, conversation_id: str) -> Conversation:
    """One conversation as a user sees it."""
    request = GetConversationRequest(conversation_id=conversation_id)
    return (await tier.listing.get_conversation(request, as_user(user))).conversation


async def mark_read(tier: Tier, user: int, conversation_id: str, seq: int = 0) -> MarkReadResponse:
    """Moves a read mark; to the end if no number is given."""
    request = MarkReadRequest(conversation_id=conversation_id, seq=seq)
    return await tier.listing.mark_read(request, as_user(user))


async def heads(tier: Tier, user: int) -> ListHeadsResponse:
    """What a connection gateway asks when a user connects."""
    return await tier.listing.list_heads(ListHeadsRequest(user_id=user), ANYBODY)
