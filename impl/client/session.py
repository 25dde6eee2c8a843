"""The socket of a login, which comes back by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol

from google.rpc import code_pb2
from im.client.v1.frames_pb2 import Cursor, Hello, Welcome
from im.client.v1.session_service_socket import SESSION
from im.descriptors import registry
from im.errors.v1 import close_closes as closes
from im.errors.v1 import reason_errors as reasons
from im.logic.v1.connection_service_http import ConnectionServiceHttp
from im.logic.v1.connection_service_pb2 import GetConnectionRequest

from codegen.runtime.client.frames import Encoding, client_frames
from codegen.runtime.client.reconnect import LOST, Pauses, declared
from codegen.runtime.client.socket import FrameSocket, opened, terms
from codegen.runtime.deadline import Deadline
from codegen.runtime.errors import Error, Reason
from codegen.runtime.method import CloseCode, Reconnect
from impl.client.credentials import Credentials
from impl.client.events import ConnectionState

WELCOME_SECONDS: Final = 20.0
"""Seconds from `hello` to `welcome`."""
RESUME_SECONDS: Final = 15.0
"""Seconds from `welcome` to `resumed`; after that the client reads by itself what it missed."""
_EXPIRED: Final = CloseCode("TOKEN_EXPIRED", LOST.code, Reconnect.AUTHENTICATE)


class Listener(Protocol):
    """Who is told what a session hears."""

    def cursors(self) -> Sequence[Cursor]:
        """Where the client stands."""
        ...

    def welcomed(self, welcome: Welcome) -> None:
        """A session has begun; calls can be made."""
        ...

    def resumed(self) -> None:
        """What was missed has been sent, as far as it will be."""
        ...

    def heard(self, kind: str, content: Any) -> None:
        """A frame has come that answers no call."""
        ...

    def changed(self, state: ConnectionState, error: Error | None, retry_in: float) -> None:
        """The session is another way than before."""
        ...


class Session:
    """Opens sessions one after the other until the login ends or the service wants no other.

    Args:
        connections: says where to connect.
        credentials: who connects.
        encoding: of frames.
        listener: who is told.
    """

    def __init__(
        self,
        connections: ConnectionServiceHttp,
        credentials: Credentials,
        encoding: Encoding,
        listener: Listener,
    ) -> None:
        self.state = ConnectionState.CLOSED
        self.error: Error | None = None
        """Why the state is what it is, where something failed."""
        self.socket: FrameSocket | None = None
        """The open socket, once it was welcomed."""
        self._connections = connections
        self._credentials = credentials
        self._listener = listener
        known = declared(reasons, Reason)
        frames = client_frames(SESSION, registry(), encoding)
        self._terms = terms(SESSION, frames, declared(closes, CloseCode), known)
        self._complaint: Error | None = None
        self._welcomed_at = 0.0

    async def run(self) -> None:
        """Keep a session open; returns when there will be no other."""
        pauses = Pauses()
        while True:
            self._become(ConnectionState.CONNECTING)
            advice, error, lasted = await self._once()
            if advice is Reconnect.NEVER or self._credentials.login is None:
                self._become(ConnectionState.CLOSED, error)
                return
            if advice is Reconnect.AUTHENTICATE:
                self._credentials.refused()
            pause = pauses.after(advice, lasted)
            self._become(ConnectionState.WAITING, error, pause)
            await asyncio.sleep(pause)

    def stopped(self) -> None:
        """Nobody runs it any more."""
        self._become(ConnectionState.CLOSED)

    def renew(self) -> None:
        """The service does not accept the session's token any more: begin another with a new one."""
        self._credentials.refused()
        if self.socket is not None:
            self.socket.abort(_EXPIRED)

    async def _once(self) -> tuple[Reconnect, Error | None, float]:
        """One session: how to come back after it, why it ended, and for how many seconds it was open."""
        self._complaint, self._welcomed_at = None, 0.0
        try:
            where = await self._connections.get_connection(GetConnectionRequest())
            token = await self._credentials.token()
            async with opened(self._terms, where.url) as socket:
                await self._converse(socket, token)
                ended = socket.ended or LOST
        except Error as error:
            refused = error.reason.code == code_pb2.UNAUTHENTICATED
            return (Reconnect.AUTHENTICATE if refused else Reconnect.BACKOFF), error, 0.0
        finally:
            self.socket = None
        lasted = _now() - self._welcomed_at if self._welcomed_at else 0.0
        return ended.reconnect, self._why(ended), lasted

    async def _converse(self, socket: FrameSocket, token: str) -> None:
        cursors = self._listener.cursors()
        await socket.post("hello", Hello(access_token=token, cursors=cursors))
        try:
            with Deadline(WELCOME_SECONDS):
                welcome = await self._welcome(socket)
        except TimeoutError:
            socket.abort()
            return
        if welcome is None:
            return
        socket.heartbeat = float(welcome.heartbeat_seconds or socket.heartbeat)
        self.socket, self._welcomed_at = socket, _now()
        self._become(ConnectionState.CATCHING_UP)
        self._listener.welcomed(welcome)
        timer = asyncio.get_running_loop().call_later(RESUME_SECONDS, self._resume)
        try:
            async for frame in socket:
                self._take(socket, frame)
        finally:
            timer.cancel()

    async def _welcome(self, socket: FrameSocket) -> Welcome | None:
        """The welcome; None if the connection ended instead."""
        async for frame in socket:
            kind = frame.WhichOneof("frame")
            if kind == "welcome":
                welcome: Welcome = frame.welcome
                return welcome
            if kind == "error":
                self._complaint = socket.refusal(frame.error)
        return None

    def _take(self, socket: FrameSocket, frame: Any) -> None:
        kind = frame.WhichOneof("frame")
        if kind == "error":
            self._complaint = socket.refusal(frame.error)
        elif kind == "resumed":
            self._resume()
        else:
            self._listener.heard(kind, getattr(frame, kind))

    def _resume(self) -> None:
        if self.state is ConnectionState.CATCHING_UP:
            self._become(ConnectionState.LIVE)
            self._listener.resumed()

    def _why(self, ended: CloseCode) -> Error | None:
        if self._complaint is not None or ended.reconnect is not Reconnect.NEVER:
            return self._complaint
        message = f"the service has ended the session as {ended.name} and wants no other"
        return Error(Reason(ended.name, reasons.NOT_A_MEMBER.domain, code_pb2.FAILED_PRECONDITION), message)

    def _become(self, state: ConnectionState, error: Error | None = None, retry_in: float = 0.0) -> None:
        self.state, self.error = state, error
        self._listener.changed(state, error, retry_in)


def _now() -> float:
    return asyncio.get_running_loop().time()
