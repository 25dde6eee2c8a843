"""Conversations of a user, the one with the latest event first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from impl.logic.page_tokens import Recency
from impl.storage.conversations import Conversations
from impl.storage.membership import Overview
from impl.storage.messages import Messages

DEPTH: Final = 1000
"""Conversations that are looked at first; more only if that is not enough."""
_DEEPER: Final = 4


@dataclass(frozen=True, slots=True)
class Ranked:
    """Conversations of which a user is a member."""

    views: dict[Recency, Overview]
    """The latest first."""
    horizon: int
    """Of those whose last event is older than this id, some may be missing; 0 if there are no others."""

    @property
    def rooms(self) -> list[Overview]:
        """Those that are rooms."""
        return [view for view in self.views.values() if view.room is not None]

    @property
    def places(self) -> list[Recency]:
        """As far as none is missing."""
        return [place for place in self.views if place.last_id >= self.horizon]


class Ranking:
    """Ranks conversations by the heads they have now.

    What is recent by Redis or by the database is only where to look: both learn of events a moment later, and
    of those in large rooms Redis does not keep recency at all. Every method raises Error
    DEPENDENCY_UNAVAILABLE when one of the two is away.
    """

    def __init__(self, conversations: Conversations, messages: Messages, depth: int = DEPTH) -> None:
        self._conversations = conversations
        self._messages = messages
        self._depth = depth

    async def newest(self, user_id: int, depth: int = DEPTH, last: Recency | None = None) -> Ranked:
        """The most recent conversations, at least `depth` of them if there are as many, and all rooms.

        With `last`, those behind it alone. Redis learns again of rooms that it has forgotten.
        """
        up_to = last.last_id if last else None
        recent = await self._conversations.recent(user_id, depth, up_to=up_to)
        rooms = await self._conversations.rooms_of(user_id)
        stored = dict(await self._messages.conversations_of(user_id, depth, up_to=up_to))
        stored_rooms = await self._messages.rooms_of(user_id)
        names = list(dict.fromkeys([*recent, *rooms, *stored, *stored_rooms]))
        views = await self.present(user_id, names)
        present_rooms = {view.conversation_id for view in views if view.room}
        if lost := present_rooms.difference(rooms):
            await self._conversations.update_rooms([(user_id, name) for name in lost], [])
        # The id of the last event of a conversation that Redis does not know is in the database alone.
        places = {
            Recency(max(view.last_id, stored.get(view.conversation_id, 0)), view.conversation_id): view
            for view in views
        }
        ranked = {place: places[place] for place in sorted(places, reverse=True) if _behind(place, last)}
        return Ranked(ranked, horizon=min(stored.values()) if len(stored) == depth else 0)

    async def page(self, user_id: int, last: Recency | None, size: int) -> tuple[list[Recency], bool]:
        """The next `size` conversations behind `last`, and whether more lie behind them."""
        depth = self._depth
        while True:
            ranked = await self.newest(user_id, depth, last)
            behind = ranked.places
            if len(behind) > size or not ranked.horizon:
                return behind[:size], len(behind) > size
            depth *= _DEEPER

    async def present(
        self, user_id: int, conversation_ids: Iterable[str], *, last_event: bool = False
    ) -> list[Overview]:
        """Those that have an event and of which the user is a member, in the same order."""
        names = list(conversation_ids)
        views = await self._conversations.overview(user_id, names, last_event=last_event)
        return [
            view
            for name in names
            if (view := views.get(name)) and view.seq > 0 and view.membership and view.membership.present
        ]


def _behind(place: Recency, last: Recency | None) -> bool:
    # The database was asked for no ids above that of `last`: what has none by then lies above it, or is among
    # those that may be missing.
    return last is None or (place.last_id > 0 and place < last)
