"""Calls over HTTP: the channel of generated HTTP clients."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx
from google.protobuf.message import Message
from idiom.v1 import reason_errors as reasons
from protobuf import Registry

from codegen.runtime.client.channel import HttpOptions, TokenSource
from codegen.runtime.client.http_status import error_of
from codegen.runtime.client.request import ClientBinding, Written
from codegen.runtime.client.retries import Attempts, Failure, RetryBudget
from codegen.runtime.codec import JsonCodec
from codegen.runtime.deadline import Deadline
from codegen.runtime.errors import Error
from codegen.runtime.method import Auth
from codegen.runtime.transcoding.route import Route

R = TypeVar("R", bound=Message)

DEFAULT_TIMEOUT: Final = 30.0
"""Seconds for a call that neither its caller nor its policy limits."""
CONNECT_SECONDS: Final = 5.0
"""Seconds for one attempt to open a connection."""
MAX_RESPONSE_BYTES: Final = 64 << 20
_IDLE_SECONDS: Final = 3.0
"""Seconds for which an idle connection is kept: less than servers do, so that none ends under a request."""
_CONNECTIONS: Final = 100
_MAX_PORT: Final = 65535
_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class _AttemptError(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error)
        self.failure = failure


class HttpClient:
    """Calls a service at one address; a context manager. It is an `HttpChannel`.

    Every failure is an Error: what the service said, whatever its reason, or DEPENDENCY_UNAVAILABLE where it
    cannot be reached, or DEADLINE_EXCEEDED. Some failed calls are made again, see `retries.Attempts`.

    Args:
        url: `http://` or `https://`, perhaps with a path, which goes before all others.
        registry: types of all requests and responses.
        token: gives the bearer token of calls; not asked for methods that say `AUTH_NONE`.
        transport: how requests go out; httpx's own by default.

    Raises:
        ValueError: the URL is none.
    """

    def __init__(
        self,
        url: str,
        registry: Registry,
        token: TokenSource | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = _checked(url)
        self._codec = JsonCodec(registry, ignore_unknown_fields=True)
        self._token = token
        self._budget = RetryBudget()
        self._bindings: dict[int, ClientBinding] = {}
        self._http = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            limits=httpx.Limits(
                max_connections=_CONNECTIONS,
                max_keepalive_connections=_CONNECTIONS,
                keepalive_expiry=_IDLE_SECONDS,
            ),
        )

    async def __aenter__(self) -> Self:
        """Opens no connection yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def unary(self, route: Route, request: Message, response: type[R], options: HttpOptions) -> R:
        """One request, one response."""
        binding = self._binding(route)
        written = binding.write(request)
        seconds = options.timeout or route.method.policy.deadline or DEFAULT_TIMEOUT
        try:
            with Deadline(seconds):
                body = await self._answer(binding, written, options, time.monotonic() + seconds)
        except TimeoutError:
            raise Error(reasons.DEADLINE_EXCEEDED, "the server took too long to answer") from None
        return response.FromString(binding.read(body))

    def _binding(self, route: Route) -> ClientBinding:
        """Made once; it holds on to the route, so that no other gets its identity."""
        if (known := self._bindings.get(id(route))) is not None:
            return known
        return self._bindings.setdefault(id(route), ClientBinding(route, self._codec))

    async def _answer(
        self, binding: ClientBinding, written: Written, options: HttpOptions, ends: float
    ) -> bytes:
        attempts = Attempts(binding.route.method, self._budget)
        while True:
            try:
                return await self._attempt(binding, written, options, ends)
            except _AttemptError as attempt:
                pause = attempts.pause(attempt.failure, ends - time.monotonic())
                if pause is None:
                    raise attempt.failure.error from attempt.__cause__
            await asyncio.sleep(pause)

    async def _attempt(
        self, binding: ClientBinding, written: Written, options: HttpOptions, ends: float
    ) -> bytes:
        headers = {"accept": "application/json", **options.headers}
        if written.body is not None:
            headers["content-type"] = "application/json"
        if (
            binding.route.method.policy.auth is not Auth.NONE
            and self._token
            and (token := await self._token())
        ):
            headers["authorization"] = f"Bearer {token}"
        headers["x-request-timeout"] = f"{max(0.001, ends - time.monotonic()):.3f}"
        try:
            return await self._exchange(binding.verb, self._url + written.target, written.body, headers)
        except _UNSENT as failure:
            error = Error(reasons.DEPENDENCY_UNAVAILABLE, f"{self._url} cannot be reached now")
            raise _AttemptError(Failure(error, unsent=True)) from failure
        except httpx.HTTPError as failure:
            error = Error(reasons.DEPENDENCY_UNAVAILABLE, "the connection was lost during the call")
            raise _AttemptError(Failure(error)) from failure

    async def _exchange(self, verb: str, url: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        async with self._http.stream(verb, url, content=body, headers=headers) as answer:
            content = await _read(answer)
            if answer.is_success:
                return content
            raise _AttemptError(
                Failure(error_of(answer.status_code, content, answer.headers.get("retry-after")))
            )


async def _read(answer: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > MAX_RESPONSE_BYTES:
            raise Error(reasons.TOO_LARGE, f"the answer is larger than {MAX_RESPONSE_BYTES} bytes")
    return bytes(content)


def _checked(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{url!r} is not a URL: {error}") from None
    usable = parsed.scheme in {"http", "https"} and parsed.host and (parsed.port or 80) <= _MAX_PORT
    if not usable or parsed.query or parsed.fragment:
        raise ValueError(f"{url!r} is not an address that begins with http:// or https://")
    return url.rstrip("/")
