"""How generated HTTP clients call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, TypeVar

from google.protobuf.message import Message

from codegen.runtime.transcoding.route import Route

R = TypeVar("R", bound=Message)

TokenSource: TypeAlias = Callable[[], Awaitable[str]]
"""Gives the bearer token of a call, asked before each; empty for a call without one."""


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """What a caller may say about one call."""

    timeout: float | None = None
    """Seconds, repetitions included; None means the method's deadline."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent beside those that HTTP needs."""


NO_OPTIONS = HttpOptions()


class HttpChannel(Protocol):
    """Calls by route. All failures are raised as Error."""

    async def unary(self, route: Route, request: Message, response: type[R], options: HttpOptions) -> R:
        """One request, one response."""
        ...
