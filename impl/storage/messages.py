"""Events at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from im.stream.v1.conversation_event_pb2 import ConversationEvent
    from impl.storage.conversations import Position, Stored
    from impl.storage.database import Database


class Messages:
    """The events of all conversations, whole, under their positions.

    Every method raises Error DEPENDENCY_UNAVAILABLE when the database is away.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def persist(self, partition: int, ordinal: int, events: Sequence[ConversationEvent]) -> None:
        """Stores a batch of one partition and advances its mark, all or nothing.

        Redelivered events change nothing. A late repetition of (conversation, sender, client message id) keeps
        its position as a tombstone that names the first. Error INTERNAL if a position or an id already belongs
        to something else; `metadata` then names conversation, epoch and seq.
        """
        raise NotImplementedError

    async def page(self, conversation_id: str, after: int | None, before: int | None, limit: int) -> list[bytes]:
        """Envelopes with after < seq < before, ascending: the oldest `limit` if `after` is given, else the newest.

        The envelope of a tombstone has its field `tombstone` set.
        """
        raise NotImplementedError

    async def stored(self, conversation_id: str) -> Stored | None:
        """What the database knows of a conversation; None if nothing."""
        raise NotImplementedError

    async def heads(self, conversation_ids: Sequence[str]) -> Mapping[str, Position]:
        """Highest stored position of each conversation that is known."""
        raise NotImplementedError

    async def find(self, conversation_id: str, sender_id: int, client_message_id: str) -> ConversationEvent | None:
        """The event of a send, if it is stored."""
        raise NotImplementedError

    async def conversations_of(self, user_id: int, limit: int) -> list[str]:
        """Conversations of which the user is a member, the most recent first."""
        raise NotImplementedError

    async def ordinal(self, partition: int) -> int:
        """Highest stream ordinal of the partition that is stored; 0 if none."""
        raise NotImplementedError

    async def is_empty(self) -> bool:
        """Whether nothing was ever stored: neither an account nor an event."""
        raise NotImplementedError
