"""Events as they come from the stream."""

from __future__ import annotations

from im.logic.v1.room_pb2 import (
    HISTORY_POLICY_SINCE_JOIN,
    JOIN_POLICY_OPEN,
    ROLE_MEMBER,
    MemberJoined,
    MemberLeft,
    RoomCreated,
    RoomEvent,
    RoomSettings,
)
from im.stream.v1.conversation_event_pb2 import ConversationEvent, Marked, MessageAccepted

from codegen.runtime.streams.delivery import Delivery
from impl.storage.envelope import private_id, room_conversation

ROOM = room_conversation(77)


def event(  # noqa: PLR0913 - what a test says of a message
    number: int, *, sender: int = 1, to: int = 2, seq: int = 1, origin: str = "", conversation: str = ""
) -> ConversationEvent:
    """A message, in the private conversation of two users unless told."""
    return ConversationEvent(
        conversation_id=conversation or private_id(sender, to),
        epoch=1,
        seq=seq,
        id=number,
        sender_id=sender,
        origin_session=origin,
        message=MessageAccepted(client_message_id=f"c{number}", text=f"text {number}"),
    )


def said(
    number: int, *, sender: int = 1, seq: int = 1, origin: str = "", room: str = ROOM
) -> ConversationEvent:
    """A message in a room."""
    return event(number, sender=sender, seq=seq, origin=origin, conversation=room)


def changed(
    number: int, change: RoomEvent, *, by: int = 1, seq: int = 1, room: str = ROOM
) -> ConversationEvent:
    """A change of a room."""
    return ConversationEvent(conversation_id=room, epoch=1, seq=seq, id=number, sender_id=by, room=change)


def created(number: int, by: int, *members: int, room: str = ROOM) -> ConversationEvent:
    settings = RoomSettings(
        name="Bridge", description="", join=JOIN_POLICY_OPEN, history=HISTORY_POLICY_SINCE_JOIN
    )
    change = RoomEvent(created=RoomCreated(settings=settings, member_ids=members))
    return changed(number, change, by=by, room=room)


def joined(number: int, user: int, *, by: int = 1, seq: int = 2, room: str = ROOM) -> ConversationEvent:
    change = RoomEvent(joined=MemberJoined(user_id=user, role=ROLE_MEMBER))
    return changed(number, change, by=by, seq=seq, room=room)


def left(number: int, user: int, *, by: int = 1, seq: int = 3, room: str = ROOM) -> ConversationEvent:
    return changed(number, RoomEvent(left=MemberLeft(user_id=user)), by=by, seq=seq, room=room)


def marked(user: int, conversation: str, *, delivered: int = 0, read: int = 0) -> ConversationEvent:
    mark = Marked(user_id=user, delivered_seq=delivered, read_seq=read)
    return ConversationEvent(conversation_id=conversation, sender_id=user, mark=mark)


def batch_of(
    *events: ConversationEvent, partition: int = 0, token: int = 1
) -> list[Delivery[ConversationEvent]]:
    return [
        Delivery(event, f"{number}-0", partition, token, number, redelivered=False)
        for number, event in enumerate(events, 1)
    ]
