"""Calls over HTTP: the channel of generated HTTP clients."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator
from types import ModuleType, TracebackType
from typing import Any, Self, TypeAlias, TypeVar

import httpx
from google.protobuf.message import Message
from protobuf import Registry

from codegen.runtime.client.bidi import talked
from codegen.runtime.client.calling import (
    AttemptError,
    Calling,
    RequestsError,
    Sending,
    end,
    late,
    left,
    needs_token,
)
from codegen.runtime.client.channel import HttpOptions, TokenSource
from codegen.runtime.client.exchange import Answering
from codegen.runtime.client.retries import Attempts
from codegen.runtime.client.settings import (
    DEFAULT_SETTINGS,
    DEFAULT_TIMEOUT,
    KEEPALIVE,
    HttpClientSettings,
    no_cookies,
)
from codegen.runtime.client.talk import Talk
from codegen.runtime.deadline import Deadline
from codegen.runtime.errors import Reason
from codegen.runtime.transcoding.route import Route

R = TypeVar("R", bound=Message)
Body: TypeAlias = bytes | AsyncIterable[bytes] | None


class HttpClient:
    """Calls services at one address; a context manager. It is an `HttpStreamChannel`.

    Every failure is an Error: what the service said, a `RefusalError`, or DEPENDENCY_UNAVAILABLE where it
    cannot be reached, DEADLINE_EXCEEDED, TOO_LARGE, INTERNAL for an answer that is none. Some failed calls
    are made again, see `retries.Attempts`: unary ones, and streams of responses as long as none has come.

    Args:
        url: `http://` or `https://`, perhaps with a path, which goes before all others.
        registry: types of all requests and responses, and of details of errors.
        token: gives the bearer token of calls; not asked for methods that say `AUTH_NONE`.
        known: generated modules of reasons, or reasons: their errors have these very objects.
        settings: limits and manners.
        transport: how requests go out; one with these settings by default.

    Raises:
        ValueError: the URL is none.
    """

    def __init__(  # noqa: PLR0913 - by keyword
        self,
        url: str,
        registry: Registry,
        token: TokenSource | None = None,
        *,
        known: Iterable[Reason | ModuleType] = (),
        settings: HttpClientSettings = DEFAULT_SETTINGS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._calling = Calling(url, registry, known, settings)
        self._token = token
        self._http = httpx.AsyncClient(
            transport=transport or _transport(settings, self._calling.tls),
            timeout=httpx.Timeout(None, connect=settings.connect_seconds, pool=DEFAULT_TIMEOUT),
            cookies=no_cookies(),
            trust_env=False,
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
        sending = self._calling.unary(route, request, options)
        with _in_time(sending.ends):
            return response.FromString(await self._unary(sending))

    async def server_stream(
        self, route: Route, request: Message, response: type[R], options: HttpOptions
    ) -> AsyncGenerator[R, None]:
        """One request, many responses."""
        sending = self._calling.server_stream(route, request, options)
        attempts = Attempts(route.method, self._calling.budget)
        began = False
        while True:
            try:
                async with contextlib.aclosing(self._streamed(sending)) as responses:
                    async for data in responses:
                        began = True
                        yield response.FromString(data)
            except AttemptError as attempt:
                pause = None if began else attempts.pause(attempt.failure, sending.left())
                if pause is None:
                    raise attempt.error from attempt.__cause__
            else:
                return
            await asyncio.sleep(pause)

    async def client_stream(
        self,
        route: Route,
        requests: AsyncIterable[Message] | Iterable[Message],
        response: type[R],
        options: HttpOptions,
    ) -> R:
        """Many requests, one response. An answer that comes early is seen when the next request is sent."""
        ends = end(options)
        try:
            with _in_time(ends):
                async with contextlib.aclosing(_iterator(requests)) as messages:
                    first = await _first(messages)
                    sending, item = self._calling.client_stream(route, first, options, ends)
                    async with contextlib.aclosing(self._written(sending, item, messages)) as body:
                        return response.FromString(await self._whole(sending, body))
        except (AttemptError, RequestsError) as failed:
            raise failed.error from failed.__cause__

    async def bidi(
        self,
        route: Route,
        requests: AsyncIterable[Message] | Iterable[Message],
        response: type[R],
        options: HttpOptions,
    ) -> AsyncGenerator[R, None]:
        """Many requests, many responses, over a WebSocket."""
        ends = end(options)
        async with contextlib.aclosing(_iterator(requests)) as messages:
            try:
                with _in_time(ends):
                    first = await _first(messages) if route.variables else None
                    talk = Talk(self._calling, route, first, options, ends)
                    token = await self._token() if talk.needs_token and self._token else ""
                async with contextlib.aclosing(talked(talk, token, first, messages)) as responses:
                    async for data in responses:
                        yield response.FromString(data)
            except RequestsError as failed:
                raise failed.error from failed.__cause__

    async def _unary(self, sending: Sending) -> bytes:
        attempts = Attempts(sending.binding.route.method, self._calling.budget)
        while True:
            try:
                return await self._whole(sending, sending.body)
            except AttemptError as attempt:
                pause = attempts.pause(attempt.failure, sending.left())
                if pause is None:
                    raise attempt.error from attempt.__cause__
            await asyncio.sleep(pause)

    async def _whole(self, sending: Sending, body: Body) -> bytes:
        """One attempt whose answer is one message."""
        headers = await self._headers(sending)
        with self._calling.attempting(sending):
            async with self._sent(sending, body, headers) as answer:
                reading = self._answering(sending, answer)
                async for data in answer.aiter_raw():
                    for _ in reading.feed(data):
                        pass
                return next(reading.finish())

    async def _streamed(self, sending: Sending) -> AsyncGenerator[bytes, None]:
        """One attempt whose answer is many messages. No deadline runs while the caller has one of them."""
        with _in_time(sending.ends):
            headers = await self._headers(sending)
        with self._calling.attempting(sending):
            async with contextlib.AsyncExitStack() as stack:
                with Deadline(sending.left()):
                    answer = await stack.enter_async_context(self._sent(sending, sending.body, headers))
                reading = self._answering(sending, answer)
                chunks = answer.aiter_raw()
                while True:
                    with Deadline(sending.left()):
                        data = await anext(chunks, None)
                    for message in reading.finish() if data is None else reading.feed(data):
                        yield message
                    if data is None:
                        return

    async def _written(
        self, sending: Sending, first: bytes | None, requests: AsyncIterator[Message]
    ) -> AsyncGenerator[bytes, None]:
        """The body of a stream of requests."""
        if first is None:
            return
        yield first
        try:
            async for request in requests:
                yield self._calling.later(sending.binding, request)
        except Exception as error:  # noqa: BLE001 - raised as it is where the call was made
            raise RequestsError(error) from error.__cause__

    async def _headers(self, sending: Sending) -> dict[str, str]:
        asked = self._token if needs_token(sending.binding.route) else None
        return sending.headers_now(await asked() if asked else "")

    def _sent(self, sending: Sending, body: Body, headers: dict[str, str]) -> Any:
        url = self._calling.url + sending.target
        return self._http.stream(sending.binding.verb, url, content=body, headers=headers)

    def _answering(self, sending: Sending, answer: httpx.Response) -> Answering:
        return self._calling.answering(sending, answer.status_code, dict(answer.headers))


def _transport(settings: HttpClientSettings, tls: ssl.SSLContext) -> httpx.AsyncHTTPTransport:
    return httpx.AsyncHTTPTransport(
        verify=tls,
        trust_env=False,
        limits=settings.limits(),
        proxy=settings.proxy or None,
        socket_options=KEEPALIVE,
    )


async def _iterator(requests: AsyncIterable[R] | Iterable[R]) -> AsyncGenerator[R, None]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request


async def _first(messages: AsyncIterator[R]) -> R | None:
    try:
        return await anext(messages, None)
    except Exception as error:  # noqa: BLE001 - raised as it is where the call was made
        raise RequestsError(error) from error.__cause__


@contextlib.contextmanager
def _in_time(ends: float | None) -> Iterator[None]:
    """Raises Error: DEADLINE_EXCEEDED: the block has not ended at its `time.monotonic()`."""
    try:
        with Deadline(left(ends)):
            yield
    except TimeoutError:
        raise late() from None
