"""Events as logic makes them, stamped as the accept script stamps them."""

from __future__ import annotations

from im.logic.v1.room_pb2 import (
    HISTORY_POLICY_SINCE_JOIN,
    JOIN_POLICY_OPEN,
    ROLE_MEMBER,
    HistoryPolicy,
    JoinPolicy,
    MemberJoined,
    MemberLeft,
    MemberRoleChanged,
    OwnershipTransferred,
    Role,
    RoomCreated,
    RoomEvent,
    RoomSettings,
)
from im.stream.v1.conversation_event_pb2 import ConversationEvent, Marked, MessageAccepted


def event(  # noqa: PLR0913 - by keyword
    conversation_id: str,
    seq: int,
    *,
    number: int,
    epoch: int = 1,
    sender_id: int = 1,
    name: str | None = None,
    text: str = "hello",
) -> ConversationEvent:
    made = ConversationEvent(
        conversation_id=conversation_id,
        epoch=epoch,
        seq=seq,
        id=number,
        sender_id=sender_id,
        message=MessageAccepted(client_message_id=name or f"c{number}", text=text),
    )
    made.created_at.FromMilliseconds(1_800_000_000_123)
    return made


def room_event(
    conversation_id: str, seq: int, change: RoomEvent, *, sender_id: int = 1, epoch: int = 1
) -> ConversationEvent:
    """A change of a room; its id follows from its number."""
    made = ConversationEvent(
        conversation_id=conversation_id, epoch=epoch, seq=seq, id=seq, sender_id=sender_id, room=change
    )
    made.created_at.FromMilliseconds(1_800_000_000_123)
    return made


def marked(conversation_id: str, user_id: int, *, delivered: int = 0, read: int = 0) -> ConversationEvent:
    """A mark of a member."""
    mark = Marked(user_id=user_id, delivered_seq=delivered, read_seq=read)
    return ConversationEvent(conversation_id=conversation_id, sender_id=user_id, mark=mark)


def created(
    *members: int,
    join: JoinPolicy.ValueType = JOIN_POLICY_OPEN,
    history: HistoryPolicy.ValueType = HISTORY_POLICY_SINCE_JOIN,
) -> RoomEvent:
    """The room `tea` was created with members besides the owner."""
    settings = RoomSettings(name="tea", description="black", join=join, history=history)
    return RoomEvent(created=RoomCreated(settings=settings, member_ids=members))


def joined(user: int, role: Role.ValueType = ROLE_MEMBER) -> RoomEvent:
    """Somebody came."""
    return RoomEvent(joined=MemberJoined(user_id=user, role=role))


def left(user: int) -> RoomEvent:
    """Somebody went."""
    return RoomEvent(left=MemberLeft(user_id=user))


def given(user: int, role: Role.ValueType) -> RoomEvent:
    """Somebody got a role."""
    return RoomEvent(role=MemberRoleChanged(user_id=user, role=role))


def handed_to(user: int) -> RoomEvent:
    """Somebody became the owner."""
    return RoomEvent(owner=OwnershipTransferred(user_id=user))
