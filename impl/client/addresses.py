"""Ids of conversations."""

from __future__ import annotations

import re
from typing import Final

from im.logic.v1.message_service_pb2 import SendMessageRequest

_PRIVATE: Final = re.compile(r"dm\.([1-9][0-9]{0,18})\.([1-9][0-9]{0,18})", re.ASCII)
_ROOM: Final = re.compile(r"room\.([1-9][0-9]{0,18})", re.ASCII)


def private_conversation(a: int, b: int) -> str:
    """Id of the private conversation of two users, in either order; of one user with themselves too."""
    return f"dm.{min(a, b)}.{max(a, b)}"


def room_conversation(room_id: int) -> str:
    """Id of the conversation of a room."""
    return f"room.{room_id}"


def room_of(conversation_id: str) -> int | None:
    """The room of a conversation; None if it is not one of a room."""
    match = _ROOM.fullmatch(conversation_id)
    return int(match[1]) if match else None


def peer_of(conversation_id: str, user_id: int) -> int | None:
    """The other user of a private conversation, or the user themselves if there is none; None for a room."""
    match = _PRIVATE.fullmatch(conversation_id)
    if match is None:
        return None
    low, high = int(match[1]), int(match[2])
    return low if high == user_id else high


def request_to(conversation_id: str, user_id: int) -> SendMessageRequest:
    """A send to a conversation, without its content.

    Raises:
        ValueError: it is not the id of a conversation.
    """
    if (room_id := room_of(conversation_id)) is not None:
        return SendMessageRequest(room_id=room_id)
    if (peer := peer_of(conversation_id, user_id)) is not None:
        return SendMessageRequest(to_user_id=peer)
    raise ValueError(f"{conversation_id!r} is not the id of a conversation")
