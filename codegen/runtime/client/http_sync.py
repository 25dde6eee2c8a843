"""Calls over HTTP without asyncio: the channel of generated `…HttpSync` clients."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterable, Iterator
from types import ModuleType, TracebackType
from typing import Self, TypeAlias, TypeVar

import httpx
from google.protobuf.message import Message
from protobuf import Registry

from codegen.runtime.client.bidi_sync import talked
from codegen.runtime.client.calling import AttemptError, Calling, RequestsError, Sending, end, needs_token
from codegen.runtime.client.channel import HttpOptions, SyncTokenSource
from codegen.runtime.client.exchange import Answering
from codegen.runtime.client.punctual import punctual_transport, until
from codegen.runtime.client.retries import Attempts
from codegen.runtime.client.settings import DEFAULT_SETTINGS, DEFAULT_TIMEOUT, HttpClientSettings, no_cookies
from codegen.runtime.client.talk import Talk
from codegen.runtime.errors import Reason
from codegen.runtime.transcoding.route import Route

R = TypeVar("R", bound=Message)
Body: TypeAlias = bytes | Iterable[bytes] | None


class HttpSyncClient:
    """`HttpClient` for programs without asyncio; a context manager. It is an `HttpSyncStreamChannel`.

    Threads may share it. A deadline holds for all but what the caller's own token source and requests take.

    Args:
        url: `http://` or `https://`, perhaps with a path, which goes before all others.
        registry: types of all requests and responses, and of details of errors.
        token: gives the bearer token of calls; not asked for methods that say `AUTH_NONE`.
        known: generated modules of reasons, or reasons: their errors have these very objects.
        settings: limits and manners.

    Raises:
        ValueError: the URL is none.
    """

    def __init__(
        self,
        url: str,
        registry: Registry,
        token: SyncTokenSource | None = None,
        *,
        known: Iterable[Reason | ModuleType] = (),
        settings: HttpClientSettings = DEFAULT_SETTINGS,
    ) -> None:
        self._calling = Calling(url, registry, known, settings)
        self._token = token
        transport = punctual_transport(settings, self._calling.tls)
        self._http = httpx.Client(transport=transport, cookies=no_cookies(), trust_env=False)

    def __enter__(self) -> Self:
        """Opens no connection yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close all connections."""
        self._http.close()

    def unary(self, route: Route, request: Message, response: type[R], options: HttpOptions) -> R:
        """One request, one response."""
        sending = self._calling.unary(route, request, options)
        attempts = Attempts(route.method, self._calling.budget)
        while True:
            try:
                return response.FromString(self._whole(sending, sending.body))
            except AttemptError as attempt:
                pause = attempts.pause(attempt.failure, sending.left())
                if pause is None:
                    raise attempt.error from attempt.__cause__
            time.sleep(pause)

    def server_stream(
        self, route: Route, request: Message, response: type[R], options: HttpOptions
    ) -> Generator[R, None, None]:
        """One request, many responses."""
        sending = self._calling.server_stream(route, request, options)
        attempts = Attempts(route.method, self._calling.budget)
        began = False
        while True:
            try:
                with contextlib.closing(self._streamed(sending)) as responses:
                    for data in responses:
                        began = True
                        yield response.FromString(data)
            except AttemptError as attempt:
                pause = None if began else attempts.pause(attempt.failure, sending.left())
                if pause is None:
                    raise attempt.error from attempt.__cause__
            else:
                return
            time.sleep(pause)

    def client_stream(
        self, route: Route, requests: Iterable[Message], response: type[R], options: HttpOptions
    ) -> R:
        """Many requests, one response. An answer that comes early is seen when the next request is sent."""
        ends = end(options)
        messages = iter(requests)
        sending, item = self._calling.client_stream(route, next(messages, None), options, ends)
        try:
            return response.FromString(self._whole(sending, self._written(sending, item, messages)))
        except (AttemptError, RequestsError) as failed:
            raise failed.error from failed.__cause__

    def bidi(
        self, route: Route, requests: Iterable[Message], response: type[R], options: HttpOptions
    ) -> Generator[R, None, None]:
        """Many requests, many responses, over a WebSocket."""
        ends = end(options)
        messages = iter(requests)
        first = next(messages, None) if route.variables else None
        talk = Talk(self._calling, route, first, options, ends)
        token = self._token() if talk.needs_token and self._token else ""
        try:
            with contextlib.closing(talked(talk, token, first, messages)) as responses:
                for data in responses:
                    yield response.FromString(data)
        except RequestsError as failed:
            raise failed.error from failed.__cause__

    def _whole(self, sending: Sending, body: Body) -> bytes:
        """One attempt whose answer is one message."""
        headers = self._headers(sending)
        with self._calling.attempting(sending), self._sent(sending, body, headers) as answer:
            reading = self._answering(sending, answer)
            for data in answer.iter_raw():
                for _ in reading.feed(data):
                    pass
            return next(reading.finish())

    def _streamed(self, sending: Sending) -> Generator[bytes, None, None]:
        """One attempt whose answer is many messages."""
        headers = self._headers(sending)
        with self._calling.attempting(sending), self._sent(sending, sending.body, headers) as answer:
            reading = self._answering(sending, answer)
            for data in answer.iter_raw():
                yield from reading.feed(data)
            yield from reading.finish()

    def _written(
        self, sending: Sending, first: bytes | None, requests: Iterator[Message]
    ) -> Generator[bytes, None, None]:
        """The body of a stream of requests."""
        if first is None:
            return
        yield first
        try:
            for request in requests:
                yield self._calling.later(sending.binding, request)
        except Exception as error:  # noqa: BLE001 - raised as it is where the call was made
            raise RequestsError(error) from error.__cause__

    def _headers(self, sending: Sending) -> dict[str, str]:
        asked = self._token if needs_token(sending.binding.route) else None
        return sending.headers_now(asked() if asked else "")

    def _sent(
        self, sending: Sending, body: Body, headers: dict[str, str]
    ) -> contextlib.AbstractContextManager[httpx.Response]:
        url = self._calling.url + sending.target
        timeout = until(sending.ends, self._calling.settings.connect_seconds, DEFAULT_TIMEOUT)
        return self._http.stream(sending.binding.verb, url, content=body, headers=headers, timeout=timeout)

    def _answering(self, sending: Sending, answer: httpx.Response) -> Answering:
        return self._calling.answering(sending, answer.status_code, dict(answer.headers))
