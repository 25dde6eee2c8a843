"""Calls that an edge passes on as bytes: admitted, checked, and called upstream as their caller."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from codegen.runtime.context import Context, Wire
from codegen.runtime.grpc_client import CallOptions
from codegen.runtime.json_diagnosis import invalid
from codegen.runtime.transcoding.settings import HttpSettings
from codegen.runtime.validation import validate

if TYPE_CHECKING:
    from codegen.runtime.grpc_client import Channel
    from codegen.runtime.method import Method
    from codegen.runtime.pipeline import Pipeline

TRACE = frozenset({"traceparent", "tracestate"})
"""Request metadata that always goes on to the service."""
MAX_TRACE = 512
"""Most characters of such a value (W3C Trace Context, section 3.3.1.5)."""
BINARY = "-bin"
"""Ends the names of metadata that is bytes."""

Read = Callable[[bytes], tuple[Any, bytes]]
"""From a request as it came to the message to validate, and its binary form."""


class Relay:
    """Passes calls on to services.

    Args:
        pipeline: run once per call.
        channel: reaches the services.
        settings: which metadata goes on, and which comes back.

    Raises:
        ValueError: the settings forward what only services may say.
    """

    def __init__(self, pipeline: Pipeline, channel: Channel, settings: HttpSettings) -> None:
        if own := {name for name in settings.forwarded_headers if name.startswith("idiom-")}:
            raise ValueError(f"only services may say {', '.join(sorted(own))}")
        self.pipeline = pipeline
        self.forwarded = settings.forwarded_headers | TRACE
        self._exposed = settings.exposed_metadata
        self._channel = channel

    def admit(
        self, method: Method, metadata: Mapping[str, str | bytes], wire: Wire, timeout: float | None
    ) -> Context:
        """Lets a call in, or refuses it. A stream may last: only the caller's own timeout ends it.

        Args:
            method: what is called.
            metadata: as its caller sent it; under names that end in `-bin`, bytes or their base64.
            wire: how the call came in.
            timeout: seconds that the caller gives.

        Raises:
            Error: as `Pipeline.admit`, and INVALID_FIELD for metadata that cannot be read.
        """
        texts = {name: value for name, value in metadata.items() if isinstance(value, str)}
        context = self.pipeline.admit(method, texts, wire=wire, timeout=timeout)
        forwarded = {name: _value(name, metadata[name]) for name in self.forwarded & metadata.keys()}
        deadline = context.deadline
        if method.client_streaming or method.server_streaming:
            deadline = None if timeout is None else time.monotonic() + timeout
        return dataclasses.replace(context, metadata=forwarded, deadline=deadline)

    async def unary(self, method: Method, request: Any, payload: bytes, context: Context) -> bytes:
        """One request, one response.

        Args:
            method: what is called.
            request: the message, to be validated.
            payload: its binary form, as it is sent.
            context: of the admitted call.

        Raises:
            Error: the call was refused or failed.
        """
        self.pipeline.check_size(method, len(payload))

        async def invoke(_request: Any, context: Context) -> bytes:
            return await self._channel.unary_bytes(method, payload, _options(context))

        return await self.pipeline.call(method, request, context, invoke)

    def stream(
        self, method: Method, requests: AsyncIterator[bytes], read: Read, context: Context
    ) -> AsyncIterator[bytes]:
        """Requests and responses of a method that streams either way; every request is checked.

        Raises:
            Error: the call was refused or failed, or one of its requests was.
        """
        checked = self._checked(method, requests, read)
        return self._channel.stream_bytes(method, checked, _options(context))

    async def _checked(
        self, method: Method, requests: AsyncIterator[bytes], read: Read
    ) -> AsyncGenerator[bytes, None]:
        async for data in requests:
            message, payload = read(data)
            self.pipeline.check_size(method, len(payload))
            validate(message)
            yield payload

    def exposed(self, context: Context) -> dict[str, str | bytes]:
        """What of the service's metadata the caller may see."""
        if not self._exposed:
            return {}
        told = context.response_metadata
        return {name: told[name] for name in self._exposed & told.keys()}


def text_of(value: str | bytes) -> str:
    """Metadata as a header says it: bytes in base64 without padding, as gRPC has it."""
    return value if isinstance(value, str) else base64.b64encode(value).rstrip(b"=").decode()


def _options(context: Context) -> CallOptions:
    return CallOptions(
        identity=context.identity,
        timeout=context.remaining,
        request_id=context.request_id,
        metadata=context.metadata,
        response_metadata=context.response_metadata,
    )


def _value(name: str, value: str | bytes) -> str | bytes:
    if isinstance(value, bytes):
        return value
    if name in TRACE and len(value) > MAX_TRACE:
        return ""
    if not name.endswith(BINARY):
        return value
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid(name, "base64 is expected") from None
