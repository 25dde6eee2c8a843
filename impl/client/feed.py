"""What of one conversation comes next. Pure: no network, no clock.

A conversation is a sequence of events with positions (epoch, seq). Within an epoch seq counts without gaps; a
new epoch continues higher up. Frames may be lost, repeated and out of order, so that only two things are
believed: an event that comes right after the last one within its epoch, and pages of history, which are
contiguous by the promise of the service. Everything else is held until a page has filled the hole before it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from im.logic.v1.message_pb2 import Head, Message

HELD: Final = 200
"""Most events of one conversation that are held before a hole; others come with history."""
ANY_EPOCH: Final = -1
"""Epoch of a position before which nothing was seen."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a conversation."""

    epoch: int
    seq: int


def position_of(place: Message | Head) -> Position:
    """Where a message is, or the last one of a conversation."""
    return Position(place.epoch, place.seq)


class Seen:
    """The latest messages by (conversation, sender, client message id), of all conversations.

    Args:
        most: messages to remember.
    """

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self._keys: OrderedDict[tuple[str, int, str], None] = OrderedDict()

    def first(self, message: Message) -> bool:
        """Whether nothing with its ids was seen before; from now on it was."""
        if not message.client_message_id:
            return True
        key = (message.conversation_id, message.sender_id, message.client_message_id)
        if key in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > self._most:
            self._keys.popitem(last=False)
        return True


class Feed:
    """The events of one conversation: each once, in order, without a hole.

    `receive` and `fill` give the events that come next by then; a late repetition of a message, and a number
    without content, take their places but are not given.

    Args:
        position: up to here everything was given before; None if that is not known yet, see `begin`.
        seen: what was given in all conversations.
    """

    def __init__(self, position: Position | None, seen: Seen) -> None:
        self.position = position
        self.target = position or Position(ANY_EPOCH, 0)
        """The furthest position that was heard of."""
        self._seen = seen
        self._held: dict[int, Message] = {}

    @property
    def behind(self) -> bool:
        """Whether history has to be read, from after `position`."""
        return self.position is None or self.target.seq > self.position.seq

    def begin(self, position: Position) -> list[Message]:
        """Everything up to a position shall not be given; nothing happens if the feed has begun."""
        if self.position is None:
            self.position = position
            self.reached(position)
        return list(self._next())

    def reached(self, position: Position) -> None:
        """The service has come to a position."""
        if position.seq > self.target.seq:
            self.target = position

    def receive(self, message: Message) -> list[Message]:
        """Take an event that came by itself."""
        if self.position is not None and message.seq <= self.position.seq:
            return []
        self.reached(position_of(message))
        self._held[message.seq] = message
        if len(self._held) > HELD:
            del self._held[max(self._held)]
        return list(self._next())

    def fill(self, page: Iterable[Message], head: Head, *, more: bool) -> list[Message]:
        """Take a page of history.

        Args:
            page: events right after `position`, or after where it was when they were asked for.
            head: the last position when the page was read, and where the user's view begins.
            more: whether history goes on after the page.
        """
        given: list[Message] = []
        for message in page:
            if self.position is None or message.seq <= self.position.seq:
                continue
            if not self._follows_in_history(message, head.first_seq):
                more = True  # not what was asked for: ask again
                break
            given += self._step(message)
        if not more:
            self._settle(position_of(head))
        return [*given, *self._next()]

    def give_up(self) -> None:
        """There is nothing (more) that the user may read."""
        self.position = self.position or Position(ANY_EPOCH, 0)
        self.target = self.position
        self._held.clear()

    def _settle(self, head: Position) -> None:
        """History ended here when the conversation was at `head`."""
        self.reached(head)
        # What an older epoch had beyond here was lost with it.
        self._held = {seq: message for seq, message in self._held.items() if message.epoch >= head.epoch}
        if self.position is not None and (self.target.epoch < head.epoch or self.target.seq <= head.seq):
            self.target = max((position_of(m) for m in self._held.values()), default=self.position)

    def _next(self) -> Iterator[Message]:
        """Held events that come right after the last one."""
        while self.position is not None:
            for seq in [seq for seq in self._held if seq <= self.position.seq]:
                del self._held[seq]
            message = self._held.get(self.position.seq + 1)
            if message is None or self.position.epoch not in (message.epoch, ANY_EPOCH):
                return
            yield from self._step(message)

    def _follows_in_history(self, message: Message, first_seq: int) -> bool:
        last = self.position or Position(ANY_EPOCH, 0)
        next_number = message.seq == last.seq + 1 and message.epoch >= last.epoch
        return next_number or message.epoch > last.epoch or message.seq == first_seq

    def _step(self, message: Message) -> Iterator[Message]:
        self.position = position_of(message)
        self.reached(self.position)
        if self._seen.first(message) and not message.HasField("tombstone"):
            yield message
