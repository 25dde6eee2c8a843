"""One request, from its headers to its answer; the library in between knows it by a context variable."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext
from protobuf import Message

from codegen.runtime.codec import MessageJson
from codegen.runtime.connect.protocol import Form, Protocol
from codegen.runtime.connect.refusal import RefusalError, own
from codegen.runtime.context import Context
from codegen.runtime.errors import Error
from codegen.runtime.method import Method
from codegen.runtime.pipeline import REQUEST_ID, internal
from codegen.runtime.transcoding.disconnect import ClientGoneError, cancelled
from codegen.runtime.transcoding.http_error import headers_of


@dataclass(frozen=True, slots=True)
class Entry:
    """A method with all that is worked out once."""

    method: Method
    request: MessageJson
    response: MessageJson
    verbs: tuple[str, ...]
    """HTTP methods by which it may be called."""
    max_bytes: int
    """Most bytes of a request in any form."""

    @property
    def streams(self) -> bool:
        """Whether requests or responses are many."""
        return self.method.client_streaming or self.method.server_streaming


@dataclass(slots=True)
class Call:
    """One request."""

    entry: Entry
    form: Form
    name: str
    """Of the request."""
    context: Context | None = None
    """None where the call was refused."""
    refused: Error | None = None

    @property
    def admitted(self) -> Context:
        """The context of a call that was let in.

        Raises:
            Error: it was refused.
        """
        if self.context is None:
            raise self.refused or AssertionError("neither admitted nor refused")
        return self.context

    def read(self, data: bytes) -> tuple[Message[Any], bytes]:
        """The message that a body or an envelope holds, and its binary form.

        Raises:
            Error: MALFORMED_BODY, INVALID_FIELD or UNKNOWN_FIELD.
        """
        if self.form.binary:
            return self.entry.request.parse_binary(data), data
        message = self.entry.request.parse(data)
        return message, self.entry.request.to_binary(message)

    def written(self, data: bytes) -> bytes:
        """A response as the caller wants it."""
        return data if self.form.binary else self.entry.response.to_json(data)


CALL: ContextVar[Call] = ContextVar("idiom.connect.call")
"""The request that the current task serves."""


class Manners:
    """Interceptor: lets calls in before their bodies are read, and gives every failure its form."""

    async def on_start(self, ctx: RequestContext[Any, Any]) -> None:
        """Refuses what was not let in."""
        call = CALL.get()
        ctx.response_headers[REQUEST_ID] = call.name
        ctx.response_headers["x-content-type-options"] = "nosniff"
        if call.refused is not None:
            raise _refusal(call, call.refused, ctx)

    async def on_end(self, _token: None, ctx: RequestContext[Any, Any], error: Exception | None, /) -> None:
        """Whatever went wrong leaves as a RefusalError."""
        if error is not None and not isinstance(error, RefusalError):
            raise _refusal(CALL.get(), _known(error), ctx)


def _known(error: Exception) -> Error:
    if isinstance(error, Error):
        return error
    if isinstance(error, ConnectError):
        return own(error)
    if isinstance(error, ClientGoneError):
        return cancelled()
    call = CALL.get()
    try:
        raise error  # noqa: TRY301  # so that it is logged with its traceback
    except Exception:  # noqa: BLE001  # the outermost frame of a call: no defect crosses a border as it is
        return internal(call.entry.method.full_name, call.name)


def _refusal(call: Call, error: Error, ctx: RequestContext[Any, Any]) -> RefusalError:
    refusal = RefusalError(error)
    if call.form.protocol is Protocol.UNARY:
        for name, value in headers_of(error, error.http_status):
            ctx.response_headers[name.decode()] = value.decode()
    return refusal
