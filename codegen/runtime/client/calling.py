"""What HTTP clients with and without asyncio have in common: all but I/O."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType

import httpx
from google.protobuf.message import Message
from idiom.v1 import reason_errors as reasons
from protobuf import Registry

from codegen.runtime.client.channel import HttpOptions
from codegen.runtime.client.exchange import (
    Answering,
    Head,
    Headers,
    answering,
    attempt_headers,
    compressed,
    given_headers,
    request_headers,
)
from codegen.runtime.client.http_status import RefusalError, Refusals
from codegen.runtime.client.request import NDJSON, ClientBinding
from codegen.runtime.client.retries import Failure, RetryBudget
from codegen.runtime.client.settings import DEFAULT_TIMEOUT, HttpClientSettings
from codegen.runtime.codec import JsonCodec
from codegen.runtime.errors import Error, Reason
from codegen.runtime.method import Auth
from codegen.runtime.transcoding.route import Route

_MAX_PORT = 65535
_SHORTEST = 0.001
_EVER = 2_000_000.0
"""Seconds from which on a call may last: more than sockets can count."""
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)


class AttemptError(Exception):
    """An attempt of a call failed; it may be made again."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error)
        self.failure = failure
        self.error = failure.error


class RequestsError(Exception):
    """What the caller's own stream of requests raises, so that it counts as nothing else."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


@dataclass(slots=True)
class Sending:
    """One request, written; each attempt sends it anew."""

    binding: ClientBinding
    target: str
    """Path and query."""
    headers: Headers
    """But for deadline and token."""
    options: HttpOptions
    ends: float | None
    """`time.monotonic()` at which the call ends; None if it may last."""
    body: bytes | None = None
    """If it is in one piece."""

    def left(self) -> float | None:
        """Seconds until the call ends; None if it may last."""
        return left(self.ends)

    def headers_now(self, token: str) -> Headers:
        """Headers of an attempt."""
        return attempt_headers(self.headers, token, self.left())


class Calling:
    """What all calls of one client have in common.

    Args:
        url: as HttpClient has it.
        registry: types of all requests and responses.
        known: generated modules of reasons, or reasons.
        settings: limits and manners.

    Raises:
        ValueError: the URL is none.
    """

    def __init__(
        self, url: str, registry: Registry, known: Iterable[Reason | ModuleType], settings: HttpClientSettings
    ) -> None:
        self.url = _checked(url)
        self.settings = settings
        self.tls = settings.context()
        self.budget = RetryBudget()
        self.refusals = Refusals(known, registry)
        self._codec = JsonCodec(registry, ignore_unknown_fields=True)
        self._bindings: dict[int, ClientBinding] = {}

    def binding(self, route: Route) -> ClientBinding:
        """Made once; it holds on to the route, so that no other gets its identity."""
        if (known := self._bindings.get(id(route))) is not None:
            return known
        return self._bindings.setdefault(id(route), ClientBinding(route, self._codec))

    def unary(self, route: Route, request: Message, options: HttpOptions) -> Sending:
        """A request of a unary method."""
        binding = self.binding(route)
        written = binding.write(request)
        headers = request_headers(binding, options, self.settings, written.content_type)
        body = compressed(written, headers, self.settings)
        ends = end(options, route.method.policy.deadline or DEFAULT_TIMEOUT)
        return Sending(binding, written.target, headers, options, ends, body)

    def server_stream(self, route: Route, request: Message, options: HttpOptions) -> Sending:
        """The request of a method that streams responses."""
        binding = self.binding(route)
        written = binding.write(request)
        headers = request_headers(binding, options, self.settings, written.content_type)
        return Sending(binding, written.target, headers, options, end(options), written.body)

    def client_stream(
        self, route: Route, first: Message | None, options: HttpOptions, ends: float | None
    ) -> tuple[Sending, bytes | None]:
        """Where requests go, and what is sent of the first of them; None if there is none."""
        binding = self.binding(route)
        written = binding.write(route.method.request() if first is None else first)
        content_type = written.content_type if binding.sends_raw else NDJSON
        headers = request_headers(binding, options, self.settings, content_type)
        sending = Sending(binding, written.target, headers, options, ends)
        if first is None:
            return sending, None
        item = binding.item(written)
        return sending, item if binding.sends_raw else item + b"\n"

    def later(self, binding: ClientBinding, request: Message) -> bytes:
        """What is sent of a later request."""
        item = binding.write_item(request)
        return item if binding.sends_raw else item + b"\n"

    def socket(self, route: Route, first: Message | None, options: HttpOptions) -> tuple[str, Headers]:
        """URL and headers of a WebSocket."""
        path = self.binding(route).path(route.method.request() if first is None else first)
        url = httpx.URL(self.url)
        scheme = {"http": "ws", "https": "wss"}[url.scheme]
        return f"{scheme}{self.url[len(url.scheme) :]}{path}", given_headers(options)

    def answering(self, sending: Sending, status: int, headers: Mapping[str, str]) -> Answering:
        """What reads the answer that begins so."""
        head = Head(status, headers)
        head.tell(sending.options.answer)
        return answering(sending.binding, head, self.refusals, self.settings.max_message_bytes)

    @contextlib.contextmanager
    def attempting(self, sending: Sending) -> Iterator[None]:
        """What goes wrong in the block is a failed attempt, but for what cannot be mended.

        Raises:
            AttemptError: it may be tried again.
            Error: DEADLINE_EXCEEDED, OVERLOADED, TOO_LARGE, or what reading the answer raises.
        """
        try:
            yield
        except RefusalError as refused:
            raise AttemptError(Failure(refused)) from None
        except httpx.InvalidURL:  # of the rest nothing could be wrong
            raise Error(reasons.TOO_LARGE, "path and query of the request are too long") from None
        except (TimeoutError, httpx.TimeoutException) as failure:
            raise self._timed_out(sending, failure) from failure
        except _UNSENT as failure:
            raise AttemptError(Failure(self.unreachable(), unsent=True)) from failure
        except httpx.HTTPError as failure:
            raise AttemptError(Failure(lost())) from failure

    def _timed_out(self, sending: Sending, failure: Exception) -> Exception:
        left = sending.left()
        if left is None or left > _SHORTEST:
            if isinstance(failure, httpx.ConnectTimeout):
                return AttemptError(Failure(self.unreachable(), unsent=True))
            if isinstance(failure, httpx.PoolTimeout):
                most = self.settings.connections
                return Error(reasons.OVERLOADED, f"all {most} connections of this client are in use")
        return late()

    def unreachable(self) -> Error:
        """There is no connection."""
        return Error(reasons.DEPENDENCY_UNAVAILABLE, f"{self.url} cannot be reached now")


def needs_token(route: Route) -> bool:
    """Whether a token is to be sent."""
    return route.method.policy.auth is not Auth.NONE


def late() -> Error:
    """The deadline has passed."""
    return Error(reasons.DEADLINE_EXCEEDED, "the server took too long to answer")


def lost() -> Error:
    """The connection ended."""
    return Error(reasons.DEPENDENCY_UNAVAILABLE, "the connection was lost during the call")


def end(options: HttpOptions, default: float | None = None) -> float | None:
    """`time.monotonic()` at which a call ends that begins now; None if it may last.

    Args:
        options: of the call.
        default: seconds, if they say none.

    Raises:
        Error: DEADLINE_EXCEEDED: that has passed.
    """
    seconds = default if options.timeout is None else options.timeout
    if seconds is None or seconds >= _EVER:
        return None
    if seconds <= 0:
        raise Error(reasons.DEADLINE_EXCEEDED, "no time is left for the call")
    return time.monotonic() + seconds


def left(ends: float | None) -> float | None:
    """Seconds until a call ends; None if it may last."""
    return None if ends is None else max(_SHORTEST, ends - time.monotonic())


def _checked(url: str) -> str:
    shown = "the URL" if "@" in url else repr(url)  # which may have a password
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise ValueError(f"{shown} is no URL") from None
    usable = parsed.scheme in {"http", "https"} and parsed.host and (parsed.port or 80) <= _MAX_PORT
    if not usable or not {"?", "#"}.isdisjoint(url) or parsed.userinfo:
        raise ValueError(f"{shown} is not an address that begins with http:// or https://")
    return url.rstrip("/")
