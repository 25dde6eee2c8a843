"""Clients that send, each message until it is accepted or refused."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.history import History, Record, Send, record_of
from tests.faults.wire import (
    ATTEMPT_SECONDS,
    DISCONNECTED,
    TRANSIENT_CODES,
    Account,
    Codec,
    Json,
    NotNowError,
    RefusedError,
    Socket,
    opened,
)

_PAUSE_SECONDS = 0.1
_BACKLOG_SECONDS = 20.0
Note = Callable[[float], None]


@dataclass
class Sender:
    """Sends over HTTP at a steady rate, one message after the other.

    Args:
        account: who sends.
        target: `{"toUserId": …}` or `{"roomId": …}`.
        conversation_id: where that is.
        history: where it is noted.
        interval: seconds between the begins of two messages.
        refusals: reasons that may be met, because the sender may be no member just then.
    """

    account: Account
    target: Json
    conversation_id: str
    history: History
    interval: float
    refusals: frozenset[str] = frozenset()

    async def run(self, stop: asyncio.Event, note: Note) -> None:
        """Sends until `stop`; a message begun is finished.

        Args:
            stop: ends the sending.
            note: told the start (`time.monotonic()`) of each attempt that was answered.
        """
        due = time.monotonic()
        for number in itertools.count(1):
            if stop.is_set():
                return
            name = f"{self.account.name}-{type(self).__name__}-{number}"
            send = Send(self.conversation_id, self.account.user_id, name)
            self.history.sends.append(send)
            await self._finish(send, note)
            due = max(due + self.interval, time.monotonic() - _BACKLOG_SECONDS)
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _finish(self, send: Send, note: Note) -> None:
        body = {**self.target, "clientMessageId": send.client_message_id, "text": send.client_message_id}
        while True:
            send.attempts += 1
            started = time.monotonic()
            try:
                send.record = await self._attempt(body)
            except RefusedError as error:
                send.refused = error.reason
                if error.reason not in self.refusals:
                    self.history.complaints.append(f"{send} was refused")
            except DISCONNECTED:
                await self._broken()
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            note(started)
            return

    async def _attempt(self, body: Json) -> Record:
        return record_of((await self.account.call("POST", "/v1/messages", body))["message"])

    async def _broken(self) -> None:
        """An attempt found no answer."""


@dataclass
class SocketSender(Sender):
    """Sends through a socket that is opened again whenever it breaks."""

    codec: Codec = "json"
    _socket: Socket | None = None

    async def run(self, stop: asyncio.Event, note: Note) -> None:
        """Sends until `stop`, then closes the socket."""
        try:
            await super().run(stop, note)
        finally:
            await self._broken()

    async def _attempt(self, body: Json) -> Record:
        async with asyncio.timeout(ATTEMPT_SECONDS):
            if self._socket is None:
                self._socket = await opened(self.account, self.codec)
            return await self._exchange(self._socket, body)

    async def _broken(self) -> None:
        if self._socket is not None:
            await self._socket.drop()
            self._socket = None

    async def _exchange(self, socket: Socket, body: Json) -> Record:
        name = body["clientMessageId"]
        await socket.say({"send": {"requestId": name, "request": body}})
        async for frame in socket:
            if "sent" in frame and frame["sent"]["requestId"] == name:
                return record_of(frame["sent"]["response"]["message"])
            if "error" in frame and frame["error"]["requestId"] == name:
                if frame["error"]["code"] in TRANSIENT_CODES:
                    raise NotNowError
                raise RefusedError(frame["error"]["reason"])
        raise NotNowError
