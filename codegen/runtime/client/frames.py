"""Frames to what a WebSocket carries and back, on the client's side of an endpoint."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

from google.protobuf.message import DecodeError, Message
from idiom.v1 import reason_errors as reasons
from protobuf import Registry

from codegen.runtime.codec import JsonCodec
from codegen.runtime.errors import Error
from codegen.runtime.method import Socket

Encoding: TypeAlias = Literal["json", "proto"]
"""Which of the two subprotocols of an endpoint."""


class ClientFrames(Protocol):
    """One subprotocol of an endpoint."""

    @property
    def subprotocol(self) -> str:
        """As negotiated."""
        ...

    def write(self, frame: Message) -> str | bytes:
        """A client frame as the payload of a text (str) or binary (bytes) message."""
        ...

    def read(self, data: str | bytes) -> Message:
        """The server frame in a message. What only a newer service knows is passed over.

        Raises:
            Error: MALFORMED_BODY.
        """
        ...


class JsonClientFrames:
    """ProtoJSON in text frames."""

    def __init__(self, socket: Socket, registry: Registry) -> None:
        codec = JsonCodec(registry, ignore_unknown_fields=True)
        self.subprotocol = f"{socket.subprotocol}.json"
        self._type = socket.method.response
        self._writer = codec.type(socket.method.request.DESCRIPTOR.full_name)
        self._reader = codec.type(socket.method.response.DESCRIPTOR.full_name)

    def write(self, frame: Message) -> str:
        """A client frame as text."""
        return self._writer.to_json(frame.SerializeToString()).decode()

    def read(self, data: str | bytes) -> Message:
        """The server frame in a text message."""
        if isinstance(data, bytes):
            raise _unreadable("it is binary")
        return self._type.FromString(self._reader.parse(data).to_binary())


class BinaryClientFrames:
    """The binary form of Protobuf in binary frames."""

    def __init__(self, socket: Socket) -> None:
        self.subprotocol = f"{socket.subprotocol}.proto"
        self._type = socket.method.response

    def write(self, frame: Message) -> bytes:
        """A client frame as bytes."""
        return frame.SerializeToString()

    def read(self, data: str | bytes) -> Message:
        """The server frame in a binary message."""
        if isinstance(data, str):
            raise _unreadable("it is text")
        try:
            return self._type.FromString(data)
        except DecodeError:
            raise _unreadable("it is not a serialized message") from None


def client_frames(socket: Socket, registry: Registry, encoding: Encoding) -> ClientFrames:
    """The frames of an endpoint in one encoding."""
    return JsonClientFrames(socket, registry) if encoding == "json" else BinaryClientFrames(socket)


def _unreadable(why: str) -> Error:
    return Error(reasons.MALFORMED_BODY, f"a frame of the server cannot be read: {why}")
