"""Rooms and their members."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence

from im.logic.v1.room_pb2 import Member, Role, Room, RoomSettings
from im.logic.v1.room_service_http import RoomServiceHttp
from im.logic.v1.room_service_pb2 import (
    AddMemberRequest,
    CreateRoomRequest,
    GetRoomRequest,
    ListMembersRequest,
    RemoveMemberRequest,
    UpdateMemberRequest,
    UpdateRoomRequest,
)

from codegen.runtime.client.channel import HttpChannel
from impl.client.addresses import room_conversation
from impl.client.credentials import Credentials


class Rooms:
    """What a user does with rooms; every change comes back as an event of the room too.

    Reasons of all methods: ROOM_NOT_FOUND.

    Args:
        channel: to the gateway.
        credentials: who does it.
    """

    def __init__(self, channel: HttpChannel, credentials: Credentials) -> None:
        self._service = RoomServiceHttp(channel)
        self._credentials = credentials

    def conversation(self, room_id: int) -> str:
        """Id of the conversation of a room."""
        return room_conversation(room_id)

    async def create(self, settings: RoomSettings, member_ids: Sequence[int] = ()) -> Room:
        """Create a room that this user owns: once, though an answer may be lost on the way.

        Reasons: USER_NOT_FOUND, TOO_MANY_ROOMS.
        """
        request = CreateRoomRequest(
            client_request_id=str(uuid.uuid4()),
            name=settings.name,
            description=settings.description,
            join=settings.join,
            history=settings.history,
            member_ids=member_ids,
        )
        return (await self._service.create_room(request)).room

    async def get(self, room_id: int) -> Room:
        """A room. Reasons: NOT_A_MEMBER."""
        return (await self._service.get_room(GetRoomRequest(room_id=room_id))).room

    async def update(self, room_id: int, settings: RoomSettings) -> Room:
        """Change the settings that are present. Reasons: NOT_A_MEMBER, ROLE_REQUIRED."""
        present = {field.name: value for field, value in settings.ListFields()}
        return (await self._service.update_room(UpdateRoomRequest(room_id=room_id, **present))).room

    async def join(self, room_id: int) -> Member:
        """Become a member. Reasons: INVITE_ONLY, ROOM_FULL, TOO_MANY_ROOMS."""
        return await self.add(room_id, self._credentials.user_id)

    async def leave(self, room_id: int) -> None:
        """Be a member no longer. Reasons: NOT_A_MEMBER, OWNER_MUST_TRANSFER."""
        await self.remove(room_id, self._credentials.user_id)

    async def add(self, room_id: int, user_id: int) -> Member:
        """Make a user a member.

        Reasons: USER_NOT_FOUND, NOT_A_MEMBER, ROLE_REQUIRED, ROOM_FULL, TOO_MANY_ROOMS.
        """
        request = AddMemberRequest(room_id=room_id, user_id=user_id)
        return (await self._service.add_member(request)).member

    async def remove(self, room_id: int, user_id: int) -> None:
        """Remove a member. Reasons: NOT_A_MEMBER, MEMBER_NOT_FOUND, ROLE_REQUIRED, OWNER_MUST_TRANSFER."""
        await self._service.remove_member(RemoveMemberRequest(room_id=room_id, user_id=user_id))

    async def set_role(self, room_id: int, user_id: int, role: Role.ValueType) -> Member:
        """Give a member another role; ROLE_OWNER hands the room over.

        Reasons: NOT_A_MEMBER, MEMBER_NOT_FOUND, ROLE_REQUIRED, OWNER_MUST_TRANSFER.
        """
        request = UpdateMemberRequest(room_id=room_id, user_id=user_id, role=role)
        return (await self._service.update_member(request)).member

    async def members(self, room_id: int) -> AsyncIterator[Member]:
        """Members in the order in which they came; pages are read as needed. Reasons: NOT_A_MEMBER."""
        token = ""
        while True:
            request = ListMembersRequest(room_id=room_id, page_token=token)
            page = await self._service.list_members(request)
            for member in page.members:
                yield member
            if not (token := page.next_page_token):
                return
