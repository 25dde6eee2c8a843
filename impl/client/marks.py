"""How far the members of one conversation have come, as this client knows it. Pure.

Marks are numbers alone, for seq grows over epochs too. They only move ahead.
"""

from __future__ import annotations

from dataclasses import dataclass

from im.logic.v1.message_pb2 import Head, Message
from im.logic.v1.rung_pb2 import ACCEPTED, DELIVERED, DURABLE, READ, Progress, Rung


@dataclass(slots=True)
class Marks:
    """Marks of one conversation.

    `note` methods return whether the user's own read mark has moved, and the rungs to which own messages have
    come by it, each with its number.
    """

    me: int
    peer: int | None
    """The other user of a private conversation; oneself in one with oneself, None in a room."""
    last_seq: int = 0
    first_seq: int = 1
    """Lowest number that the user may read."""
    read_seq: int = 0
    durable_seq: int = 0
    peer_delivered_seq: int = 0
    peer_read_seq: int = 0

    @property
    def unread_count(self) -> int:
        """Numbers above the read mark."""
        return max(0, self.last_seq - max(self.read_seq, self.first_seq - 1))

    @property
    def between_two(self) -> bool:
        """Whether there is somebody whose marks matter: not in rooms, not in a conversation with oneself."""
        return self.peer is not None and self.peer != self.me

    def rung(self, seq: int) -> Rung.ValueType:
        """How far an own message has come."""
        if self.between_two and seq <= self.peer_read_seq:
            return READ
        if self.between_two and seq <= self.peer_delivered_seq:
            return DELIVERED
        return DURABLE if seq <= self.durable_seq else ACCEPTED

    def note_head(self, head: Head) -> Moved:
        """The service says how far everybody is."""
        self.first_seq = head.first_seq or self.first_seq
        delivered = max(head.peer_delivered_seq, head.peer_read_seq)
        return self._move(head.seq, head.read_seq, head.durable_seq, delivered, head.peer_read_seq)

    def note_message(self, message: Message) -> Moved:
        """An event has its number: who sends a message has read what was before; a change says nothing."""
        author = 0 if message.HasField("room") else message.sender_id
        read = message.seq if author == self.me else 0
        peer_read = message.seq if self.between_two and author == self.peer else 0
        return self._move(message.seq, read, 0, peer_read, peer_read)

    def note_progress(self, progress: Progress) -> Moved:
        """Somebody has received or read, or the database has everything up to a number."""
        seq, theirs = progress.seq, progress.user_id == self.peer and self.between_two
        return self._move(
            0,
            read=seq if progress.state == READ and progress.user_id == self.me else 0,
            durable=seq if progress.state == DURABLE else 0,
            delivered=seq if theirs and progress.state in (DELIVERED, READ) else 0,
            peer_read=seq if theirs and progress.state == READ else 0,
        )

    def note_read(self, seq: int) -> Moved:
        """This user has read up to a number."""
        return self._move(0, seq, 0, 0, 0)

    def _move(self, last: int, read: int, durable: int, delivered: int, peer_read: int) -> Moved:
        before = (self.read_seq, self.durable_seq, self.peer_delivered_seq, self.peer_read_seq)
        self.last_seq = max(self.last_seq, last)
        self.read_seq = max(self.read_seq, read)
        self.durable_seq = max(self.durable_seq, durable)
        self.peer_delivered_seq = max(self.peer_delivered_seq, delivered)
        self.peer_read_seq = max(self.peer_read_seq, peer_read)
        after = (self.read_seq, self.durable_seq, self.peer_delivered_seq, self.peer_read_seq)
        rungs = ((DURABLE, 1), (DELIVERED, 2), (READ, 3)) if self.between_two else ((DURABLE, 1),)
        moved = tuple((rung, after[place]) for rung, place in rungs if after[place] > before[place])
        return Moved(after[0] > before[0], moved)


@dataclass(frozen=True, slots=True)
class Moved:
    """What a note has changed."""

    read: bool
    """Whether the user's own read mark has moved."""
    rungs: tuple[tuple[Rung.ValueType, int], ...]
    """The rungs that own messages have come to, and up to which number."""
