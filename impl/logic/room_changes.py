"""Changes of rooms, as the script decides on them and everybody hears of them; without I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from im.logic.v1.room_pb2 import (
    HISTORY_POLICY_SINCE_JOIN,
    JOIN_POLICY_INVITE_ONLY,
    ROLE_ADMIN,
    ROLE_MEMBER,
    ROLE_OWNER,
    MemberJoined,
    MemberLeft,
    MemberRoleChanged,
    OwnershipTransferred,
    Role,
    RoomCreated,
    RoomEvent,
    RoomSettings,
)
from im.logic.v1.room_service_pb2 import CreateRoomRequest, UpdateRoomRequest
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from impl.logic.ids import created_ms_of
from impl.logic.permissions import RULES, Action
from impl.storage.envelope import room_conversation
from impl.storage.membership import Effect, RoomChange, RoomState, Rule

ROLE_ACTIONS: Final[Mapping[int, Action]] = {
    ROLE_MEMBER: Action.MAKE_MEMBER,
    ROLE_ADMIN: Action.MAKE_ADMIN,
    ROLE_OWNER: Action.TRANSFER,
}
"""What it is to give somebody a role."""
_ANYBODY: Final = Rule(applies={}, keeps={})
"""In a room that does not exist there is nobody to be compared with."""


def first_settings(request: CreateRoomRequest) -> RoomSettings:
    """All settings of a new room."""
    return RoomSettings(
        name=request.name,
        description=request.description,
        join=request.join or JOIN_POLICY_INVITE_ONLY,
        history=request.history or HISTORY_POLICY_SINCE_JOIN,
    )


def new_settings(request: UpdateRoomRequest, state: RoomState) -> RoomSettings:
    """Those settings of the request that are not so already."""
    settings = RoomSettings()
    for field, value in request.ListFields():
        if field.name in RoomSettings.DESCRIPTOR.fields_by_name and value != getattr(state, field.name):
            setattr(settings, field.name, value)
    return settings


def update_action(request: UpdateRoomRequest) -> Action:
    """What somebody must be allowed to do for all of the request."""
    policies = request.HasField("join") or request.HasField("history")
    return Action.CONFIGURE if policies else Action.DESCRIBE


@dataclass(frozen=True, slots=True)
class Cause:
    """Who changes a room, and the id of the event."""

    room_id: int
    actor_id: int
    event_id: int

    def creates(self, settings: RoomSettings, member_ids: Sequence[int]) -> RoomChange:
        """The actor makes the room."""
        created = RoomCreated(settings=settings, member_ids=member_ids)
        change = self._change(_ANYBODY, Effect.CREATE, RoomEvent(created=created))
        return replace(change, settings=_values(settings), member_ids=tuple(member_ids))

    def sets(self, action: Action, settings: RoomSettings) -> RoomChange:
        """The actor changes settings."""
        change = self._change(RULES[action], Effect.SET, RoomEvent(changed=settings))
        return replace(change, settings=_values(settings))

    def admits(self, action: Action, user_id: int, most_members: int) -> RoomChange:
        """Somebody comes, by themselves or because the actor adds them."""
        joined = MemberJoined(user_id=user_id, role=ROLE_MEMBER)
        change = self._change(RULES[action], Effect.JOIN, RoomEvent(joined=joined), user_id)
        return replace(change, most_members=most_members)

    def dismisses(self, action: Action, user_id: int) -> RoomChange:
        """Somebody goes, by themselves or because the actor removes them."""
        return self._change(RULES[action], Effect.LEAVE, RoomEvent(left=MemberLeft(user_id=user_id)), user_id)

    def appoints(self, user_id: int, role: Role.ValueType) -> RoomChange:
        """Somebody gets a role; to become the owner is to take the room over from the actor."""
        if role == ROLE_OWNER:
            owner = OwnershipTransferred(user_id=user_id)
            return self._change(RULES[Action.TRANSFER], Effect.TRANSFER, RoomEvent(owner=owner), user_id)
        changed = MemberRoleChanged(user_id=user_id, role=role)
        change = self._change(RULES[ROLE_ACTIONS[role]], Effect.ROLE, RoomEvent(role=changed), user_id)
        return replace(change, role=role)

    def _change(self, rule: Rule, effect: Effect, room: RoomEvent, target_id: int = 0) -> RoomChange:
        event = ConversationEvent(
            conversation_id=room_conversation(self.room_id),
            id=self.event_id,
            sender_id=self.actor_id,
            room=room,
        )
        event.created_at.FromMilliseconds(created_ms_of(self.event_id))
        return RoomChange(
            conversation_id=event.conversation_id,
            actor_id=self.actor_id,
            target_id=target_id or self.actor_id,
            rule=rule,
            effect=effect,
            event_id=self.event_id,
            created_ms=created_ms_of(self.event_id),
            event=event.SerializeToString(),
        )


def _values(settings: RoomSettings) -> dict[str, str | int]:
    return {field.name: value for field, value in settings.ListFields()}
