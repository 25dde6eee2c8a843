"""History: the hot tail and the database as one, given out only where nothing is missing."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE
from im.errors.v1.reason_errors import HISTORY_INCOMPLETE
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.errors import Error
from impl.storage.conversations import Conversations
from impl.storage.membership import FIRST_SEQ
from impl.storage.messages import Messages

T = TypeVar("T")

_READS = 2

Place = tuple[int, int]
"""Epoch and seq; ordered."""
NOWHERE: Place = (0, 0)
"""Before the first event of any conversation."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which events are asked for: after < seq < before, none below `floor`.

    The oldest `limit` of them if `after` is given, else the newest.
    """

    after: int | None
    before: int | None
    limit: int
    floor: int = FIRST_SEQ

    def within(self, first: int, end: int | None) -> Window:
        """The same, of what somebody may read: first ≤ seq < end."""
        after = None if self.after is None else max(self.after, first - 1)
        ends = [bound for bound in (self.before, end) if bound is not None]
        return Window(after, min(ends, default=None), self.limit, max(self.floor, first))

    def holds(self, seq: int) -> bool:
        """Whether the seq is asked for."""
        lowest = self.floor if self.after is None else max(self.floor, self.after + 1)
        return lowest <= seq and (self.before is None or seq < self.before)

    @property
    def is_empty(self) -> bool:
        """Whether no seq at all is asked for."""
        return self.before is not None and not self.holds(self.before - 1)


@dataclass(frozen=True, slots=True)
class Page:
    """A contiguous part of a conversation."""

    events: tuple[ConversationEvent, ...]
    head: Place | None
    """Last position of the conversation; None if it cannot be known now."""
    more: bool

    @property
    def newest(self) -> int:
        """The highest number that the page tells of."""
        _, seq = max([self.head or NOWHERE, *map(place_of, self.events)])
        return seq


def merged(hot: Iterable[bytes], cold: Iterable[bytes], window: Window) -> list[ConversationEvent]:
    """Events of both sources within the window, ascending; what both have is as the database says."""
    events = map(ConversationEvent.FromString, itertools.chain(hot, cold))
    found = {place_of(event): event for event in events if window.holds(event.seq)}
    ascending = [found[place] for place in sorted(found)]
    return ascending[-window.limit :] if window.after is None else ascending[: window.limit]


def place_of(event: ConversationEvent) -> Place:
    """Where an event stands in its conversation."""
    return event.epoch, event.seq


def follows(place: Place, earlier: Place) -> bool:
    """Whether nothing can lie between two places: seqs have no gaps but at the begin of an epoch."""
    if earlier == NOWHERE or place[0] == earlier[0]:
        return place[1] == earlier[1] + 1
    return place[0] > earlier[0] and place[1] > earlier[1]


def contiguous(places: Sequence[Place]) -> bool:
    """Whether every place follows the one before it."""
    return all(follows(place, earlier) for earlier, place in itertools.pairwise(places))


def reaches(last: Place, head: Place) -> bool:
    """Whether nothing of the head's epoch is missing behind `last`, the last place that was found."""
    return last >= head or (last[0] < head[0] and last != NOWHERE)


class History:
    """Reads pages. One of the two sources may be away if the other alone shows that nothing is missing."""

    def __init__(self, conversations: Conversations, messages: Messages) -> None:
        self._conversations = conversations
        self._messages = messages

    async def page(self, conversation_id: str, window: Window) -> Page:
        """The page; read again once if something is missing, because events move while it is read.

        Error HISTORY_INCOMPLETE if something is missing still.
        """
        for _ in range(_READS):
            page = await self._read(conversation_id, window)
            if page is not None:
                return page
        raise Error(HISTORY_INCOMPLETE, "a part of the history cannot be read now", retry_after=1.0)

    async def _read(self, conversation_id: str, window: Window) -> Page | None:
        """None if something is missing.

        The head is read first, and the hot tail before the database: that is the way events move.
        """
        reading = Reading(
            self._conversations, self._messages, conversation_id, await self._head(conversation_id)
        )
        if window.is_empty:
            return Page((), reading.head, more=False)
        found = await reading.between(window.after, window.before, window.limit + 1)
        visible = [event for event in found if event.seq >= window.floor]
        events = visible[-window.limit :] if window.after is None else visible[: window.limit]
        cut = len(found) > len(events)
        if window.after is None:
            below = found[-len(events) - 1] if cut else None
            above = await reading.first_from(window.before)
        else:
            below = await reading.last_up_to(window.after)
            above = found[len(events)] if cut else await reading.first_from(window.before)
        if not reading.is_whole(below, events, above):
            return None
        return Page(tuple(events), reading.newest(events), len(visible) > len(events))

    async def _head(self, conversation_id: str) -> Place | None:
        """The last position; None if Redis is away, so that it cannot be known."""
        heads = await _unless_away(self._conversations.heads([conversation_id]))
        if heads is None:
            return None
        if conversation_id in heads:
            head = heads[conversation_id]
            return head.epoch, head.seq
        stored = await self._messages.stored(conversation_id)
        return (stored.epoch, stored.seq) if stored else NOWHERE


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at one conversation."""

    conversations: Conversations
    messages: Messages
    conversation_id: str
    head: Place | None
    """Last position; None if Redis is away."""

    async def between(self, after: int | None, before: int | None, limit: int) -> list[ConversationEvent]:
        """Events with after < seq < before: the oldest if `after` is given, else the newest."""
        hot = None
        if self.head is not None:
            upper = before if after is None else None  # with both bounds the tail would give its newest
            hot = await _unless_away(self.conversations.tail(self.conversation_id, after, upper, limit))
        cold = self.messages.page(self.conversation_id, after, before, limit)
        stored = await cold if hot is None else await _unless_away(cold)
        return merged(hot or (), stored or (), Window(after, before, limit))

    async def last_up_to(self, after: int) -> ConversationEvent | None:
        """The event after which a page begins; None at the begin of the conversation."""
        found = await self.between(None, after + 1, 1) if after else ()
        return found[0] if found else None

    async def first_from(self, before: int | None) -> ConversationEvent | None:
        """The event before which a page ends; None at the end of the conversation."""
        found = await self.between(before - 1, None, 1) if before is not None else ()
        return found[0] if found else None

    def is_whole(
        self,
        below: ConversationEvent | None,
        events: Sequence[ConversationEvent],
        above: ConversationEvent | None,
    ) -> bool:
        """Whether nothing is missing between what lies below the events and what lies above them."""
        places = [place_of(below) if below else NOWHERE, *map(place_of, events)]
        if above is not None:
            return contiguous([*places, place_of(above)])
        return contiguous(places) and self.head is not None and reaches(places[-1], self.head)

    def newest(self, events: Sequence[ConversationEvent]) -> Place | None:
        """The head, or what was accepted since it was read."""
        return None if self.head is None else max(self.head, *map(place_of, events), NOWHERE)


async def _unless_away(reading: Awaitable[T]) -> T | None:
    """What was read; None if its source is away."""
    try:
        return await reading
    except Error as error:
        if error.reason.code != DEPENDENCY_UNAVAILABLE.code:
            raise
        return None
