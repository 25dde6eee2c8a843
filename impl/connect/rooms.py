"""Which members of rooms are online in this process; without I/O.

What is known comes from events and from lists that logic gives. Both may be late, events may come twice: what
has a higher number counts. A list says nothing of what has changed here since it was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from im.logic.v1.message_pb2 import Message


@dataclass(slots=True, eq=False)
class Reading:
    """A list of a user's rooms that is being read."""

    user_id: int
    moved: set[str] = field(default_factory=set)
    """Rooms of which events have told since it was asked for."""


@dataclass(slots=True)
class _Room:
    conversation_id: str
    members: dict[int, int] = field(default_factory=dict)
    """Users online who are members now, to the numbers of the events by which they came."""


class RoomIndex:
    """Rooms and their members among the users who are online here. Of others it learns nothing."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}
        self._users: dict[int, dict[str, int]] = {}
        """User to room to the number of the event last known of: of joining, or minus that of leaving."""
        self._readings: dict[int, list[Reading]] = {}

    @property
    def rooms(self) -> KeysView[str]:
        """Conversations of rooms that have members here."""
        return self._rooms.keys()

    def online(self, user_id: int) -> None:
        """The user's first session is here."""
        self._users.setdefault(user_id, {})

    def offline(self, user_id: int) -> None:
        """The user's last session is gone; lists that are being read are worth nothing now."""
        for conversation_id in self._users.pop(user_id, ()):
            self._withdraw(user_id, conversation_id)
        self._readings.pop(user_id, None)

    def knows(self, user_id: int, conversation_id: str) -> bool:
        """Whether it is known if the user, who is online, is a member."""
        return conversation_id in self._users.get(user_id, ())

    def members(self, conversation_id: str) -> list[int]:
        """The members here."""
        room = self._rooms.get(conversation_id)
        return list(room.members) if room else []

    def audience(self, conversation_id: str, seq: int) -> list[int]:
        """The members here who receive the event of this number."""
        room = self._rooms.get(conversation_id)
        return [user for user, joined in room.members.items() if joined <= seq] if room else []

    def came(self, user_id: int, conversation_id: str, seq: int) -> None:
        """An event tells that the user joined by it."""
        self._moved(user_id, conversation_id)
        self._enter(user_id, conversation_id, seq)

    def went(self, user_id: int, conversation_id: str, seq: int) -> None:
        """An event tells that the user left by it."""
        self._moved(user_id, conversation_id)
        known = self._users.get(user_id)
        if known is not None and abs(known.get(conversation_id, 0)) < seq:
            known[conversation_id] = -seq
            self._withdraw(user_id, conversation_id)

    @contextmanager
    def reading(self, user_id: int) -> Iterator[Reading]:
        """While a list of the user's rooms is asked for."""
        reading = Reading(user_id)
        self._readings.setdefault(user_id, []).append(reading)
        try:
            yield reading
        finally:
            readings = self._readings.get(user_id, [])
            if reading in readings:
                readings.remove(reading)
            if not readings:
                self._readings.pop(user_id, None)

    def settle(self, reading: Reading, joined: Mapping[str, int]) -> None:
        """The list is there: rooms to the numbers of the events by which the user came."""
        user_id = reading.user_id
        if reading not in self._readings.get(user_id, ()):
            return
        for conversation_id, seq in joined.items():
            self._enter(user_id, conversation_id, seq)
        known = self._users.get(user_id, {})
        gone = [room for room, seq in known.items() if seq > 0 and room not in joined]
        for conversation_id in gone:
            if conversation_id not in reading.moved:
                del known[conversation_id]
                self._withdraw(user_id, conversation_id)

    def _enter(self, user_id: int, conversation_id: str, seq: int) -> None:
        known = self._users.get(user_id)
        if known is None or abs(known.get(conversation_id, 0)) >= seq:
            return
        room = self._rooms.get(conversation_id)
        if room is None:
            room = self._rooms[conversation_id] = _Room(conversation_id)
        room.members[user_id] = seq
        known[room.conversation_id] = seq

    def _withdraw(self, user_id: int, conversation_id: str) -> None:
        room = self._rooms.get(conversation_id)
        if room is not None and room.members.pop(user_id, None) is not None and not room.members:
            del self._rooms[conversation_id]

    def _moved(self, user_id: int, conversation_id: str) -> None:
        for reading in self._readings.get(user_id, ()):
            reading.moved.add(conversation_id)


def arrivals(message: Message) -> list[int]:
    """The users who become members by an event of a room."""
    match message.room.WhichOneof("change"):
        case "created":
            return [message.sender_id, *message.room.created.member_ids]
        case "joined":
            return [message.room.joined.user_id]
        case _:
            return []


def departures(message: Message) -> list[int]:
    """The users who are members no longer after an event of a room."""
    left = message.room.WhichOneof("change") == "left"
    return [message.room.left.user_id] if left else []
