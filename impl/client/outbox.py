"""Messages on their way: each under one id for ever, and kept until it is in the database. Pure.

An entry is sent until it is accepted, and then kept until it is durable. If the conversation begins a new
epoch before that, the service may have lost it: it is sent again under the same id.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from im.logic.v1.message_service_pb2 import SendMessageRequest

from impl.client.addresses import request_to
from impl.client.feed import Position

LATE_SECONDS: Final = 1800.0
"""Age at which the service may have forgotten a send, and has to ask its database."""
MOST: Final = 10_000
"""Most messages on their way."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message on its way."""

    client_message_id: str
    conversation_id: str
    text: str
    created_at: float
    """When it was written, unix time."""
    epoch: int = 0
    """Epoch in which it was accepted; 0 while it was not."""
    seq: int = 0
    """Its number there; 0 while it was not accepted."""
    again: bool = False
    """Whether an epoch has ended since it was first sent."""

    @property
    def accepted(self) -> bool:
        """Whether it has a number."""
        return self.seq > 0


class Outbox:
    """The messages of one user that the service has not confirmed to be durable.

    Args:
        user_id: the user.
        entries: of an earlier client, in the order in which they were written.
    """

    def __init__(self, user_id: int, entries: Iterable[Entry] = ()) -> None:
        self._user_id = user_id
        self._entries: dict[str, Entry] = {}
        self._by_conversation: dict[str, dict[str, Entry]] = {}
        for entry in entries:
            self._set(entry)

    def add(self, conversation_id: str, text: str, now: float, client_message_id: str = "") -> Entry | None:
        """Take a message, or find the one that has its id; None if there is no space.

        Raises:
            ValueError: the conversation's id is none.
        """
        request_to(conversation_id, self._user_id)
        if (known := self._entries.get(client_message_id)) is not None:
            return known
        if len(self._entries) >= MOST:
            return None
        return self._set(Entry(client_message_id or str(uuid.uuid4()), conversation_id, text, now))

    def get(self, client_message_id: str) -> Entry | None:
        """An entry by its id."""
        return self._entries.get(client_message_id)

    def of(self, conversation_id: str = "") -> Sequence[Entry]:
        """Entries of a conversation, or all, in the order in which they were written."""
        if not conversation_id:
            return list(self._entries.values())
        return list(self._by_conversation.get(conversation_id, {}).values())

    @property
    def waiting(self) -> set[str]:
        """Conversations with something to be sent."""
        return {entry.conversation_id for entry in self._entries.values() if not entry.accepted}

    def next(self, conversation_id: str) -> Entry | None:
        """What a conversation has to send first."""
        entries = self._by_conversation.get(conversation_id, {}).values()
        return next((entry for entry in entries if not entry.accepted), None)

    def request(self, entry: Entry, now: float) -> SendMessageRequest:
        """The request that sends an entry."""
        request = request_to(entry.conversation_id, self._user_id)
        request.client_message_id = entry.client_message_id
        request.text = entry.text
        request.resend = entry.again or now - entry.created_at > LATE_SECONDS
        return request

    def accepted(self, client_message_id: str, position: Position) -> Entry | None:
        """A message has its number; None if it is not here any more."""
        entry = self._entries.get(client_message_id)
        return entry and self._set(replace(entry, epoch=position.epoch, seq=position.seq))

    def durable(self, conversation_id: str, position: Position) -> list[Entry]:
        """The database has everything up to a position. Returns the entries that leave by that.

        A number of a later epoch proves nothing of an earlier one, see `begun`.
        """
        gone = [
            entry
            for entry in self.of(conversation_id)
            if entry.accepted and entry.epoch == position.epoch and entry.seq <= position.seq
        ]
        for entry in gone:
            self.remove(entry.client_message_id)
        return gone

    def begun(self, conversation_id: str, epoch: int) -> list[Entry]:
        """A conversation is in an epoch. Returns the entries that are to be sent again because of that."""
        lost = [e for e in self.of(conversation_id) if e.accepted and e.epoch < epoch]
        return [self._set(replace(entry, epoch=0, seq=0, again=True)) for entry in lost]

    def missed(self, entries: Sequence[Entry], head: Position) -> list[Entry]:
        """A head that was asked for after these were accepted. Returns those that lie beyond it.

        They were lost, though no epoch says so yet, and are to be sent again.
        """
        beyond = [entry for entry in entries if entry.accepted and Position(entry.epoch, entry.seq) > head]
        lost = [entry for entry in beyond if self.get(entry.client_message_id) == entry]
        return [self._set(replace(entry, epoch=0, seq=0, again=True)) for entry in lost]

    def remove(self, client_message_id: str) -> Entry | None:
        """Forget an entry; None if it is not there."""
        if (entry := self._entries.pop(client_message_id, None)) is None:
            return None
        others = self._by_conversation[entry.conversation_id]
        del others[client_message_id]
        if not others:
            del self._by_conversation[entry.conversation_id]
        return entry

    def _set(self, entry: Entry) -> Entry:
        self._entries[entry.client_message_id] = entry
        self._by_conversation.setdefault(entry.conversation_id, {})[entry.client_message_id] = entry
        return entry
