"""Frames to bytes and back, for the two subprotocols of an endpoint.

`<prefix>.json` carries ProtoJSON in text frames, `<prefix>.proto` the binary form in binary frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import orjson
from google.protobuf.message import DecodeError, Message
from idiom.v1 import reason_errors as reasons
from websockets.frames import Frame, Opcode

from codegen.runtime.codec import JsonCodec
from codegen.runtime.errors import Error
from codegen.runtime.method import Socket


class FrameCodec(Protocol):
    """One subprotocol of an endpoint."""

    @property
    def subprotocol(self) -> str:
        """As negotiated."""
        ...

    def read(self, data: str | bytes) -> Message:
        """The client frame in a text (str) or binary (bytes) message. Rules of the schema are not checked.

        Raises:
            Error: MALFORMED_BODY, INVALID_FIELD or UNKNOWN_FIELD.
        """
        ...

    def request_id(self, data: str | bytes) -> str:
        """The `request_id` in a frame that cannot be read; empty if none can be made out."""
        ...

    def write(self, frame: Message) -> bytes:
        """A server frame as it goes over TCP: the WebSocket header and the payload."""
        ...


class JsonFrames:
    """ProtoJSON in text frames."""

    def __init__(self, socket: Socket, json: JsonCodec) -> None:
        self.subprotocol = f"{socket.subprotocol}.json"
        self._type = socket.method.request
        self._reader = json.type(socket.method.request.DESCRIPTOR.full_name)
        self._writer = json.type(socket.method.response.DESCRIPTOR.full_name)

    def read(self, data: str | bytes) -> Message:
        """The client frame in a text message."""
        if isinstance(data, bytes):
            raise _wrong_kind("binary", self.subprotocol)
        return self._type.FromString(self._reader.parse(data).to_binary())

    def request_id(self, data: str | bytes) -> str:
        """The first one that a member of the frame has."""
        try:
            frame = orjson.loads(data)
        except orjson.JSONDecodeError:
            return ""
        members = frame.values() if isinstance(frame, dict) else ()
        objects = [member for member in members if isinstance(member, dict)]
        found = [member.get(name) for member in objects for name in ("requestId", "request_id")]
        return next((name for name in found if isinstance(name, str)), "")

    def write(self, frame: Message) -> bytes:
        """A server frame with its WebSocket header."""
        return _framed(Opcode.TEXT, self._writer.to_json(frame.SerializeToString()))


class BinaryFrames:
    """The binary form of Protobuf in binary frames."""

    def __init__(self, socket: Socket) -> None:
        self.subprotocol = f"{socket.subprotocol}.proto"
        self._type = socket.method.request

    def read(self, data: str | bytes) -> Message:
        """The client frame in a binary message."""
        if isinstance(data, str):
            raise _wrong_kind("text", self.subprotocol)
        try:
            return self._type.FromString(data)
        except DecodeError:
            raise Error(reasons.MALFORMED_BODY, "the frame is not a serialized message") from None

    def request_id(self, data: str | bytes) -> str:  # noqa: ARG002 - bytes that cannot be read hold no fields
        """Nothing."""
        return ""

    def write(self, frame: Message) -> bytes:
        """A server frame with its WebSocket header."""
        return _framed(Opcode.BINARY, frame.SerializeToString())


def frame_codecs(socket: Socket, json: JsonCodec) -> Mapping[str, FrameCodec]:
    """The codecs of an endpoint by subprotocol, the preferred one first."""
    codecs: tuple[FrameCodec, ...] = (BinaryFrames(socket), JsonFrames(socket, json))
    return {codec.subprotocol: codec for codec in codecs}


class Outgoing:
    """A server frame for many connections, encoded at most once per codec."""

    __slots__ = ("_frame", "_written")

    def __init__(self, frame: Message) -> None:
        self._frame = frame
        self._written: dict[str, bytes] = {}

    def written(self, codec: FrameCodec) -> bytes:
        """The frame as `codec` writes it."""
        written = self._written.get(codec.subprotocol)
        if written is None:
            written = self._written[codec.subprotocol] = codec.write(self._frame)
        return written


def _framed(opcode: Opcode, payload: bytes) -> bytes:
    return Frame(opcode, payload).serialize(mask=False)


def _wrong_kind(kind: str, subprotocol: str) -> Error:
    return Error(reasons.MALFORMED_BODY, f"{subprotocol} does not carry {kind} frames")
