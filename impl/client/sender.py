"""Sends what is in the outbox, as often as needed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Final, Self

from google.rpc import code_pb2
from idiom.v1 import reason_errors as runtime_reasons
from im.errors.v1 import reason_errors as reasons
from im.logic.v1.message_pb2 import Message
from im.logic.v1.message_service_pb2 import SendMessageResponse
from im.logic.v1.rung_pb2 import ACCEPTED, DURABLE, Rung

from codegen.runtime.client.reconnect import Pauses
from codegen.runtime.errors import Error
from codegen.runtime.json_diagnosis import invalid
from codegen.runtime.method import Reconnect
from impl.client.errands import Errands
from impl.client.events import SendFailed
from impl.client.feed import Position, position_of
from impl.client.inbox import Inbox
from impl.client.outbox import Entry, Outbox
from impl.client.outlet import Outlet
from impl.client.session import Session
from impl.client.store import Store

ENTRY: Final = "outbox/"
ATTEMPT_SECONDS: Final = 10.0
"""Seconds after which a send without an answer is made again."""
_AT_ONCE: Final = 16
_CHECKS_AT_ONCE: Final = 2
_LONGEST_PAUSE: Final = 5.0
_CHECK_SECONDS: Final = 5.0
"""Seconds for which a word that messages are durable is waited for, before it is asked for."""
_PATIENCE: Final = 0.3
"""Seconds for which events are waited for that were said to be durable before they came."""
_FINAL: Final = frozenset(
    {
        *(code_pb2.INVALID_ARGUMENT, code_pb2.NOT_FOUND, code_pb2.ALREADY_EXISTS),
        *(code_pb2.PERMISSION_DENIED, code_pb2.FAILED_PRECONDITION, code_pb2.OUT_OF_RANGE),
        code_pb2.UNIMPLEMENTED,
    }
)
"""Codes of refusals that no repetition changes."""
_FINAL_REASONS: Final = frozenset({runtime_reasons.TOO_LARGE, reasons.ROOM_FULL, reasons.TOO_MANY_ROOMS})


class Waiter:
    """Somebody who waits for a message to reach a rung."""

    def __init__(self, until: Rung.ValueType) -> None:
        self.until = until
        self.message: Message | None = None
        self.done: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    def reached(self, rung: Rung.ValueType, message: Message | None = None) -> None:
        """The message has come to a rung."""
        self.message = message or self.message
        if rung >= self.until and self.message is not None and not self.done.done():
            self.done.set_result(self.message)

    def failed(self, error: Error) -> None:
        """It will come no further."""
        if not self.done.done():
            self.done.set_exception(error)


class Sender:
    """Drives an outbox: a conversation's messages one after the other, each until it is durable or refused.

    A context manager. It is the inbox's `Follower`, by which it learns what is durable and what was lost.

    Args:
        me: the user.
        store: keeps the outbox.
        outlet: where refusals are told.
        session: carries sends.
        inbox: gets what was accepted, and knows where conversations are.
    """

    def __init__(self, me: int, store: Store, outlet: Outlet, session: Session, inbox: Inbox) -> None:
        kept = [Entry(**value) for key, value in store.load().items() if key.startswith(ENTRY)]
        self.outbox = Outbox(me, sorted(kept, key=lambda entry: entry.created_at))
        self._me = me
        self._store = store
        self._outlet = outlet
        self._session = session
        self._inbox = inbox
        self._waiters: dict[str, list[Waiter]] = {}
        self._accepted_at: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._patient: set[str] = set()
        self._errands = Errands(self._send_all, _AT_ONCE)
        self._checks = Errands(self._check, _CHECKS_AT_ONCE)

    async def __aenter__(self) -> Self:
        """Ready to send."""
        await self._errands.__aenter__()
        await self._checks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Send no more; who waits for a message waits in vain."""
        await self._checks.__aexit__(kind, error, traceback)
        await self._errands.__aexit__(kind, error, traceback)
        for waiter in [waiter for waiters in self._waiters.values() for waiter in waiters]:
            waiter.failed(Error(runtime_reasons.CANCELLED, "the client is closed"))

    def post(self, conversation_id: str, text: str, client_message_id: str = "") -> Entry:
        """Take a message; the one that is here already, if it is here under this id.

        Raises:
            Error: INVALID_FIELD if the conversation's id is none, OVERLOADED if the outbox is full.
        """
        try:
            entry = self.outbox.add(conversation_id, text, time.time(), client_message_id)
        except ValueError as error:
            raise invalid("conversation_id", str(error)) from None
        if entry is None:
            raise Error(runtime_reasons.OVERLOADED, "too many messages are on their way")
        self._keep(entry)
        self._errands.need(conversation_id)
        return entry

    def wait(self, entry: Entry, until: Rung.ValueType) -> asyncio.Future[Message]:
        """The message of an entry, once it has come to a rung."""
        waiter = Waiter(until)
        self._waiters.setdefault(entry.client_message_id, []).append(waiter)
        return waiter.done

    async def flushed(self) -> None:
        """Wait until nothing is on its way."""
        while self.outbox.of():
            self._changed.clear()
            await self._changed.wait()

    def discard(self, client_message_id: str) -> None:
        """Send a message no more. If it was accepted already it stays so."""
        if self.outbox.remove(client_message_id) is not None:
            self._failed(client_message_id, Error(runtime_reasons.CANCELLED, "the message was discarded"))

    def welcomed(self) -> None:
        """Sends can go out."""
        for conversation_id in self.outbox.waiting:
            self._errands.need(conversation_id)

    def sent(self, answer: SendMessageResponse) -> None:
        """A send was accepted."""
        message = answer.message
        self._accepted(message, answer.state)
        self._inbox.message(message)

    def arrived(self, message: Message) -> None:
        """An event has its place; it may be an own message whose answer was lost."""
        entry = self.outbox.get(message.client_message_id) if message.sender_id == self._me else None
        if entry is not None and not entry.accepted:
            self._accepted(message, ACCEPTED)

    def reached(self, conversation_id: str, position: Position, durable_seq: int) -> None:
        """A conversation is in an epoch, and everything in it up to a number is in the database."""
        self._missed(conversation_id, self.outbox.begun(conversation_id, position.epoch))
        self._durable(conversation_id, Position(position.epoch, durable_seq))

    def durable(self, conversation_id: str, seq: int) -> None:
        """Everything up to a number is in the database; only what has arrived here lies in a known epoch."""
        position = self._inbox.position(conversation_id)
        if position is not None:
            self._durable(conversation_id, Position(position.epoch, min(seq, position.seq)))
        behind = any(entry.accepted and entry.seq <= seq for entry in self.outbox.of(conversation_id))
        if behind and conversation_id not in self._patient:
            self._patient.add(conversation_id)
            asyncio.get_running_loop().call_later(_PATIENCE, self._ask, conversation_id)

    async def run(self) -> None:
        """Ask for what was not told: whether accepted messages are durable by now."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            late = time.monotonic() - _CHECK_SECONDS
            for entry in self.outbox.of():
                if entry.accepted and self._accepted_at.get(entry.client_message_id, 0.0) < late:
                    self._checks.need(entry.conversation_id)

    def _missed(self, conversation_id: str, again: Sequence[Entry]) -> None:
        for entry in again:
            self._keep(entry)
        if again:
            self._errands.need(conversation_id)

    def _ask(self, conversation_id: str) -> None:
        self._patient.discard(conversation_id)
        self._checks.need(conversation_id)

    async def _check(self, conversation_id: str) -> None:
        asked = [entry for entry in self.outbox.of(conversation_id) if entry.accepted]
        if asked and self._session.socket is not None:
            with contextlib.suppress(Error):  # asked again before long
                page = await self._inbox.page(conversation_id, after_seq=asked[0].seq - 1, page_size=1)
                self._inbox.note(page)
                if page.HasField("head"):
                    self._missed(conversation_id, self.outbox.missed(asked, position_of(page.head)))

    async def _send_all(self, conversation_id: str) -> None:
        pauses = Pauses()
        while (socket := self._session.socket) and (entry := self.outbox.next(conversation_id)):
            try:
                request = self.outbox.request(entry, time.time())
                self.sent(await socket.call("send", request, ATTEMPT_SECONDS))
                pauses = Pauses()
            except Error as error:
                if error.reason.code == code_pb2.UNAUTHENTICATED:
                    self._session.renew()
                if error.reason.code in _FINAL or error.reason in _FINAL_REASONS:
                    self._refused(entry, error)
                else:
                    pause = error.retry_after or pauses.after(Reconnect.BACKOFF, 0.0)
                    await asyncio.sleep(min(_LONGEST_PAUSE, pause))

    def _accepted(self, message: Message, rung: Rung.ValueType) -> None:
        entry = self.outbox.accepted(message.client_message_id, position_of(message))
        if entry is None:
            return
        self._accepted_at[entry.client_message_id] = time.monotonic()
        self._keep(entry)
        for waiter in self._waiters.get(entry.client_message_id, ()):
            waiter.reached(rung, message)
        if rung >= DURABLE and self.outbox.remove(entry.client_message_id):
            self._done(entry)

    def _refused(self, entry: Entry, error: Error) -> None:
        if self.outbox.remove(entry.client_message_id) is not None:
            self._outlet.put(SendFailed(entry, error))
            self._failed(entry.client_message_id, error)

    def _durable(self, conversation_id: str, position: Position) -> None:
        for entry in self.outbox.durable(conversation_id, position):
            self._done(entry)

    def _done(self, entry: Entry) -> None:
        for waiter in self._waiters.pop(entry.client_message_id, ()):
            waiter.reached(DURABLE)
        self._forget(entry.client_message_id)

    def _failed(self, client_message_id: str, error: Error) -> None:
        for waiter in self._waiters.pop(client_message_id, ()):
            waiter.failed(error)
        self._forget(client_message_id)

    def _forget(self, client_message_id: str) -> None:
        self._store.remove(ENTRY + client_message_id)
        self._accepted_at.pop(client_message_id, None)
        self._changed.set()

    def _keep(self, entry: Entry) -> None:
        self._store.put(ENTRY + entry.client_message_id, asdict(entry))
