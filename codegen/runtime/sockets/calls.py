"""Frames that call an rpc, and the frames that answer them.

By convention of the schema: a member of the client frame's oneof that calls carries a `request_id`; its
reply carries `request_id` and `response`; one member of the server frame's oneof carries `request_id`,
`code`, `reason` and `message`, and answers every call that failed.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from codegen.runtime.errors import Error
from codegen.runtime.method import FrameCall, Method, Socket

_ERROR_FIELDS = frozenset({"request_id", "code", "reason", "message"})


@dataclass(frozen=True, slots=True)
class Request:
    """A client frame that calls an rpc."""

    call: FrameCall
    frame: Any
    """The member of the client frame's oneof."""

    @property
    def id(self) -> str:
        """As the client chose it."""
        request_id: str = self.frame.request_id
        return request_id

    @property
    def method(self) -> Method:
        """What it calls."""
        return self.call.method

    @property
    def message(self) -> Message:
        """The request of the method."""
        message: Message = getattr(self.frame, self.call.request)
        return message

    @property
    def lane(self) -> Hashable:
        """Calls of one lane keep their order; `affinity` names the field that tells lanes apart.

        A field that is one of several stands for all of them: each value of each is a lane.
        """
        affinity = self.method.policy.affinity
        distinction = _distinction(self.message, affinity) if affinity else ()
        return (self.method.full_name, *distinction)


class FrameCalls:
    """What the frames of one endpoint mean.

    Args:
        socket: table of the endpoint.

    Raises:
        ValueError: the server frame has no member for errors.
    """

    def __init__(self, socket: Socket) -> None:
        self._calls = {call.frame: call for call in socket.calls}
        self._oneof = socket.oneof
        self._server_frame = socket.method.response
        self._error = error_member(socket.method.response)

    def kind(self, frame: Message) -> str:
        """Which member of its oneof a client frame has; empty if none that is known."""
        return frame.WhichOneof(self._oneof) or ""

    def request(self, kind: str, frame: Message) -> Request | None:
        """The call that the frame makes, if it makes one."""
        call = self._calls.get(kind)
        return None if call is None else Request(call, getattr(frame, kind))

    def reply(self, request: Request, response: Message) -> Message:
        """The server frame that answers a call."""
        frame: Any = self._server_frame()
        reply = getattr(frame, request.call.reply)
        reply.request_id = request.id
        reply.response.CopyFrom(response)
        return frame  # type: ignore[no-any-return]

    def error(self, error: Error, request_id: str = "") -> Message:
        """The server frame that says what went wrong."""
        frame: Any = self._server_frame()
        member = getattr(frame, self._error)
        member.request_id = request_id
        member.code = error.code_name
        member.reason = error.reason.name
        member.message = _explained(error)
        return frame  # type: ignore[no-any-return]


def _distinction(message: Message, field: str) -> tuple[str, Hashable]:
    """The name and value of a field, or of that of its oneof which is present."""
    oneof = message.DESCRIPTOR.fields_by_name[field].containing_oneof
    present = (message.WhichOneof(oneof.name) if oneof else None) or field
    return present, getattr(message, present)


def error_member(frame: type[Message]) -> str:
    """Which member of a server frame answers calls that failed.

    Raises:
        ValueError: there is none.
    """
    for field in frame.DESCRIPTOR.fields:
        if field.message_type is not None and set(field.message_type.fields_by_name) >= _ERROR_FIELDS:
            return field.name
    raise ValueError(
        f"{frame.DESCRIPTOR.full_name} has no member with the fields {', '.join(sorted(_ERROR_FIELDS))}"
    )


def _explained(error: Error) -> str:
    if not error.violations:
        return error.message
    return "; ".join(f"{violation.field}: {violation.description}" for violation in error.violations)
