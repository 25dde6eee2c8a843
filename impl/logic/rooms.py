"""Rooms and their members."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from im.errors.v1.reason_errors import MEMBER_NOT_FOUND, ROOM_FULL, ROOM_NOT_FOUND, TOO_MANY_ROOMS
from im.logic.v1.room_pb2 import Member, Room, RoomSettings
from im.logic.v1.room_service_pb2 import (
    AddMemberRequest,
    AddMemberResponse,
    CreateRoomRequest,
    CreateRoomResponse,
    GetRoomRequest,
    GetRoomResponse,
    ListMembersRequest,
    ListMembersResponse,
    RemoveMemberRequest,
    RemoveMemberResponse,
    UpdateMemberRequest,
    UpdateMemberResponse,
    UpdateRoomRequest,
    UpdateRoomResponse,
)

from codegen.runtime.context import Context
from codegen.runtime.errors import Error
from impl.logic.accounts import Accounts, caller_id
from impl.logic.permissions import Action, denial, require, standing_of
from impl.logic.profiles import Profiles
from impl.logic.room_changes import ROLE_ACTIONS, Cause, first_settings, new_settings, update_action
from impl.logic.views import member_message, room_message
from impl.logic.workers import Ids
from impl.storage.conversations import Conversations
from impl.storage.envelope import room_conversation
from impl.storage.membership import Changed, Denied, Membership, Overview, RoomChange, RoomState

PAGE_SIZE = 100
_DIGEST_BYTES = 16

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """How much of everything there may be. Calls at the same moment may exceed `rooms_of_user` by a few."""

    members_of_room: int
    rooms_of_user: int


class RoomDirectory:
    """Implements im.logic.v1.RoomService.

    Who may do what is decided by the script that gives changes their numbers, with the rules it is handed.
    """

    def __init__(
        self,
        accounts: Accounts,
        profiles: Profiles,
        ids: Ids,
        conversations: Conversations,
        limits: RoomLimits,
    ) -> None:
        self._accounts = accounts
        self._profiles = profiles
        self._ids = ids
        self._conversations = conversations
        self._limits = limits

    async def create_room(self, request: CreateRoomRequest, context: Context) -> CreateRoomResponse:
        """Makes the room, or gives the one that the same request made before, as it is now."""
        owner = caller_id(context)
        members = tuple(user_id for user_id in request.member_ids if user_id != owner)
        settings = first_settings(request)
        room_id = fresh = self._ids.next()
        if name := request.client_request_id:
            digest = _digest(settings, members)
            room_id = await self._conversations.reserve_room(owner, name, fresh, digest)
        if room_id == fresh or not await self._overview(owner, room_id):
            await self._create(Cause(room_id, owner, room_id), settings, members)
        return CreateRoomResponse(room=await self._shown(owner, room_id))

    async def get_room(self, request: GetRoomRequest, context: Context) -> GetRoomResponse:
        """The room."""
        return GetRoomResponse(room=await self._shown(caller_id(context), request.room_id))

    async def update_room(self, request: UpdateRoomRequest, context: Context) -> UpdateRoomResponse:
        """Changes what is not so already; a request that changes nothing takes no number."""
        actor, action = caller_id(context), update_action(request)
        state, membership = await self._seat(actor, request.room_id)
        require(action, standing_of(membership, state))
        settings = new_settings(request, state)
        if settings.ListFields():
            await self._change(action, self._cause(request.room_id, actor).sets(action, settings))
        return UpdateRoomResponse(room=await self._shown(actor, request.room_id))

    async def add_member(self, request: AddMemberRequest, context: Context) -> AddMemberResponse:
        """Lets the caller or somebody else in."""
        actor, user_id = caller_id(context), request.user_id
        action = Action.JOIN if user_id == actor else Action.ADD
        await self._require_users(action, actor, user_id, request.room_id)
        await self._require_place(action, actor, user_id, request.room_id)
        cause = self._cause(request.room_id, actor)
        change = cause.admits(action, user_id, self._limits.members_of_room)
        changed = await self._change(action, change)
        await self._conversations.add_room(user_id, change.conversation_id)
        return AddMemberResponse(member=await self._member(changed))

    async def list_members(self, request: ListMembersRequest, context: Context) -> ListMembersResponse:
        """A page of those who are there, in the order in which they came."""
        state, membership = await self._seat(caller_id(context), request.room_id)
        require(Action.LIST, standing_of(membership, state))
        page, token = await self._conversations.roster(
            room_conversation(request.room_id), request.page_token, request.page_size or PAGE_SIZE
        )
        users = await self._profiles.of(member.user_id for member in page)
        members = [member_message(member, users[member.user_id]) for member in page]
        return ListMembersResponse(members=members, next_page_token=token)

    async def update_member(self, request: UpdateMemberRequest, context: Context) -> UpdateMemberResponse:
        """Gives a role; the owner gives theirs away."""
        cause = self._cause(request.room_id, caller_id(context))
        change = cause.appoints(request.user_id, request.role)
        changed = await self._change(ROLE_ACTIONS[request.role], change)
        return UpdateMemberResponse(member=await self._member(changed))

    async def remove_member(self, request: RemoveMemberRequest, context: Context) -> RemoveMemberResponse:
        """Lets the caller or somebody else go."""
        actor = caller_id(context)
        action = Action.LEAVE if request.user_id == actor else Action.REMOVE
        cause = self._cause(request.room_id, actor)
        await self._change(action, cause.dismisses(action, request.user_id))
        return RemoveMemberResponse()

    async def _create(self, cause: Cause, settings: RoomSettings, members: tuple[int, ...]) -> None:
        change = cause.creates(settings, members)
        everybody = (cause.actor_id, *members)
        if len(everybody) > self._limits.members_of_room:
            raise Error(ROOM_FULL, "the room would have more members than it may have")
        await self._accounts.require(everybody)
        if crowded := await self._without_place(everybody, change.conversation_id):
            raise _too_many_rooms(crowded)
        await self._conversations.change(change)
        await self._conversations.update_rooms(
            [(user_id, change.conversation_id) for user_id in everybody], []
        )
        _logger.info("user %d created room %d", cause.actor_id, cause.room_id)

    def _cause(self, room_id: int, actor_id: int) -> Cause:
        return Cause(room_id, actor_id, self._ids.next())

    async def _change(self, action: Action, change: RoomChange) -> Changed:
        try:
            return await self._conversations.change(change)
        except Denied as denied:
            raise denial(action, denied.actor, denied.target) from None

    async def _require_users(self, action: Action, actor_id: int, user_id: int, room_id: int) -> None:
        """Error USER_NOT_FOUND, but only to those who could let somebody in."""
        try:
            await self._accounts.require((actor_id, user_id))
        except Error:
            state, membership = await self._seat(actor_id, room_id)
            require(action, standing_of(membership, state), standing_of(None, state))
            raise

    async def _require_place(self, action: Action, actor_id: int, user_id: int, room_id: int) -> None:
        """Error TOO_MANY_ROOMS if the user could be let in but for that."""
        if await self._without_place([user_id], room_conversation(room_id)):
            state, membership = await self._seat(actor_id, room_id)
            require(action, standing_of(membership, state), standing_of(None, state))
            raise _too_many_rooms(user_id)

    async def _without_place(self, user_ids: Sequence[int], conversation_id: str) -> int | None:
        """One of the users who is in as many rooms as one may be, and not in this one; None if nobody is."""
        counts = await self._conversations.room_counts(user_ids)
        for user_id, most in counts.items():
            if most >= self._limits.rooms_of_user and await self._is_full(user_id, conversation_id):
                return user_id
        return None

    async def _is_full(self, user_id: int, conversation_id: str) -> bool:
        rooms = await self._conversations.rooms_of(user_id)
        if conversation_id in rooms:
            return False
        views = await self._conversations.overview(user_id, rooms)
        present = [view for view in views.values() if view.membership and view.membership.present]
        return len(present) >= self._limits.rooms_of_user

    async def _overview(self, user_id: int, room_id: int) -> Overview | None:
        conversation_id = room_conversation(room_id)
        return (await self._conversations.overview(user_id, [conversation_id])).get(conversation_id)

    async def _seat(self, user_id: int, room_id: int) -> tuple[RoomState, Membership | None]:
        """The room and the user's present or last stay. Error ROOM_NOT_FOUND, also if everybody has left."""
        view = await self._overview(user_id, room_id)
        if view is None or view.room is None or not view.room.member_count:
            raise Error(ROOM_NOT_FOUND, "there is no such room")
        return view.room, view.membership

    async def _shown(self, user_id: int, room_id: int) -> Room:
        """The room, if the user may see it. Error ROOM_NOT_FOUND, NOT_A_MEMBER."""
        state, membership = await self._seat(user_id, room_id)
        require(Action.LOOK, standing_of(membership, state))
        return room_message(room_id, state, membership)

    async def _member(self, changed: Changed) -> Member:
        if changed.target is None:
            raise Error(MEMBER_NOT_FOUND, "the user is not a member of the room")
        user_id = changed.target.user_id
        return member_message(changed.target, (await self._profiles.of([user_id]))[user_id])


def _digest(settings: RoomSettings, member_ids: tuple[int, ...]) -> bytes:
    """Identity of what is asked for, over named values."""
    values = [settings.name, settings.description, settings.join, settings.history, sorted(member_ids)]
    return hashlib.blake2b(json.dumps(values).encode(), digest_size=_DIGEST_BYTES).digest()


def _too_many_rooms(user_id: int) -> Error:
    return Error(TOO_MANY_ROOMS, f"user {user_id} is in as many rooms as one may be")
