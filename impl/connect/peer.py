"""One client on one socket, from the handshake to the close."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from google.protobuf.message import Message
from idiom.v1 import reason_errors as runtime_reasons
from im.client.v1.frames_pb2 import Ack, Heartbeat, Hello, ServerFrame, Welcome
from im.errors.v1 import close_closes as closes
from im.errors.v1 import reason_errors as reasons
from im.logic.v1.conversation_service_pb2 import ListHeadsRequest
from im.logic.v1.conversation_service_rpc import ConversationServiceClient
from websockets.exceptions import ConnectionClosed

from codegen.runtime.context import Context, Identity, Wire
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import CallOptions, Channel
from codegen.runtime.method import CloseCode
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.sockets import Endpoint, Lanes, Outgoing, SocketConnection, Wheel
from codegen.runtime.sockets.calls import Request
from codegen.runtime.validation import validate
from impl.connect.keeper import SessionKeeper
from impl.connect.session import Limits, Reaction, Session, State
from impl.storage.conversations import Position
from impl.storage.envelope import private_members
from impl.storage.sessions import SessionAddress

log = logging.getLogger(__name__)

_ID_DIGITS = 19
_ECHO_SECONDS = 1.0
_REFUSED_CODES = frozenset(
    reason.code
    for reason in (
        runtime_reasons.TOKEN_INVALID,
        runtime_reasons.FORBIDDEN,
        runtime_reasons.VALIDATION_FAILED,
        reasons.USER_NOT_FOUND,
    )
)
"""Codes of a failed hello after which the client needs another token."""


@dataclass(slots=True)
class Hub:
    """What all peers of a process share."""

    instance: str
    boot_id: str
    endpoint: Endpoint
    limits: Limits
    pipeline: Pipeline
    channel: Channel
    keeper: SessionKeeper
    wheel: Wheel[Peer]
    sessions: dict[str, Peer] = field(default_factory=dict)
    """Peers that said hello, by session id."""
    draining: bool = False

    @property
    def conversations(self) -> ConversationServiceClient:
        """Client of logic."""
        return ConversationServiceClient(self.channel)


class Peer:
    """One client: its session, its connection, and its calls under way."""

    __slots__ = (
        "_address",
        "_beaten",
        "_connection",
        "_hub",
        "_lanes",
        "_session",
        "_slot",
        "_token",
        "_waiting",
        "_waiting_bytes",
    )

    def __init__(self, hub: Hub, connection: SocketConnection) -> None:
        self._hub = hub
        self._connection = connection
        self._session = Session(hub.limits, _now())
        self._lanes = Lanes(hub.endpoint.socket.max_calls)
        self._token = ""
        self._address: SessionAddress | None = None
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._slot = 0
        self._beaten = 0.0
        self._watch()

    async def run(self) -> None:
        """Serve the client until its connection is closed."""
        try:
            with suppress(ConnectionClosed):
                async with self._lanes:
                    await self._read()
        except Exception:
            log.exception("session %s failed", self._session_id)
            self.close(closes.UNSPECIFIED)
            await self._connection.wait_closed()
        finally:
            self._leave()

    def tick(self, now: float) -> None:
        """Time has passed."""
        if not self._connection.open:
            self._session.close(now)
        decision = self._session.tick(now, self._connection.heard, self._connection.said)
        if decision.beat:
            self._beat()
        if decision.probe:
            self._connection.probe()
        if decision.close is not None:
            self.close(decision.close)
        if decision.abort:
            self._connection.abort()
        self._watch()

    def deliver(self, outgoing: Outgoing) -> bool:
        """Hand a frame to the client; False if the session is over.

        Until the welcome is sent frames wait; more than may wait end the session.
        """
        match self._session.state:
            case State.LIVE:
                self._write(outgoing.written(self._connection.codec))
            case State.CATCHING_UP:
                self._wait(outgoing.written(self._connection.codec))
            case _:
                return False
        return True

    def close(self, code: CloseCode, error: Error | None = None) -> None:
        """Begin the end: what is queued, the error if there is one, and the close frame go out."""
        if not self._session.close(_now()):
            return
        if error is not None:
            frame = self._hub.endpoint.calls.error(error)
            self._connection.offer(self._connection.codec.write(frame))
        self._connection.finish(code)
        self._watch()
        log.debug("session %s closes as %s", self._session_id, code.name)

    def abort(self) -> None:
        """Cut the connection."""
        self._connection.abort()

    async def finished(self) -> None:
        """Wait until no call of the client is under way."""
        await self._lanes.finished()

    @property
    def _session_id(self) -> str:
        return self._address.session_id if self._address else "(new)"

    async def _read(self) -> None:
        while True:
            data = await self._connection.recv()
            await self._receive(data)

    async def _receive(self, data: str | bytes) -> None:
        if self._session.state is State.CLOSING:
            return
        try:
            frame = self._connection.codec.read(data)
            kind = self._kind(frame)
        except Error as error:
            self._unreadable(data, error)
            return
        match self._session.receive(kind):
            case Reaction.OPEN:
                await self._open(getattr(frame, kind))
            case Reaction.SERVE:
                await self._serve(kind, frame)
            case Reaction.REFUSE:
                self._refuse(_unexpected(kind))
            case Reaction.CLOSE:
                self.close(closes.HELLO_EXPECTED, _unexpected(kind))
            case Reaction.IGNORE:
                pass

    def _unreadable(self, data: str | bytes, error: Error) -> None:
        """A field that cannot be read spoils its frame, what is no frame at all spoils the session."""
        if self._session.state is State.LIVE and error.reason is not runtime_reasons.MALFORMED_BODY:
            self._refuse(error, self._connection.codec.request_id(data))
        else:
            self.close(closes.MALFORMED_FRAME, error)

    def _kind(self, frame: Message) -> str:
        kind = self._hub.endpoint.calls.kind(frame)
        if not kind:
            raise Error(runtime_reasons.MALFORMED_BODY, "the frame has no member that is known here")
        return kind

    async def _open(self, hello: Hello) -> None:
        self._session.authenticating(_now())
        try:
            async with asyncio.timeout_at(self._session.deadline):
                await self._enter(hello)
        except TimeoutError:
            error = Error(runtime_reasons.DEPENDENCY_UNAVAILABLE, "the session could not be opened in time")
            self.close(closes.UNAVAILABLE, error)
        except Error as error:
            refused = error.reason.code in _REFUSED_CODES
            self.close(closes.UNAUTHENTICATED if refused else closes.UNAVAILABLE, error)

    async def _enter(self, hello: Hello) -> None:
        validate(hello)
        self._token = hello.access_token
        socket = self._hub.endpoint.socket
        context = self._hub.pipeline.admit(socket.method, self._metadata(), wire=Wire.SOCKET)
        user_id = _user_id(context.caller)
        address = SessionAddress(user_id, secrets.token_hex(12), self._hub.instance, self._hub.boot_id)
        self._session.catching_up()
        self._address = address
        self._hub.sessions[address.session_id] = self
        await self._hub.keeper.add(address)
        listed = await self._hub.conversations.list_heads(ListHeadsRequest(user_id=user_id))
        if self._session.state is State.CATCHING_UP:
            beat = max(1, round(socket.heartbeat))
            self._welcome(Welcome(session_id=address.session_id, heartbeat_seconds=beat, heads=listed.heads))

    def _welcome(self, welcome: Welcome) -> None:
        self._session.live()
        self._say(ServerFrame(welcome=welcome))
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        for written in waiting:
            self._write(written)

    async def _serve(self, kind: str, frame: Message) -> None:
        request = self._hub.endpoint.calls.request(kind, frame)
        if request is not None:
            await self._call(request)
        elif kind == "heartbeat":
            self._beat()
        elif kind == "ack":
            self._acknowledge(getattr(frame, kind))
        else:
            self._refuse(_unexpected(kind))

    async def _call(self, request: Request) -> None:
        if self._hub.draining:
            self._refuse(Error(runtime_reasons.DRAINING, "the instance is shutting down"), request.id)
            return
        await self._lanes.submit(request.lane, partial(self._answer, request))

    async def _answer(self, request: Request) -> None:
        try:
            context = self._hub.pipeline.admit(
                request.method, self._metadata(), wire=Wire.SOCKET, size=request.message.ByteSize()
            )
            response = await self._hub.pipeline.call(
                request.method, request.message, context, partial(self._forward, request)
            )
        except Error as error:
            self._refuse(error, request.id)
        else:
            self._say(self._hub.endpoint.calls.reply(request, response))

    async def _forward(self, request: Request, message: Any, context: Context) -> Message:
        validate(request.frame)
        options = CallOptions(
            identity=replace(context.caller, session=self._session_id),
            timeout=context.remaining,
            request_id=context.request_id,
        )
        return await self._hub.channel.unary(request.method, message, request.method.response, options)

    def _acknowledge(self, ack: Ack) -> None:
        address = self._address
        if address is None:
            return
        try:
            _check_ack(ack, address.user_id)
        except Error as error:
            self._refuse(error)
            return
        position = Position(ack.conversation_id, ack.epoch, ack.seq)
        self._hub.keeper.acknowledge(address.user_id, position)

    def _metadata(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self._token}"}

    def _refuse(self, error: Error, request_id: str = "") -> None:
        self._say(self._hub.endpoint.calls.error(error, request_id))

    def _say(self, frame: Message) -> None:
        self._write(self._connection.codec.write(frame))

    def _beat(self) -> None:
        """Show life, but do not answer the echo of an own heartbeat: two polite sides would never stop."""
        now = _now()
        if now >= self._beaten + _ECHO_SECONDS:
            self._beaten = now
            self._say(ServerFrame(heartbeat=Heartbeat()))

    def _write(self, written: bytes) -> None:
        if self._session.state is State.CLOSING:
            return
        if not self._connection.offer(written):
            log.info("session %s reads too slowly", self._session_id)
            self.close(closes.SLOW_CONSUMER)

    def _wait(self, written: bytes) -> None:
        self._waiting_bytes += len(written)
        if self._waiting_bytes > self._hub.endpoint.socket.send_queue_bytes:
            self._waiting.clear()
            message = "too much arrived before the session was open"
            self.close(closes.UNAVAILABLE, Error(runtime_reasons.OVERLOADED, message))
        else:
            self._waiting.append(written)

    def _watch(self) -> None:
        wheel = self._hub.wheel
        wheel.remove(self, self._slot)
        self._slot = wheel.put(self, self._session.due(self._connection.heard, self._connection.said))

    def _leave(self) -> None:
        self._hub.wheel.remove(self, self._slot)
        if self._address is not None:
            self._hub.sessions.pop(self._address.session_id, None)
            self._hub.keeper.remove(self._address)


def _user_id(identity: Identity) -> int:
    subject = identity.subject
    user_id = int(subject) if subject.isascii() and subject.isdigit() and len(subject) <= _ID_DIGITS else 0
    if not 0 < user_id < 1 << 63:
        raise Error(runtime_reasons.TOKEN_INVALID, "the access token names no user")
    return user_id


def _check_ack(ack: Ack, user_id: int) -> None:
    validate(ack)
    if user_id not in (private_members(ack.conversation_id) or ()):
        raise Error(reasons.NOT_A_MEMBER, "not a member of this conversation")


def _unexpected(kind: str) -> Error:
    return Error(reasons.UNEXPECTED_FRAME, f"`{kind}` is not expected now")


def _now() -> float:
    return asyncio.get_running_loop().time()
