"""Rooms and their members."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from im.logic.v1.room_pb2 import Member, Role, Room, RoomSettings


class Rooms:
    """What a user does with rooms; every change comes back as an event of the room too.

    Reasons of all methods: ROOM_NOT_FOUND.
    """

    def conversation(self, room_id: int) -> str:
        """Id of the conversation of a room."""
        raise NotImplementedError

    async def create(self, settings: RoomSettings, member_ids: Sequence[int] = ()) -> Room:
        """Create a room that this user owns: once, though an answer may be lost on the way.

        Reasons: USER_NOT_FOUND, TOO_MANY_ROOMS.
        """
        raise NotImplementedError

    async def get(self, room_id: int) -> Room:
        """A room. Reasons: NOT_A_MEMBER."""
        raise NotImplementedError

    async def update(self, room_id: int, settings: RoomSettings) -> Room:
        """Change the settings that are present. Reasons: NOT_A_MEMBER, ROLE_REQUIRED."""
        raise NotImplementedError

    async def join(self, room_id: int) -> Member:
        """Become a member. Reasons: INVITE_ONLY, ROOM_FULL, TOO_MANY_ROOMS."""
        raise NotImplementedError

    async def leave(self, room_id: int) -> None:
        """Be a member no longer. Reasons: NOT_A_MEMBER, OWNER_MUST_TRANSFER."""
        raise NotImplementedError

    async def add(self, room_id: int, user_id: int) -> Member:
        """Make a user a member.

        Reasons: USER_NOT_FOUND, NOT_A_MEMBER, ROLE_REQUIRED, ROOM_FULL, TOO_MANY_ROOMS.
        """
        raise NotImplementedError

    async def remove(self, room_id: int, user_id: int) -> None:
        """Remove a member. Reasons: NOT_A_MEMBER, MEMBER_NOT_FOUND, ROLE_REQUIRED, OWNER_MUST_TRANSFER."""
        raise NotImplementedError

    async def set_role(self, room_id: int, user_id: int, role: Role.ValueType) -> Member:
        """Give a member another role; ROLE_OWNER hands the room over.

        Reasons: NOT_A_MEMBER, MEMBER_NOT_FOUND, ROLE_REQUIRED, OWNER_MUST_TRANSFER.
        """
        raise NotImplementedError

    def members(self, room_id: int) -> AsyncIterator[Member]:
        """Members in the order in which they came; pages are read as needed. Reasons: NOT_A_MEMBER."""
        raise NotImplementedError
