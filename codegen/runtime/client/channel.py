"""How generated HTTP clients call: options of a call, and what a channel does."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, TypeVar

from google.protobuf.message import Message

from codegen.runtime.transcoding.route import Route

R = TypeVar("R", bound=Message)

TokenSource: TypeAlias = Callable[[], Awaitable[str]]
"""Gives the bearer token of a call, asked before each; empty for a call without one."""
SyncTokenSource: TypeAlias = Callable[[], str]
"""The same without asyncio."""


@dataclass(slots=True)
class Answer:
    """What HTTP says beside the message; filled as soon as an answer or a refusal begins."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names; values of a repeated header are joined by commas. Metadata of the service is here
    as far as the server exposes it."""

    @property
    def etag(self) -> str:
        """The entity tag, for `HttpOptions.if_none_match`; empty without one."""
        return self.headers.get("etag", "")

    @property
    def request_id(self) -> str:
        """What the server calls the request, in its log too."""
        return self.headers.get("x-request-id", "")

    def binary(self, name: str) -> bytes:
        """Metadata whose name ends in `-bin`; empty if it is absent or no base64."""
        bare = self.headers.get(name.lower(), "").strip().rstrip("=")
        try:
            return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
        except (binascii.Error, ValueError):
            return b""


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """What a caller may say about one call."""

    timeout: float | None = None
    """Seconds, repetitions included; with none left the call fails at once. None means the method's deadline,
    and for streams that they may last."""
    headers: Mapping[str, str | bytes] = field(default_factory=dict)
    """Sent beside those that HTTP needs; bytes as base64, for names that end in `-bin`."""
    if_none_match: str = ""
    """Entity tag of the answer that the caller has: if it still holds, the call fails with NOT_MODIFIED."""
    answer: Answer | None = None
    """Is told status and headers of the answer; of the last one if a call is repeated."""

    def __post_init__(self) -> None:
        """Raises ValueError: the timeout is no number."""
        if self.timeout is not None and math.isnan(self.timeout):
            raise ValueError("the timeout is no number")


NO_OPTIONS = HttpOptions()


class HttpChannel(Protocol):
    """Calls unary methods by route. All failures are raised as Error."""

    async def unary(self, route: Route, request: Message, response: type[R], options: HttpOptions) -> R:
        """One request, one response."""
        ...


class HttpStreamChannel(HttpChannel, Protocol):
    """Calls methods that stream too.

    Closing a generator, or cancelling who waits for it, ends the call and its connection. Requests are taken
    as they can be sent, one at a time; what their iterator raises is raised by the call.
    """

    def server_stream(
        self, route: Route, request: Message, response: type[R], options: HttpOptions
    ) -> AsyncGenerator[R, None]:
        """One request, many responses."""
        ...

    async def client_stream(
        self,
        route: Route,
        requests: AsyncIterable[Message] | Iterable[Message],
        response: type[R],
        options: HttpOptions,
    ) -> R:
        """Many requests, one response."""
        ...

    def bidi(
        self,
        route: Route,
        requests: AsyncIterable[Message] | Iterable[Message],
        response: type[R],
        options: HttpOptions,
    ) -> AsyncGenerator[R, None]:
        """Many requests, many responses, at the same time."""
        ...


class HttpSyncChannel(Protocol):
    """`HttpChannel` for programs without asyncio."""

    def unary(self, route: Route, request: Message, response: type[R], options: HttpOptions) -> R:
        """One request, one response."""
        ...


class HttpSyncStreamChannel(HttpSyncChannel, Protocol):
    """`HttpStreamChannel` for programs without asyncio."""

    def server_stream(
        self, route: Route, request: Message, response: type[R], options: HttpOptions
    ) -> Generator[R, None, None]:
        """One request, many responses."""
        ...

    def client_stream(
        self, route: Route, requests: Iterable[Message], response: type[R], options: HttpOptions
    ) -> R:
        """Many requests, one response."""
        ...

    def bidi(
        self, route: Route, requests: Iterable[Message], response: type[R], options: HttpOptions
    ) -> Generator[R, None, None]:
        """Many requests, many responses, at the same time; a thread of its own takes the requests."""
        ...
