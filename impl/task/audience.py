"""What is told of an event, and to whom; without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from im.connect.v1.delivery_service_pb2 import DeliverRequest
from im.logic.v1.rung_pb2 import DELIVERED, DURABLE, READ, Progress, Rung
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from impl.storage.envelope import message_of, private_members, room_of

Place = tuple[int, str]
"""A user and a conversation."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell."""

    item: DeliverRequest.Item
    """Without session ids."""
    users: tuple[int, ...] = ()
    """Whose sessions are addressed one by one."""
    room: str = ""
    """The room all of whose members hear it; empty if it is for `users` alone."""


def notices(event: ConversationEvent) -> tuple[Notice, ...]:
    """What sessions are told of an event; nothing if its kind is newer than this code."""
    match event.WhichOneof("event"):
        case "message":
            return _told(event, private_members(event.conversation_id) or ())
        case "room":
            # Who is named is addressed, too: their gateways may have had no member of the room before.
            return _told(event, _named(event))
        case "mark":
            return _marked(event)
        case _:
            return ()


def durable(user_id: int, conversation_id: str, seq: int) -> Notice:
    """The database holds what the user sent, up to this number."""
    return _progress((user_id,), conversation_id, seq, DURABLE)


def arrivals(event: ConversationEvent) -> tuple[int, ...]:
    """The users whose stay in a room begins with the event."""
    return () if event.room.HasField("left") else _named(event)


def departures(event: ConversationEvent) -> tuple[int, ...]:
    """The users whose stay in a room ends with the event."""
    return _named(event) if event.room.HasField("left") else ()


def turnover(events: Iterable[ConversationEvent]) -> tuple[list[Place], list[Place]]:
    """Those who came to rooms and those who went; who did both is in the list of what they did last."""
    present: dict[Place, bool] = {}
    for event in events:
        present |= {(user, event.conversation_id): True for user in arrivals(event)}
        present |= {(user, event.conversation_id): False for user in departures(event)}
    came = [place for place, here in present.items() if here]
    return came, [place for place, here in present.items() if not here]


def recency(
    events: Iterable[ConversationEvent], members: Mapping[str, Sequence[int]]
) -> list[tuple[int, str, int]]:
    """(user, conversation, id of its latest event), once for each user and conversation.

    Args:
        events: in any order.
        members: of rooms; those that are not in it move nobody's list.
    """
    latest: dict[str, int] = {}
    for event in events:
        if event.HasField("message") or event.HasField("room"):
            conversation = event.conversation_id
            latest[conversation] = max(event.id, latest.get(conversation, 0))
    return [
        (user, conversation, number)
        for conversation, number in latest.items()
        for user in private_members(conversation) or members.get(conversation, ())
    ]


def _told(event: ConversationEvent, users: tuple[int, ...]) -> tuple[Notice, ...]:
    room = event.conversation_id if room_of(event.conversation_id) is not None else ""
    if not room and not users:
        return ()
    item = DeliverRequest.Item(message=message_of(event), to_room=bool(room))
    if event.HasField("message"):  # its number is answered there; that of a change is not
        item.origin_session = event.origin_session
    return (Notice(item, users, room),)


def _named(event: ConversationEvent) -> tuple[int, ...]:
    """The users whose stays begin or end with the event."""
    match event.room.WhichOneof("change"):
        case "created":
            return tuple(dict.fromkeys((event.sender_id, *event.room.created.member_ids)))
        case "joined":
            return (event.room.joined.user_id,)
        case "left":
            return (event.room.left.user_id,)
        case _:
            return ()


def _marked(event: ConversationEvent) -> tuple[Notice, ...]:
    """What the other user of a private conversation and the user's own devices hear of a mark."""
    mark = event.mark
    others = tuple(user for user in private_members(event.conversation_id) or () if user != mark.user_id)
    told = []
    if others and mark.delivered_seq > mark.read_seq:  # what was read was received
        told.append(_progress(others, event.conversation_id, mark.delivered_seq, DELIVERED, mark.user_id))
    if mark.read_seq:
        told.append(
            _progress((*others, mark.user_id), event.conversation_id, mark.read_seq, READ, mark.user_id)
        )
    return tuple(told)


def _progress(
    users: tuple[int, ...], conversation_id: str, seq: int, state: Rung.ValueType, by: int = 0
) -> Notice:
    progress = Progress(conversation_id=conversation_id, seq=seq, state=state, user_id=by)
    return Notice(DeliverRequest.Item(progress=progress), users)
