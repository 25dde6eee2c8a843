"""Calls to other services over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from google.protobuf.message import Message

from codegen.runtime.context import Identity
from codegen.runtime.method import Method, Service

if TYPE_CHECKING:
    from codegen.runtime.discovery import Instances
    from codegen.runtime.identity import ServiceTokens

R = TypeVar("R", bound=Message)


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What a caller may say about one call."""

    identity: Identity | None = None
    """The user for whom the call is made; the service token vouches for it."""
    timeout: float | None = None
    """Seconds; None means the method's deadline."""
    instance: str = ""
    """Name of the instance to call; empty means any."""
    request_id: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


DEFAULT_OPTIONS = CallOptions()


class Channel(Protocol):
    """How generated clients call. All failures are raised as Error."""

    async def unary(self, method: Method, request: Message, response: type[R], options: CallOptions) -> R:
        """One request, one response."""
        ...

    async def unary_bytes(self, method: Method, request: bytes, options: CallOptions) -> bytes:
        """One request, one response, both serialized."""
        ...

    def stream_stream(
        self, method: Method, requests: AsyncIterator[Message], response: type[R], options: CallOptions
    ) -> AsyncIterator[R]:
        """Many requests, many responses."""
        ...


class Upstreams:
    """Channel to the live instances of other services."""

    def __init__(
        self, services: Sequence[Service], instances: Mapping[str, Instances], tokens: ServiceTokens | None
    ) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        """Start following the instances; opens no connection."""
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close all connections."""

    async def unary(self, method: Method, request: Message, response: type[R], options: CallOptions) -> R:
        """One request, one response."""
        raise NotImplementedError

    async def unary_bytes(self, method: Method, request: bytes, options: CallOptions) -> bytes:
        """One request, one response, both serialized."""
        raise NotImplementedError

    def stream_stream(
        self, method: Method, requests: AsyncIterator[Message], response: type[R], options: CallOptions
    ) -> AsyncIterator[R]:
        """Many requests, many responses."""
        raise NotImplementedError
