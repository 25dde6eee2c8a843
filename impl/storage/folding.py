"""What events do to rooms and memberships; without I/O.

Every row says which number it has seen last, so events may come again, late, or in two overlapping batches.
Marks only ever grow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypedDict

from im.logic.v1.room_pb2 import (
    HISTORY_POLICY_SINCE_JOIN,
    JOIN_POLICY_INVITE_ONLY,
    ROLE_ADMIN,
    ROLE_MEMBER,
    ROLE_OWNER,
    RoomSettings,
)
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from impl.storage.envelope import created_ms, private_members

MemberKey = tuple[int, str]
"""User, conversation."""


class RoomValues(TypedDict):
    """A row of the table of rooms."""

    conversation_id: str
    name: str
    description: str
    join_policy: int
    history_policy: int
    created_by: int
    created_at: int
    changed_seq: int


class MembershipValues(TypedDict):
    """A row of the table of memberships."""

    user_id: int
    conversation_id: str
    joined_seq: int
    left_seq: int | None
    read_seq: int
    delivered_seq: int
    role: int
    changed_seq: int


@dataclass(slots=True)
class Members:
    """Rows that a batch of events concerns; `apply` changes them.

    Before the first event, put in those that are stored: all of `concerned` for memberships, and the rooms.
    """

    rooms: dict[str, RoomValues] = field(default_factory=dict)
    memberships: dict[MemberKey, MembershipValues] = field(default_factory=dict)
    changed_rooms: set[str] = field(default_factory=set)
    changed_memberships: set[MemberKey] = field(default_factory=set)

    def apply(self, event: ConversationEvent) -> None:
        """Folds one event; those of a conversation in the order of the stream."""
        match event.WhichOneof("event"):
            case "message":
                self._welcome_pair(event.conversation_id)
                self._mark(event.conversation_id, event.sender_id, event.seq, event.seq)
            case "mark":
                mark = event.mark
                self._mark(event.conversation_id, mark.user_id, mark.delivered_seq, mark.read_seq)
            case "room":
                self._change_room(event)
            case _:
                self._welcome_pair(event.conversation_id)

    def _welcome_pair(self, conversation_id: str) -> None:
        """A private conversation's members are known by its id, and are there from the start."""
        for user in private_members(conversation_id) or ():
            if (user, conversation_id) not in self.memberships:
                self._put(_membership(user, conversation_id, ROLE_MEMBER, joined=0, changed=0))

    def _mark(self, conversation_id: str, user_id: int, delivered: int, read: int) -> None:
        row = self.memberships.get((user_id, conversation_id))
        if row is None:
            return
        delivered, read = max(row["delivered_seq"], delivered, read), max(row["read_seq"], read)
        if (delivered, read) != (row["delivered_seq"], row["read_seq"]):
            self._put({**row, "delivered_seq": delivered, "read_seq": read})

    def _change_room(self, event: ConversationEvent) -> None:
        change = event.room
        match change.WhichOneof("change"):
            case "created":
                self._settings(event, change.created.settings, created=True)
                self._join(event, event.sender_id, ROLE_OWNER)
                for user in change.created.member_ids:
                    self._join(event, user, ROLE_MEMBER)
            case "changed":
                self._settings(event, change.changed, created=False)
            case "joined":
                self._join(event, change.joined.user_id, change.joined.role or ROLE_MEMBER)
            case "left":
                self._leave(event, change.left.user_id)
            case "role":
                self._role(event, change.role.user_id, change.role.role)
            case "owner":
                self._role(event, change.owner.user_id, ROLE_OWNER)
                self._role(event, event.sender_id, ROLE_ADMIN)

    def _settings(self, event: ConversationEvent, settings: RoomSettings, *, created: bool) -> None:
        name = event.conversation_id
        row = self.rooms.get(name)
        if row is not None and row["changed_seq"] >= event.seq:
            return
        fresh = row or _room(event, created_by=event.sender_id if created else 0)
        self.rooms[name] = {
            **fresh,
            "name": settings.name if settings.HasField("name") else fresh["name"],
            "description": (
                settings.description if settings.HasField("description") else fresh["description"]
            ),
            "join_policy": settings.join if settings.HasField("join") else fresh["join_policy"],
            "history_policy": settings.history if settings.HasField("history") else fresh["history_policy"],
            "changed_seq": event.seq,
        }
        self.changed_rooms.add(name)

    def _join(self, event: ConversationEvent, user_id: int, role: int) -> None:
        row = self._older(event, user_id)
        if row is not None:
            begin = {"role": role, "joined_seq": event.seq, "left_seq": None, "changed_seq": event.seq}
            self._put(MembershipValues(**{**row, **begin}))  # type: ignore[typeddict-item]
            # Nothing before is unread, nor is one's own coming.
            read = event.seq if user_id == event.sender_id else event.seq - 1
            self._mark(event.conversation_id, user_id, read, read)

    def _leave(self, event: ConversationEvent, user_id: int) -> None:
        row = self._older(event, user_id)
        if row is not None:
            self._put({**row, "left_seq": event.seq + 1, "changed_seq": event.seq})

    def _role(self, event: ConversationEvent, user_id: int, role: int) -> None:
        row = self._older(event, user_id)
        if row is not None:
            self._put({**row, "role": role, "changed_seq": event.seq})

    def _older(self, event: ConversationEvent, user_id: int) -> MembershipValues | None:
        """The row as it was before the event; None if it has seen the event already.

        A row is new with the first event that is seen of its user.
        """
        row = self.memberships.get((user_id, event.conversation_id))
        if row is None:
            return _membership(user_id, event.conversation_id, ROLE_MEMBER, joined=event.seq, changed=0)
        return None if row["changed_seq"] >= event.seq else row

    def _put(self, row: MembershipValues) -> None:
        key = row["user_id"], row["conversation_id"]
        self.memberships[key] = row
        self.changed_memberships.add(key)


def concerned(events: Iterable[ConversationEvent]) -> Iterator[MemberKey]:
    """Memberships that the events may change, some of them more than once."""
    for event in events:
        for user in _users(event):
            yield user, event.conversation_id


def _users(event: ConversationEvent) -> Iterable[int]:
    if event.HasField("mark"):
        return (event.mark.user_id,)
    if event.HasField("room"):
        return _changed_users(event)
    return private_members(event.conversation_id) or (event.sender_id,)


def _changed_users(event: ConversationEvent) -> Iterable[int]:
    change = event.room
    match change.WhichOneof("change"):
        case "created":
            return (event.sender_id, *change.created.member_ids)
        case "joined" | "left" | "role" as kind:
            return (getattr(change, kind).user_id,)
        case "owner":
            return (event.sender_id, change.owner.user_id)
    return ()


def _membership(
    user_id: int, conversation_id: str, role: int, *, joined: int, changed: int
) -> MembershipValues:
    return {
        "user_id": user_id,
        "conversation_id": conversation_id,
        "joined_seq": joined,
        "left_seq": None,
        "read_seq": 0,
        "delivered_seq": 0,
        "role": role,
        "changed_seq": changed,
    }


def _room(event: ConversationEvent, *, created_by: int) -> RoomValues:
    """As empty as a room may be: the event that made it could not be stored if this one is not it."""
    return {
        "conversation_id": event.conversation_id,
        "name": "",
        "description": "",
        "join_policy": JOIN_POLICY_INVITE_ONLY,
        "history_policy": HISTORY_POLICY_SINCE_JOIN,
        "created_by": created_by,
        "created_at": created_ms(event.created_at),
        "changed_seq": 0,
    }
