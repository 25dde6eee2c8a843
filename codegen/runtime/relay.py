"""Calls that an edge passes on as bytes: admitted, checked, and called upstream as their caller."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from codegen.runtime.context import Context, Wire
from codegen.runtime.grpc_client import CallOptions
from codegen.runtime.transcoding.metadata import Headers, headers_of_metadata
from codegen.runtime.transcoding.settings import HttpSettings
from codegen.runtime.validation import validate

if TYPE_CHECKING:
    from codegen.runtime.grpc_client import Channel
    from codegen.runtime.method import Method
    from codegen.runtime.pipeline import Pipeline

Read = Callable[[bytes], tuple[Any, bytes]]
"""From a request as it came to the message to validate, and its binary form."""


class Relay:
    """Passes calls on to services.

    Args:
        pipeline: run once per call.
        channel: reaches the services.
        settings: which metadata goes on, and which comes back.
    """

    def __init__(self, pipeline: Pipeline, channel: Channel, settings: HttpSettings) -> None:
        self.pipeline = pipeline
        self._headers = Headers(settings.forwarded_headers)
        self._exposed = settings.exposed_metadata
        self._channel = channel

    def admit(
        self, method: Method, metadata: Mapping[str, str], wire: Wire, timeout: float | None
    ) -> Context:
        """Lets a call in, or refuses it.

        Args:
            method: what is called.
            metadata: as its caller sent it; in base64 under names that end in `-bin`.
            wire: how the call came in.
            timeout: seconds that the caller gives.

        Raises:
            Error: as `Pipeline.admit`, and INVALID_FIELD for metadata that cannot be read.
        """
        context = self.pipeline.admit(method, metadata, wire=wire, timeout=timeout)
        return dataclasses.replace(context, metadata=self._headers.forwarded(metadata))

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

    async def once(self, method: Method, request: Any, payload: bytes, context: Context) -> bytes:
        """As `unary`, for an edge that keeps the deadline and hides defects itself."""
        self.pipeline.check_size(method, len(payload))
        validate(request)
        return await self._channel.unary_bytes(method, payload, _options(context))

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
        told = context.response_metadata
        return {name: told[name] for name in self._exposed & told.keys()}

    def exposed_headers(self, context: Context) -> list[tuple[bytes, bytes]]:
        """The same as headers of HTTP."""
        return headers_of_metadata(context.response_metadata, self._exposed)


def _options(context: Context) -> CallOptions:
    return CallOptions(
        identity=context.identity,
        timeout=context.remaining,
        request_id=context.request_id,
        metadata=context.metadata,
        response_metadata=context.response_metadata,
    )
