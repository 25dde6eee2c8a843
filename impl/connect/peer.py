"""One client on one socket, from the handshake to the close."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from google.protobuf.message import Message
from idiom.v1 import reason_errors as runtime_reasons
from im.client.v1.frames_pb2 import Ack, Heartbeat, Hello, Resumed, ServerFrame, Welcome
from im.errors.v1 import close_closes as closes
from im.errors.v1 import reason_errors as reasons
from im.logic.v1 import message_pb2
from im.logic.v1.message_service_pb2 import SendMessageResponse
from websockets.exceptions import ConnectionClosed

from codegen.runtime.context import Context, Wire
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import CallOptions
from codegen.runtime.method import CloseCode
from codegen.runtime.sockets import Lanes, SocketConnection
from codegen.runtime.sockets.calls import Request
from codegen.runtime.validation import validate
from impl.connect.backlog import Backlog, LiveFrame, Place
from impl.connect.greeting import refusal, user_of
from impl.connect.hub import Hub
from impl.connect.resume import Missing, Resume, incomplete, place_of, plan
from impl.connect.seen import NOWHERE
from impl.connect.session import Reaction, Session, State
from impl.storage.sessions import SessionAddress

log = logging.getLogger(__name__)

_RESUMING = "resume"
"""The lane in which a session is sent what it missed."""
_ECHO_SECONDS = 1.0
_OVERLAP_SECONDS = 30.0
"""After which no live event comes any more that was sent as missed."""


class Peer:
    """One client: its session, its connection, and its calls under way."""

    __slots__ = (
        "_address",
        "_backlog",
        "_beaten",
        "_connection",
        "_hub",
        "_lanes",
        "_overlap",
        "_overlap_ends",
        "_session",
        "_slot",
        "_token",
    )

    def __init__(self, hub: Hub, connection: SocketConnection) -> None:
        self._hub = hub
        self._connection = connection
        self._session = Session(hub.limits, _now())
        self._lanes = Lanes(hub.endpoint.socket.max_calls)
        self._token = ""
        self._address: SessionAddress | None = None
        self._backlog: Backlog | None = None
        self._overlap: dict[str, Place] = {}
        """How far conversations were sent as missed, as long as live events may still come of that."""
        self._overlap_ends = 0.0
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
            log.exception("session %s failed", self.session_id)
            self.close(closes.UNSPECIFIED)
            await self._connection.wait_closed()
        finally:
            self._leave()

    def tick(self, now: float) -> None:
        """Time has passed."""
        if not self._connection.open:
            self._session.close(now)
        if self._overlap and self.live and now > self._overlap_ends:
            self._overlap = {}
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

    @property
    def session_id(self) -> str:
        """Id of the session, once it said hello."""
        return self._address.session_id if self._address else "(new)"

    @property
    def live(self) -> bool:
        """Whether nothing that it missed is being sent."""
        return self._session.state is State.LIVE

    def deliver(self, frame: LiveFrame) -> bool:
        """Hand a live frame to the client, after what comes before it; False if the session is over."""
        if self._session.state is State.CLOSING:
            return False
        if self._repeats(frame):
            return True
        written = frame.written(self._connection.codec)
        if self._backlog is not None and self._backlog.holds(frame.conversation_id):
            self._backlog.put(frame.conversation_id, frame.place, written)
        else:
            self._write(written)
        return True

    def _repeats(self, frame: LiveFrame) -> bool:
        """Whether the event was sent as missed: the history has events that are still on their way here."""
        last = self._overlap.get(frame.conversation_id)
        if last is None or frame.place is None:
            return False
        if frame.place > last:
            del self._overlap[frame.conversation_id]
        return frame.place <= last

    def say(self, frame: Message) -> None:
        """Hand a frame to the client that waits for nothing."""
        self._write(self._connection.codec.write(frame))

    def close(self, code: CloseCode, error: Error | None = None) -> None:
        """Begin the end: what is queued, the error if there is one, and the close frame go out."""
        if not self._session.close(_now()):
            return
        if error is not None:
            frame = self._hub.endpoint.calls.error(error)
            self._connection.offer(self._connection.codec.write(frame))
        self._connection.finish(code)
        self._watch()
        log.debug("session %s closes as %s", self.session_id, code.name)

    def abort(self) -> None:
        """Cut the connection."""
        self._connection.abort()

    async def finished(self) -> None:
        """Wait until no call of the client is under way."""
        await self._lanes.finished()

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
        if self._session.welcome and error.reason is not runtime_reasons.MALFORMED_BODY:
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
            self.close(refusal(error), error)

    async def _enter(self, hello: Hello) -> None:
        validate(hello)
        self._token = hello.access_token
        hub = self._hub
        context = hub.pipeline.admit(hub.endpoint.socket.method, self._metadata(), wire=Wire.SOCKET)
        user_id = user_of(context.caller)
        self._address = SessionAddress(user_id, secrets.token_hex(12), hub.instance, hub.boot_id)
        self._backlog = Backlog(hub.endpoint.socket.send_queue_bytes // 4)
        self._session.opening()
        hub.online.add(user_id, self.session_id, self)
        await hub.keeper.add(self._address)
        listed = await hub.memberships.of(user_id)
        if self._session.state is State.OPENING:
            heads = {head.conversation_id: head for head in listed.heads}
            missing = plan(user_id, hello.cursors, heads, hub.bounds)
            self._welcome(heads, missing)
            options = CallOptions(replace(context.caller, session=self.session_id))
            await self._resume([one for one in missing if not one.complete], options)

    def _welcome(self, heads: Mapping[str, message_pb2.Head], missing: Sequence[Missing]) -> None:
        beat = max(1, round(self._hub.endpoint.socket.heartbeat))
        self._session.catching_up()
        self.say(
            ServerFrame(
                welcome=Welcome(session_id=self.session_id, heartbeat_seconds=beat, heads=heads.values())
            )
        )
        self._hub.seen.welcome(self.session_id, heads.values())
        if self._backlog is not None:
            places = {one.conversation_id: one.place for one in missing}
            held = [one.conversation_id for one in missing if not one.complete]
            for name in self._backlog.hold_only(held):
                self._release(name, places.get(name), heads.get(name))

    async def _resume(self, missing: Sequence[Missing], options: CallOptions) -> None:
        if missing:
            await self._lanes.submit(_RESUMING, partial(self._catch_up, missing, options))
        else:
            self._resumed()

    async def _catch_up(self, missing: Sequence[Missing], options: CallOptions) -> None:
        hub = self._hub
        try:
            resume = Resume(hub.messages, hub.resuming, hub.bounds, self._send_missed, self._caught_up)
            await resume.run(missing, options)
            self._resumed()
        finally:
            if self._session.state is State.CATCHING_UP:
                self.close(closes.UNSPECIFIED)

    def _send_missed(self, message: message_pb2.Message, most_bytes: int) -> int:
        written = self._connection.codec.write(ServerFrame(message=message))
        if len(written) > most_bytes:
            return 0
        self._write(written)
        return len(written)

    def _caught_up(self, one: Missing) -> None:
        self._hub.seen.note((self.session_id, one.conversation_id), one.place)
        if one.complete and one.head is not None and one.place <= place_of(one.head):
            self._overlap[one.conversation_id] = one.place
        self._release(one.conversation_id, one.place, one.head, complete=one.complete)

    def _release(
        self, name: str, place: Place | None, head: message_pb2.Head | None, *, complete: bool = True
    ) -> None:
        """What waits of a conversation goes out, after what is told of that which is missing before it."""
        if self._backlog is None:
            return
        frames, lost = self._backlog.release(name, place or NOWHERE)
        if lost is not None or not complete:
            self.say(ServerFrame(incomplete=incomplete(name, place, head, lost)))
        for written in frames:
            self._write(written)

    def _resumed(self) -> None:
        if self._session.state is State.CATCHING_UP:
            self._session.live()
            self._backlog = None
            self._overlap_ends = _now() + _OVERLAP_SECONDS
            self.say(ServerFrame(resumed=Resumed()))

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
            if isinstance(response, SendMessageResponse):
                self._sent(response.message)
            self.say(self._hub.endpoint.calls.reply(request, response))

    async def _forward(self, request: Request, message: Any, context: Context) -> Message:
        validate(request.frame)
        options = CallOptions(
            identity=replace(context.caller, session=self.session_id),
            timeout=context.remaining,
            request_id=context.request_id,
        )
        return await self._hub.channel.unary(request.method, message, request.method.response, options)

    def _sent(self, message: message_pb2.Message) -> None:
        """The session sees its own message in the answer: nobody else tells it."""
        self._hub.seen.note((self.session_id, message.conversation_id), place_of(message))
        self._hub.acks.known(message.sender_id, message.conversation_id, message.seq)

    def _acknowledge(self, ack: Ack) -> None:
        try:
            validate(ack)
            if self._address is not None:
                self._hub.acks.receive(self._address.user_id, ack)
        except Error as error:
            self._refuse(error)

    def _metadata(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self._token}"}

    def _refuse(self, error: Error, request_id: str = "") -> None:
        self.say(self._hub.endpoint.calls.error(error, request_id))

    def _beat(self) -> None:
        """Show life, but do not answer the echo of an own heartbeat: two polite sides would never stop."""
        now = _now()
        if now >= self._beaten + _ECHO_SECONDS:
            self._beaten = now
            self.say(ServerFrame(heartbeat=Heartbeat()))

    def _write(self, written: bytes) -> None:
        if self._session.state is State.CLOSING:
            return
        if not self._connection.offer(written):
            log.info("session %s reads too slowly", self.session_id)
            self.close(closes.SLOW_CONSUMER)

    def _watch(self) -> None:
        wheel = self._hub.wheel
        wheel.remove(self, self._slot)
        self._slot = wheel.put(self, self._session.due(self._connection.heard, self._connection.said))

    def _leave(self) -> None:
        self._hub.wheel.remove(self, self._slot)
        if self._address is not None:
            self._hub.online.remove(self._address.user_id, self.session_id, self)
            self._hub.keeper.remove(self._address)


def _unexpected(kind: str) -> Error:
    return Error(reasons.UNEXPECTED_FRAME, f"`{kind}` is not expected now")


def _now() -> float:
    return asyncio.get_running_loop().time()
