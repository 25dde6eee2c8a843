"""Finds what was lost on the way: the last message of a quiet conversation has no successor to show it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from im.client.v1.frames_pb2 import Heads, ServerFrame
from im.logic.v1.message_pb2 import Head

from codegen.runtime.background import background
from codegen.runtime.errors import Error
from codegen.runtime.sockets import Outgoing
from impl.connect.alarm import Alarm
from impl.connect.backlog import LiveFrame, Place
from impl.connect.memberships import Memberships
from impl.connect.online import Online
from impl.connect.rooms import RoomIndex
from impl.connect.seen import Comparison, Seen, Viewer
from impl.storage.conversations import Conversations
from impl.storage.envelope import room_of
from impl.storage.snowflake import first_id

T = TypeVar("T")

log = logging.getLogger(__name__)

_BATCH = 512
_ASKED_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Times in seconds."""

    interval: float = 5.0
    """Between looks."""
    again: float = 1.0
    """Between looks where something may have been lost; never less."""
    margin: float = 30.0
    """By how much an event may be older than when it becomes recent, clocks of machines included."""


RHYTHM = Rhythm()


class HeadWatch:
    """Compares the heads of active conversations with what was handed over to the sessions here.

    A look costs one read for each user online and one for each conversation of theirs that was active lately,
    or is a room, in batches; it takes half the interval, but no time when something may have been lost.
    Sessions that have lost something are told the heads; of members of the room logic is asked again, because
    the events lost may be about them.

    Args:
        conversations: read only.
        online: the sessions of this process.
        index: the rooms of this process.
        seen: what was handed over.
        memberships: asks logic again.
        alarm: makes it look sooner.
        found: called when something was lost.
        rhythm: when to look.
    """

    def __init__(  # noqa: PLR0913 - its parts
        self,
        conversations: Conversations,
        online: Online,
        index: RoomIndex,
        seen: Seen,
        memberships: Memberships,
        *,
        alarm: Alarm,
        found: Callable[[], None],
        rhythm: Rhythm,
    ) -> None:
        self._conversations = conversations
        self._online = online
        self._index = index
        self._seen = seen
        self._memberships = memberships
        self._alarm = alarm
        self._found = found
        self._rhythm = rhythm
        self._comparison = Comparison()
        self._since_ms = _now_ms()
        self._aged_ms = self._since_ms
        self._urgent = False
        self._away = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[HeadWatch]:
        """Look while the context lasts."""
        task = background(self._run(), "heads")
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._rhythm.again)
            self._urgent = await self._alarm.look(self._rhythm.interval - self._rhythm.again)
            try:
                await self._look()
            except Error as error:
                self._note(error)
                self._alarm.sound()
            except Exception:
                log.exception("heads could not be compared")
            else:
                self._note(None)

    async def _look(self) -> None:
        began = _now_ms()
        since = first_id(self._since_ms - round(self._rhythm.margin * 1000))
        heads = {**await self._of_users(since), **await self._of_rooms()}
        lost = self._comparison.look(heads, self._seen.of)
        self._since_ms = began
        self._forget(began)
        if lost:
            log.info("%d heads were not handed over", len(lost))
            self._tell(lost)
            self._found()
            await self._ask_again(self._concerned(lost))

    async def _of_users(self, since: int) -> dict[Viewer, Place]:
        heads: dict[Viewer, Place] = {}
        async for users in self._batches(self._online.users):
            recent = await self._conversations.recent_since(users, since)
            for names in recent.values():
                del names[:-_BATCH]
            viewers = [viewer for user, names in recent.items() for viewer in self._viewers(user, names)]
            places = await self._places({conversation for _, conversation in viewers})
            heads |= {viewer: places[viewer[1]] for viewer in viewers if viewer[1] in places}
        return heads

    async def _of_rooms(self) -> dict[Viewer, Place]:
        heads: dict[Viewer, Place] = {}
        async for rooms in self._batches(self._index.rooms):
            heads.update(await self._places(rooms))
        return heads

    def _viewers(self, user_id: int, conversation_ids: Sequence[str]) -> Iterator[tuple[str | int, str]]:
        """Members of rooms are looked at together, unless it is not known that the user is one."""
        for conversation_id in conversation_ids:
            if room_of(conversation_id) is None:
                for peer in self._online.of(user_id):
                    if peer.live:
                        yield peer.session_id, conversation_id
            elif not self._index.knows(user_id, conversation_id):
                yield user_id, conversation_id

    async def _places(self, conversation_ids: Collection[str]) -> dict[str, Place]:
        found: dict[str, Place] = {}
        for batch in _split(tuple(conversation_ids)):
            heads = await self._conversations.heads(batch)
            found |= {name: (head.epoch, head.seq) for name, head in heads.items()}
        return found

    async def _batches(self, items: Collection[T]) -> AsyncIterator[tuple[T, ...]]:
        batches = _split(tuple(items))
        for batch in batches:
            yield batch
            await asyncio.sleep(0 if self._urgent else self._rhythm.interval / 4 / len(batches))

    def _tell(self, lost: dict[Viewer, Place]) -> None:
        of_sessions: dict[str, list[Head]] = {}
        for viewer, place in lost.items():
            self._seen.note(viewer, place)
            if isinstance(viewer, tuple) and isinstance(viewer[0], str):
                of_sessions.setdefault(viewer[0], []).append(_head(viewer[1], place))
            else:
                self._tell_users(viewer, place)
        for session_id, heads in of_sessions.items():
            if peer := self._online.get(session_id):
                peer.say(ServerFrame(heads=Heads(heads=heads)))

    def _tell_users(self, viewer: Viewer, place: Place) -> None:
        room = viewer if isinstance(viewer, str) else viewer[1]
        frame = ServerFrame(heads=Heads(heads=[_head(room, place)]))
        live = LiveFrame(room, None, Outgoing(frame))
        peers = (
            self._online.members(room, place[1])
            if isinstance(viewer, str)
            else self._online.of(int(viewer[0]))
        )
        for peer in peers:
            peer.deliver(live)

    def _concerned(self, lost: dict[Viewer, Place]) -> set[int]:
        """Users of whom an event may be lost that says whether they are members."""
        users = {viewer[0] for viewer in lost if not isinstance(viewer, str) and isinstance(viewer[0], int)}
        rooms = [viewer for viewer in lost if isinstance(viewer, str)]
        return users.union(*(self._index.members(room) for room in rooms))

    async def _ask_again(self, users: set[int]) -> None:
        for batch in _split(tuple(users), _ASKED_AT_ONCE):
            await asyncio.gather(*(self._ask(user) for user in batch if user in self._online.users))

    async def _ask(self, user_id: int) -> None:
        try:
            await self._memberships.of(user_id)
        except Error as error:
            log.info("the rooms of a user cannot be known now: %s", error)

    def _forget(self, now_ms: int) -> None:
        self._seen.keep(self._index.rooms)
        if now_ms - self._aged_ms > (self._rhythm.margin + 2 * self._rhythm.interval) * 1000:
            self._seen.age()
            self._aged_ms = now_ms

    def _note(self, error: Error | None) -> None:
        if error is not None and not self._away:
            log.warning("heads cannot be compared now: %s", error)
        if error is None and self._away:
            log.info("heads can be compared again")
        self._away = error is not None


def _head(conversation_id: str, place: Place) -> Head:
    epoch, seq = place
    return Head(conversation_id=conversation_id, epoch=epoch, seq=seq)


def _split(items: tuple[T, ...], size: int = _BATCH) -> list[tuple[T, ...]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
