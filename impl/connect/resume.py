"""What a session missed while it was away: how much of it is sent, and what is told instead."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from google.rpc import code_pb2
from im.client.v1.frames_pb2 import Cursor, Incomplete
from im.logic.v1.message_pb2 import Head, Message
from im.logic.v1.message_service_pb2 import ListMessagesRequest, ListMessagesResponse
from im.logic.v1.message_service_rpc import MessageServiceClient

from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import CallOptions
from impl.connect.backlog import Lost, Place
from impl.storage.envelope import private_members, room_of

log = logging.getLogger(__name__)

_NOT_THEIRS = frozenset((code_pb2.PERMISSION_DENIED, code_pb2.NOT_FOUND, code_pb2.INVALID_ARGUMENT))


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is sent to one session before it is told to ask for the rest itself."""

    messages: int = 500
    size: int = 512 << 10
    """Bytes of frames, as they are written."""
    seconds: float = 10.0
    page: int = 100
    """Most messages asked for at once."""
    unlisted: int = 100
    """Conversations asked for though they are not among the user's most recent ones."""
    at_once: int = 4
    """Conversations of one session that are read at the same time."""


BOUNDS = Bounds()


@dataclass(slots=True)
class Missing:
    """One conversation, from the client's cursor on."""

    conversation_id: str
    place: Place
    """Up to here the client has everything."""
    head: Head | None
    """Last position as far as it is known."""
    complete: bool = False
    """Whether nothing is missing any more."""
    asked: bool = True
    """Whether logic is asked."""

    @property
    def behind(self) -> bool:
        """Whether asking for what comes after the place gives what is missing.

        A cursor ahead of the head comes from elsewhere, or the head is old. An epoch may lie at lower numbers
        than the cursor of an earlier one.
        """
        if self.head is None or not self.asked:
            return self.asked
        return place_of(self.head) >= self.place and (
            self.head.epoch == self.place[0] or self.head.seq > self.place[1]
        )

    @property
    def expected(self) -> int:
        """How many messages are missing; 0 if that is not known, as with an epoch between."""
        if self.head is None or self.place[0] not in (0, self.head.epoch):
            return 0
        return max(1, self.head.seq - max(self.place[1], self.head.first_seq - 1))


def place_of(position: Message | Head | Cursor) -> Place:
    """Where it stands in its conversation."""
    return position.epoch, position.seq


def plan(user_id: int, cursors: Iterable[Cursor], heads: Mapping[str, Head], bounds: Bounds) -> list[Missing]:
    """What to do about cursors, in their order.

    Of several for one conversation the first counts. Conversations that surely are not the user's are left
    out: there is nothing that the client could ask for.
    """
    found: dict[str, Missing] = {}
    unlisted = 0
    for cursor in cursors:
        name, head = cursor.conversation_id, heads.get(cursor.conversation_id)
        if name in found or (head is None and not _possible(user_id, name)):
            continue
        place = place_of(cursor)
        found[name] = missing = Missing(name, place, head)
        if head is not None:
            missing.complete = place_of(head) == place
        else:
            unlisted += 1
            missing.asked = unlisted <= bounds.unlisted
    return list(found.values())


def incomplete(conversation_id: str, place: Place | None, head: Head | None, lost: Lost | None) -> Incomplete:
    """Tells a client to ask for the rest itself.

    Args:
        conversation_id: the conversation.
        place: up to here the client has everything; None if it did not say and was sent nothing.
        head: last position as far as it is known.
        lost: live frames that could not be kept.
    """
    told = Head(conversation_id=conversation_id)
    told.MergeFrom(head or Head())
    if head is None and place is not None:
        told.epoch, told.seq = place
    if lost is not None and lost.last is not None:
        told.epoch, told.seq = max(lost.last, place_of(told))
    if place is None:
        after = lost.first[1] - 1 if lost and lost.first else told.seq
    elif told.epoch > place[0] and told.seq <= place[1]:
        after = 0
    else:
        after = min(place[1], told.seq)
    return Incomplete(head=told, after_seq=after)


class Budget:
    """What may still be sent of `Bounds`."""

    def __init__(self, bounds: Bounds) -> None:
        self.messages = bounds.messages
        self.size = bounds.size

    def reserve(self, messages: int) -> int:
        """Take as many messages as there are, at most these. What was begun first is finished first."""
        taken = min(messages, self.messages) if self.size > 0 else 0
        self.messages -= taken
        return taken


class Resume:
    """Sends one session what it missed.

    Args:
        messages: of logic.
        slots: bound the calls of all sessions that resume.
        bounds: of this session.
        send: sends a message if it takes at most so many bytes; returns how many, 0 if it was not sent.
        done: called once for each conversation, complete or not.
    """

    def __init__(
        self,
        messages: MessageServiceClient,
        slots: asyncio.Semaphore,
        bounds: Bounds,
        send: Callable[[Message, int], int],
        done: Callable[[Missing], None],
    ) -> None:
        self._messages = messages
        self._slots = slots
        self._bounds = bounds
        self._budget = Budget(bounds)
        self._send = send
        self._done = done

    async def run(self, missing: Sequence[Missing], options: CallOptions) -> None:
        """Returns when all is sent or told. `options` name the user."""
        waiting = iter(missing)
        try:
            async with asyncio.timeout(self._bounds.seconds), asyncio.TaskGroup() as group:
                for _ in range(min(self._bounds.at_once, len(missing))):
                    group.create_task(self._work(waiting, replace(options, timeout=self._bounds.seconds)))
        except TimeoutError:
            log.info("a session could not be sent in time what it missed")
        for one in waiting:
            self._done(one)

    async def _work(self, waiting: Iterator[Missing], options: CallOptions) -> None:
        for one in waiting:
            try:
                await self._catch_up(one, options)
            except Error as error:
                # A conversation that is not listed and not allowed is none of theirs: nothing is missing.
                one.complete = one.head is None and error.reason.code in _NOT_THEIRS
                log.debug("%s is not read on: %s", one.conversation_id, error)
            finally:
                self._done(one)

    async def _catch_up(self, one: Missing, options: CallOptions) -> None:
        allowed = 0
        try:
            while not one.complete and one.behind:
                allowed = allowed or self._budget.reserve(one.expected or self._bounds.page)
                if not allowed:
                    return
                page = await self._page(one, min(allowed, self._bounds.page), options)
                new = [message for message in page.messages if place_of(message) > one.place]
                sent = self._pass_on(one, new)
                allowed -= sent
                if page.HasField("head"):
                    one.head = page.head
                if sent < len(new) or (page.more and not new) or not one.behind:
                    return
                one.complete = not page.more
        finally:
            self._budget.messages += allowed

    async def _page(self, one: Missing, size: int, options: CallOptions) -> ListMessagesResponse:
        request = ListMessagesRequest(
            conversation_id=one.conversation_id, after_seq=one.place[1], page_size=size
        )
        async with self._slots:
            return await self._messages.list_messages(request, options)

    def _pass_on(self, one: Missing, messages: Iterable[Message]) -> int:
        count = 0
        for message in messages:
            size = self._send(message, self._budget.size)
            if size == 0:
                self._budget.size = 0
                break
            self._budget.size -= size
            one.place = place_of(message)
            count += 1
        return count


def _possible(user_id: int, conversation_id: str) -> bool:
    """Whether the conversation may be the user's: they may have been a member of any room."""
    return user_id in (private_members(conversation_id) or ()) or room_of(conversation_id) is not None
