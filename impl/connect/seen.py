"""How far events have reached the sessions of this process, and what a look at heads shows; without I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from im.logic.v1.message_pb2 import Head

from impl.connect.backlog import Place
from impl.storage.envelope import room_of

Viewer = str | tuple[str | int, str]
"""All members of a room who are here, by its conversation; or one session, or one user, in a conversation."""
NOWHERE: Place = (0, 0)
"""Before the first event of any conversation."""
_MOST = 50_000
_ACTIVE_AT_WELCOME = 16
"""Conversations of a new session that may have been active just now. Heads of others may be told twice."""


class Seen:
    """The highest places that were handed over, or told, by viewer.

    Rooms are remembered while they have members here; single viewers for some time after the last event, or
    less if they are very many.
    """

    def __init__(self) -> None:
        self._rooms: dict[str, Place] = {}
        self._young: dict[Viewer, Place] = {}
        self._old: dict[Viewer, Place] = {}

    def of(self, viewer: Viewer) -> Place:
        """How far a viewer is, as far as it is remembered."""
        if isinstance(viewer, str):
            return self._rooms.get(viewer, NOWHERE)
        return self._young.get(viewer) or self._old.get(viewer) or NOWHERE

    def note(self, viewer: Viewer, place: Place) -> None:
        """The viewer has got everything up to the place, or was told of it."""
        if isinstance(viewer, str):
            self._rooms[viewer] = max(place, self.of(viewer))
            return
        self._young[viewer] = max(place, self.of(viewer))
        if len(self._young) >= _MOST:
            self.age()

    def welcome(self, session_id: str, heads: Iterable[Head]) -> None:
        """A session begins and knows these heads, the one with the latest event first.

        Rooms that are known have other members here, of whom that says nothing.
        """
        for number, head in enumerate(heads):
            place = (head.epoch, head.seq)
            if room_of(head.conversation_id) is not None:
                self._rooms.setdefault(head.conversation_id, place)
            elif number < _ACTIVE_AT_WELCOME:
                self.note((session_id, head.conversation_id), place)

    def age(self) -> None:
        """Forget single viewers of whom nothing was noted since the last call but one."""
        self._old, self._young = self._young, {}

    def keep(self, rooms: Collection[str]) -> None:
        """Forget all other rooms."""
        self._rooms = {room: place for room, place in self._rooms.items() if room in rooms}


class Comparison:
    """The rule of two looks.

    A head that was not handed over may be on its way. Who has not even got by the second look what the first
    one showed has lost it, unless both head and viewer move: then there is just more than can be sent.
    """

    def __init__(self) -> None:
        self._behind: dict[Viewer, tuple[Place, Place]] = {}
        """Viewers who were behind at the last look: the head, and how far they were."""

    def look(self, heads: Mapping[Viewer, Place], seen: Callable[[Viewer], Place]) -> dict[Viewer, Place]:
        """One look: heads by viewer. Returns those of viewers who have lost something."""
        behind = {viewer: (head, at) for viewer, head in heads.items() if (at := seen(viewer)) < head}
        lost = {viewer: head for viewer, (head, at) in behind.items() if self._stuck(viewer, head, at)}
        self._behind = {viewer: both for viewer, both in behind.items() if viewer not in lost}
        return lost

    def _stuck(self, viewer: Viewer, head: Place, at: Place) -> bool:
        before = self._behind.get(viewer)
        return before is not None and at < before[0] and (head == before[0] or at == before[1])
