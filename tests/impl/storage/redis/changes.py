"""Changes of rooms that tests make."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from im.logic.v1.room_pb2 import (
    HISTORY_POLICY_SINCE_JOIN,
    JOIN_POLICY_INVITE_ONLY,
    ROLE_MEMBER,
    MemberJoined,
    MemberLeft,
    MemberRoleChanged,
    OwnershipTransferred,
    RoomCreated,
    RoomEvent,
    RoomSettings,
)
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from impl.storage.membership import Effect, RoomChange, Rule, Standing

ROOM = "room.7"
NOBODY = Rule(applies={}, keeps={})
EVERYBODY = Rule(applies={actor: frozenset(Standing) for actor in Standing}, keeps={})
"""Lets everybody do everything to everybody."""

_ids = itertools.count(1 << 59)


def create(
    owner: int = 1, *members: int, room: str = ROOM, join: int = JOIN_POLICY_INVITE_ONLY
) -> RoomChange:
    settings: dict[str, Any] = {
        "name": "Lobby",
        "description": 'Where\nall "meet" \0 ✓',
        "join": join,
        "history": HISTORY_POLICY_SINCE_JOIN,
    }
    event = RoomEvent(created=RoomCreated(settings=RoomSettings(**settings), member_ids=members))
    return change(Effect.CREATE, owner, owner, event, room=room, settings=settings, member_ids=members)


def join(actor: int, target: int | None = None, *, rule: Rule = EVERYBODY, **more: Any) -> RoomChange:
    user = target or actor
    event = RoomEvent(joined=MemberJoined(user_id=user, role=ROLE_MEMBER))
    return change(Effect.JOIN, actor, user, event, rule=rule, **more)


def leave(actor: int, target: int | None = None, *, rule: Rule = EVERYBODY, **more: Any) -> RoomChange:
    user = target or actor
    return change(Effect.LEAVE, actor, user, RoomEvent(left=MemberLeft(user_id=user)), rule=rule, **more)


def role(actor: int, target: int, given: int, *, rule: Rule = EVERYBODY, **more: Any) -> RoomChange:
    event = RoomEvent(role=MemberRoleChanged(user_id=target, role=given))  # type: ignore[arg-type]
    return change(Effect.ROLE, actor, target, event, rule=rule, role=given, **more)


def transfer(actor: int, target: int, *, rule: Rule = EVERYBODY, **more: Any) -> RoomChange:
    event = RoomEvent(owner=OwnershipTransferred(user_id=target))
    return change(Effect.TRANSFER, actor, target, event, rule=rule, **more)


def configure(
    actor: int, settings: Mapping[str, str | int], *, rule: Rule = EVERYBODY, **more: Any
) -> RoomChange:
    event = RoomEvent(changed=RoomSettings(**settings))  # type: ignore[arg-type]
    return change(Effect.SET, actor, actor, event, rule=rule, settings=settings, **more)


def change(  # noqa: PLR0913 - by keyword
    effect: Effect,
    actor: int,
    target: int,
    event: RoomEvent,
    *,
    rule: Rule = NOBODY,
    room: str = ROOM,
    **more: Any,
) -> RoomChange:
    """A change with an id of its own."""
    number = next(_ids)
    envelope = ConversationEvent(conversation_id=room, id=number, sender_id=actor, room=event)
    return RoomChange(
        conversation_id=room,
        actor_id=actor,
        target_id=target,
        rule=rule,
        effect=effect,
        event_id=number,
        created_ms=number % 997,
        event=envelope.SerializeToString(),
        **more,
    )
