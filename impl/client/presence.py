"""Everything that a client does for the user who is logged in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self

from im.client.v1.frames_pb2 import Ack, Cursor, Welcome
from im.logic.v1.connection_service_http import ConnectionServiceHttp
from im.logic.v1.message_pb2 import Message
from im.logic.v1.message_service_http import MessageServiceHttp

from codegen.runtime.background import background
from codegen.runtime.client.channel import HttpChannel
from codegen.runtime.errors import Error
from impl.client.addresses import room_of
from impl.client.credentials import Credentials
from impl.client.events import ConnectionChanged, ConnectionState
from impl.client.feed import Position
from impl.client.inbox import Inbox
from impl.client.options import Options
from impl.client.outlet import Outlet
from impl.client.sender import Sender
from impl.client.session import Session
from impl.client.store import Section, Store

_ACK_SECONDS: Final = 0.5


class Presence:
    """Session, inbox and sender of one login; a context manager.

    Args:
        credentials: somebody is logged in.
        channel: to the gateway, with their token.
        store: of the client; what is kept of other users stays untouched.
        outlet: where events go.
        options: how the client behaves.
    """

    def __init__(
        self,
        credentials: Credentials,
        channel: HttpChannel,
        store: Store,
        outlet: Outlet,
        options: Options,
    ) -> None:
        me = credentials.user_id
        self.section = Section(store, f"{me}/")
        self.session = Session(ConnectionServiceHttp(channel), credentials, options.encoding, self)
        self.inbox = Inbox(me, self.section, outlet, MessageServiceHttp(channel), backlog=options.backlog)
        self.sender = Sender(me, self.section, outlet, self.session, self.inbox)
        self.inbox.follower = self.sender
        self._outlet = outlet
        self._stack = AsyncExitStack()
        self._changed = asyncio.Event()
        self._arrived: dict[str, Position] = {}
        self._acked: dict[str, Position] = {}

    async def __aenter__(self) -> Self:
        """Begin; does not wait for the network."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.inbox)
            await stack.enter_async_context(self.sender)
            works = {"session": self.session.run(), "checks": self.sender.run(), "acks": self._acknowledge()}
            tasks = [background(work, name) for name, work in works.items()]
            stack.push_async_callback(_ended, tasks)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the session and everything under way."""
        await self._stack.aclose()
        self.session.stopped()

    async def live(self) -> None:
        """Wait until the session is live.

        Raises:
            Error: it will not be.
        """
        while self.session.state is not ConnectionState.LIVE:
            if self.session.state is ConnectionState.CLOSED and self.session.error is not None:
                raise self.session.error
            self._changed.clear()
            await self._changed.wait()

    def shown(self, message: Message) -> None:
        """The program is done with an event."""
        self.inbox.shown(message)
        if room_of(message.conversation_id) is None:
            self._arrived[message.conversation_id] = Position(message.epoch, message.seq)

    def cursors(self) -> Sequence[Cursor]:
        """Where the client stands."""
        return self.inbox.cursors()

    def welcomed(self, welcome: Welcome) -> None:
        """A session has begun; what was confirmed in the one before may have been lost with it."""
        self._arrived = {**self._acked, **self._arrived}
        self._acked = {}
        self.inbox.welcomed(welcome.heads)
        self.sender.welcomed()

    def resumed(self) -> None:
        """What was missed has been sent."""
        self.inbox.resumed()

    def heard(self, kind: str, content: Any) -> None:
        """A frame has come. What only a newer service says is passed over."""
        match kind:
            case "message":
                self.inbox.message(content)
            case "progress":
                self.inbox.progress(content)
            case "heads":
                for head in content.heads:
                    self.inbox.head(head)
            case "incomplete":
                self.inbox.incomplete(content.head)
            case "sent":
                self.sender.sent(content.response)

    def changed(self, state: ConnectionState, error: Error | None, retry_in: float) -> None:
        """The session is another way than before."""
        self._outlet.put(ConnectionChanged(state, error, retry_in), "connection")
        self._changed.set()

    async def _acknowledge(self) -> None:
        """Say now and then what has arrived."""
        while True:
            await asyncio.sleep(_ACK_SECONDS)
            with contextlib.suppress(Error):  # the next session says it again
                while self._arrived and (socket := self.session.socket):
                    name, position = self._arrived.popitem()
                    self._acked[name] = position
                    await socket.post(
                        "ack", Ack(conversation_id=name, epoch=position.epoch, seq=position.seq)
                    )


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
