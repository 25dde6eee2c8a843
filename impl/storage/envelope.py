"""What an envelope means: pure functions shared by the tiers."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from im.logic.v1.message_pb2 import Message, Tombstone
from im.stream.v1.conversation_event_pb2 import ConversationEvent

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

_PRIVATE_ID = re.compile(r"dm\.([1-9][0-9]{0,18})\.([1-9][0-9]{0,18})", re.ASCII)
_ROOM_ID = re.compile(r"room\.([1-9][0-9]{0,18})", re.ASCII)
_LARGEST_ID = (1 << 63) - 1


def message_of(event: ConversationEvent) -> Message:
    """The message of an event, as everybody sees it.

    A tombstone keeps the ids by which clients recognise a repetition, and has no text. A change of a room has
    neither text nor a client message id.
    """
    message = Message(
        id=event.id,
        conversation_id=event.conversation_id,
        epoch=event.epoch,
        seq=event.seq,
        sender_id=event.sender_id,
        client_message_id=event.message.client_message_id,
        created_at=event.created_at,
    )
    if event.HasField("tombstone"):
        message.tombstone.CopyFrom(event.tombstone)
    elif event.HasField("room"):
        message.room.CopyFrom(event.room)
    else:
        message.text = event.message.text
    return message


def tombstoned(envelope: bytes, duplicate_of: int) -> bytes:
    """The same envelope, marked as a late repetition of the message `duplicate_of`.

    Concatenated serializations merge, so everything else stays as it was accepted.
    """
    mark = ConversationEvent(tombstone=Tombstone(duplicate_of=duplicate_of))
    return envelope + mark.SerializeToString()


def private_id(a: int, b: int) -> str:
    """Id of the private conversation of two users, in either order; of one user with themselves too."""
    return f"dm.{min(a, b)}.{max(a, b)}"


def private_members(conversation_id: str) -> tuple[int, ...] | None:
    """The users of a private conversation, ascending; None if this is not exactly such an id."""
    match = _PRIVATE_ID.fullmatch(conversation_id)
    if match is None:
        return None
    low, high = int(match[1]), int(match[2])
    if low > high or high > _LARGEST_ID:
        return None
    return (low,) if low == high else (low, high)


def room_conversation(room_id: int) -> str:
    """Id of a room's conversation."""
    return f"room.{room_id}"


def room_of(conversation_id: str) -> int | None:
    """The room of a conversation; None if this is not exactly the id of a room's."""
    match = _ROOM_ID.fullmatch(conversation_id)
    room_id = int(match[1]) if match else None
    return None if room_id is None or room_id > _LARGEST_ID else room_id


def payload_hash(conversation_id: str, text: str) -> bytes:
    """Identity of a send's payload, over named fields and never over wire bytes; 16 bytes."""
    digest = hashlib.blake2b(digest_size=16)
    for field in (conversation_id, text):
        data = field.encode()
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.digest()


def created_ms(created_at: Timestamp) -> int:
    """Milliseconds since the Unix epoch."""
    return created_at.seconds * 1000 + created_at.nanos // 1_000_000
