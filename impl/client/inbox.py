"""All conversations of a user: what is heard of them, what is missing, and what is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Final, Protocol, Self

from google.rpc import code_pb2
from im.client.v1.frames_pb2 import Cursor
from im.logic.v1.message_pb2 import Head, Message
from im.logic.v1.message_service_http import MessageServiceHttp
from im.logic.v1.message_service_pb2 import ListMessagesRequest, ListMessagesResponse
from im.logic.v1.rung_pb2 import Progress

from codegen.runtime.client.reconnect import Pauses
from codegen.runtime.errors import Error
from codegen.runtime.method import Reconnect
from impl.client.addresses import peer_of, room_of
from impl.client.errands import Errands
from impl.client.events import MessageReceived, ReadMarkMoved, RoomChanged, RungReached
from impl.client.feed import ANY_EPOCH, Feed, Position, Seen, position_of
from impl.client.marks import Marks, Moved
from impl.client.outlet import Outlet
from impl.client.store import Store

CURSOR: Final = "cursor/"
BEGUN: Final = "begun"
MAX_CURSORS: Final = 1000
"""Most conversations that are named when a session begins, and most that a welcome names."""
PAGE: Final = 200
PATIENCE: Final = 0.15
"""Seconds after which a hole is filled from history: an event may overtake the one before it."""
_AT_ONCE: Final = 4
_FRUITLESS: Final = 12
"""Times that history is asked in vain for what was heard of; then it was lost with its epoch."""
_LONGEST_PAUSE: Final = 5.0
_NOTHING: Final = frozenset({code_pb2.NOT_FOUND, code_pb2.PERMISSION_DENIED, code_pb2.INVALID_ARGUMENT})
"""Codes of refusals that mean: there is no history for this user."""


class Follower(Protocol):
    """Who follows positions in conversations: the sender of messages."""

    def arrived(self, message: Message) -> None:
        """An event has its place."""
        ...

    def reached(self, conversation_id: str, position: Position, durable_seq: int) -> None:
        """A conversation is in an epoch, and everything in it up to a number is in the database."""
        ...

    def durable(self, conversation_id: str, seq: int) -> None:
        """Everything up to a number is in the database, in whatever epoch it lies."""
        ...


class Inbox:
    """Takes what a session hears, reads what is missing, and puts events into the outlet; a context manager.

    Args:
        me: the user.
        store: knows how far each conversation was shown.
        outlet: where events go.
        messages: reads history.
        backlog: whether conversations begin at their beginning at the first login.
    """

    def __init__(
        self, me: int, store: Store, outlet: Outlet, messages: MessageServiceHttp, *, backlog: bool
    ) -> None:
        kept = store.load()
        self.follower: Follower | None = None
        self.marks: dict[str, Marks] = {}
        self._me = me
        self._store = store
        self._outlet = outlet
        self._messages = messages
        self._backlog = backlog
        self._seen = Seen()
        self._feeds = {
            key.removeprefix(CURSOR): Feed(Position(*place), self._seen)
            for key, place in kept.items()
            if key.startswith(CURSOR)
        }
        self._begun: Mapping[str, bool] | None = kept.get(BEGUN)
        self._reading = False
        self._patient: set[str] = set()
        self._errands = Errands(self._pull, _AT_ONCE)
        self._looks = Errands(self._look, _AT_ONCE)

    async def __aenter__(self) -> Self:
        """Ready to read history."""
        await self._errands.__aenter__()
        await self._looks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Read no more."""
        await self._looks.__aexit__(kind, error, traceback)
        await self._errands.__aexit__(kind, error, traceback)

    def cursors(self) -> Sequence[Cursor]:
        """Where the client stands, in the conversations that were active last."""
        known = [(name, feed.position) for name, feed in self._feeds.items() if feed.position is not None]
        return [
            Cursor(conversation_id=name, epoch=max(0, position.epoch), seq=position.seq)
            for name, position in known[-MAX_CURSORS:]
        ]

    def position(self, conversation_id: str) -> Position | None:
        """Up to where everything was put into the outlet."""
        feed = self._feeds.get(conversation_id)
        return feed.position if feed else None

    def welcomed(self, heads: Iterable[Head]) -> None:
        """A session has begun; history is not read until it has sent what it can."""
        self._reading = False
        heads = list(heads)
        if self._begun is None:
            self._begin_at_present(heads)
        for head in reversed(heads):
            self.head(head)

    def resumed(self) -> None:
        """The session has sent what it can."""
        self._reading = True
        for name, feed in self._feeds.items():
            if feed.behind:
                self._errands.need(name)

    def head(self, head: Head) -> None:
        """The service says how far a conversation is."""
        name = head.conversation_id
        self._feed(name).reached(position_of(head))
        self._note_head(head)
        self._fill_later(name)

    def incomplete(self, head: Head) -> None:
        """The session will not send what was missed in a conversation."""
        self.head(head)
        self._errands.need(head.conversation_id)

    def message(self, message: Message) -> None:
        """An event has come, live or as the answer to a send."""
        name = message.conversation_id
        feed = self._feed(name)
        self._told(name, self._marks(name).note_message(message))
        if self._outlet.space <= 0:
            feed.reached(position_of(message))
        else:
            if message.seq == 1 or _joins(message, self._me):
                self._give(name, feed.begin(Position(message.epoch, message.seq - 1)))
            self._give(name, feed.receive(message))
        self._fill_later(name)
        if _joins(message, self._me):
            self._looks.need(name)

    def progress(self, progress: Progress) -> None:
        """Members have come further, or the database has."""
        name = progress.conversation_id
        known = name in self.marks
        moved = self._marks(name).note_progress(progress)
        if known:
            self._told(name, moved)
        if self.follower is not None:
            self.follower.durable(name, self._marks(name).durable_seq)

    def read(self, conversation_id: str, seq: int) -> None:
        """The user has read up to a number."""
        self._told(conversation_id, self._marks(conversation_id).note_read(seq))

    def shown(self, message: Message) -> None:
        """The program is done with an event."""
        self._store.put(CURSOR + message.conversation_id, [message.epoch, message.seq])

    def note(self, page: ListMessagesResponse) -> None:
        """A page of history tells of marks too."""
        self._note_head(page.head)

    async def page(self, conversation_id: str, **bounds: int) -> ListMessagesResponse:
        """A part of history."""
        request = ListMessagesRequest(conversation_id=conversation_id, **bounds)
        return await self._messages.list_messages(request)

    def _begin_at_present(self, heads: Sequence[Head]) -> None:
        for head in heads:
            begin = Position(ANY_EPOCH, max(0, head.first_seq - 1)) if self._backlog else position_of(head)
            self._feed(head.conversation_id).begin(begin)
            self._store.put(CURSOR + head.conversation_id, [begin.epoch, begin.seq])
        self._begun = {"partly": len(heads) >= MAX_CURSORS}
        self._store.put(BEGUN, self._begun)

    def _feed(self, conversation_id: str) -> Feed:
        """The feed, from now on the one that was active last."""
        feed = self._feeds.pop(conversation_id, None) or Feed(None, self._seen)
        self._feeds[conversation_id] = feed
        return feed

    def _marks(self, conversation_id: str) -> Marks:
        if (marks := self.marks.get(conversation_id)) is None:
            marks = self.marks[conversation_id] = Marks(self._me, peer_of(conversation_id, self._me))
        return marks

    def _note_head(self, head: Head) -> None:
        name = head.conversation_id
        known = name in self.marks
        moved = self._marks(name).note_head(head)
        if known:
            self._told(name, moved)
        if self.follower is not None:
            self.follower.reached(name, position_of(head), head.durable_seq)

    def _told(self, name: str, moved: Moved) -> None:
        if moved.read:
            marks = self.marks[name]
            self._outlet.put(ReadMarkMoved(name, marks.read_seq, marks.unread_count), name)
        for rung, seq in moved.rungs:
            self._outlet.put(RungReached(name, seq, rung), (name, rung))

    def _give(self, name: str, messages: Iterable[Message]) -> None:
        for message in messages:
            event = RoomChanged(message) if message.HasField("room") else MessageReceived(message)
            self._outlet.put(event)
            if self.follower is not None:
                self.follower.arrived(message)
        if self.follower is not None and (position := self._feeds[name].position):
            self.follower.reached(name, position, 0)

    async def _look(self, name: str) -> None:
        """Ask where the view of who has come begins: the room's policy says that, not the event."""
        with contextlib.suppress(Error):  # the next session says it too
            self.note(await self.page(name, page_size=1))

    def _fill_later(self, name: str) -> None:
        if self._reading and self._feeds[name].behind and name not in self._patient:
            self._patient.add(name)
            asyncio.get_running_loop().call_later(PATIENCE, self._fill, name)

    def _fill(self, name: str) -> None:
        self._patient.discard(name)
        if self._reading and self._feeds[name].behind:
            self._errands.need(name)

    async def _pull(self, name: str) -> None:
        """Read history until nothing is missing."""
        feed, pauses, fruitless = self._feeds[name], Pauses(), 0
        while feed.behind and fruitless < _FRUITLESS:
            await self._outlet.roomy()
            before = feed.position
            try:
                await self._step(name, feed)
            except Error as error:
                if error.reason.code in _NOTHING:
                    feed.give_up()
                elif error.reason.code == code_pb2.UNAUTHENTICATED:
                    return
                else:
                    await asyncio.sleep(min(_LONGEST_PAUSE, pauses.after(Reconnect.BACKOFF, 0.0)))
                continue
            fruitless = fruitless + 1 if feed.position == before else 0
            if feed.behind and fruitless:
                await asyncio.sleep(min(_LONGEST_PAUSE, pauses.after(Reconnect.BACKOFF, 0.0)))
        if feed.behind:
            feed.give_up()

    async def _step(self, name: str, feed: Feed) -> None:
        if feed.position is None:
            self._give(name, feed.begin(await self._beginning(name)))
        after = feed.position.seq if feed.position else 0
        page = await self.page(name, after_seq=after, page_size=PAGE)
        self._note_head(page.head)
        self._give(name, feed.fill(page.messages, page.head, more=page.more))

    async def _beginning(self, name: str) -> Position:
        """Where a conversation begins for the client that it has not seen before."""
        page = await self.page(name, page_size=PAGE)
        first = page.head.first_seq
        if self._begun and self._begun.get("partly"):
            return Position(ANY_EPOCH, max(first - 1, page.head.read_seq, 0))
        if room_of(name) is None or first > 1:
            return Position(ANY_EPOCH, max(0, first - 1))
        while True:
            for message in reversed(page.messages):
                if _joins(message, self._me):
                    return Position(ANY_EPOCH, message.seq - 1)
            if not page.more or not page.messages:
                return Position(ANY_EPOCH, 0)
            page = await self.page(name, before_seq=page.messages[0].seq, page_size=PAGE)


def begin_from_nothing(store: Store) -> None:
    """Note that the user is new: every conversation is told from its beginning."""
    store.put(BEGUN, {"partly": False})


def _joins(message: Message, user_id: int) -> bool:
    """Whether a user became a member by an event."""
    if not message.HasField("room"):
        return False
    if message.room.HasField("created"):
        return user_id == message.sender_id or user_id in message.room.created.member_ids
    return message.room.HasField("joined") and message.room.joined.user_id == user_id
