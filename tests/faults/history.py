"""What clients did, were answered, received and read: the only thing that the judge looks at."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

Position = tuple[int, int]
"""Epoch and seq."""


@dataclass(frozen=True, slots=True)
class Change:
    """Somebody came to a room or left it."""

    joined: frozenset[int] = frozenset()
    left: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Record:
    """One event of a conversation, wherever it was met."""

    message_id: int
    conversation_id: str
    epoch: int
    seq: int
    sender_id: int
    client_message_id: str
    """Empty for changes of a room."""
    change: Change | None = None

    @property
    def position(self) -> Position:
        """What a client drops repetitions by."""
        return (self.epoch, self.seq)

    @property
    def send(self) -> tuple[str, int, str]:
        """What makes two sends the same."""
        return (self.conversation_id, self.sender_id, self.client_message_id)


@dataclass(slots=True)
class Send:
    """One message that a client meant to send, over all its attempts."""

    conversation_id: str
    sender_id: int
    client_message_id: str
    record: Record | None = None
    """What it was told; None as long as no attempt was answered with success."""
    refused: str = ""
    """Reason of the final refusal."""
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of the history."""

    conversation_id: str
    records: tuple[Record, ...]
    head: Position


@dataclass(slots=True)
class View:
    """What one device has shown, in the order in which it did."""

    user_id: int
    records: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    """By conversation."""
    pages: list[Page] = field(default_factory=list)
    """In the order in which they were read."""
    progress: dict[str, int] = field(default_factory=dict)
    """Highest seq of which any rung was reported, by conversation."""


@dataclass(slots=True)
class History:
    """A whole run."""

    sends: list[Send] = field(default_factory=list)
    """Of each sender and conversation in the order in which they were begun, one after the other."""
    views: dict[str, View] = field(default_factory=dict)
    """By device."""
    final: list[Record] = field(default_factory=list)
    """Every conversation as somebody who was always a member read it in the end, from its beginning."""
    stored: list[Record] | None = None
    """Rows of the database in the end, if somebody looked."""
    complaints: list[str] = field(default_factory=list)
    """What clients met that no client should meet."""

    def view(self, device: str, user_id: int) -> View:
        """The view of a device; a new one if it had none."""
        return self.views.setdefault(device, View(user_id))


def record_of(message: dict[str, Any]) -> Record:
    """The record of a message as HTTP and sockets show it in JSON."""
    return Record(
        int(message["id"]),
        message["conversationId"],
        int(message["epoch"]),
        int(message["seq"]),
        int(message["senderId"]),
        message.get("clientMessageId", ""),
        _change(message),
    )


def _change(message: dict[str, Any]) -> Change | None:
    room = message.get("room")
    if room is None:
        return None
    if "created" in room:
        users = {int(message["senderId"]), *map(int, room["created"].get("memberIds", []))}
        return Change(joined=frozenset(users))
    if "joined" in room:
        return Change(joined=frozenset({int(room["joined"]["userId"])}))
    if "left" in room:
        return Change(left=frozenset({int(room["left"]["userId"])}))
    return Change()
