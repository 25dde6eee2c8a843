"""One ASGI route that serves every HTTP binding of a schema."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

from idiom.v1 import reason_errors as reasons
from protobuf import Registry
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from codegen.runtime.context import Wire
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import Channel
from codegen.runtime.pipeline import REQUEST_ID, Pipeline, internal, request_id
from codegen.runtime.transcoding.binding import Binding, codec_of
from codegen.runtime.transcoding.disconnect import (
    ClientGoneError,
    LoopRounds,
    ReceiveError,
    cancelled,
    to_client,
)
from codegen.runtime.transcoding.etag import Tags
from codegen.runtime.transcoding.exchange import Exchange
from codegen.runtime.transcoding.http_error import body_of, headers_of, status_of
from codegen.runtime.transcoding.matcher import Found, Matcher
from codegen.runtime.transcoding.metadata import Headers
from codegen.runtime.transcoding.negotiation import JSON, timeout_of
from codegen.runtime.transcoding.root_path import raw_path_of
from codegen.runtime.transcoding.route import Route
from codegen.runtime.transcoding.settings import HttpSettings
from codegen.runtime.transcoding.streaming import serve_stream
from codegen.runtime.transcoding.unary import Response, Unary
from codegen.runtime.transcoding.websocket import serve_socket, take_token

FOUND = "idiom.found"
"""Key of the ASGI scope that carries what was matched."""

UPGRADE_REQUIRED = 426
POLICY_VIOLATION = 1008
"""Close code of a WebSocket that is refused where its server cannot say an HTTP status (RFC 6455, 7.4.1)."""

_DEFAULT = HttpSettings()
_OVERRIDE = b"x-http-method-override"


class _Served(NamedTuple):
    """A route, ready."""

    binding: Binding
    unary: Unary | None
    """None if the method streams."""


class Dispatch(BaseRoute):
    """Serves routes by calling a channel. Every failure is `google.rpc.Status` as JSON.

    Args:
        routes: in any order.
        registry: types of all requests and responses.
        pipeline: run once per request.
        channel: reaches the services.
        settings: switches.

    Raises:
        ValueError: two routes are the same, or one cannot be served.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        *,
        registry: Registry,
        pipeline: Pipeline,
        channel: Channel,
        settings: HttpSettings = _DEFAULT,
    ) -> None:
        codec = codec_of(registry, settings)
        self._matcher = Matcher(routes)
        self._served = {
            id(route): _served(Binding(route, codec, settings), channel, pipeline) for route in routes
        }
        self._routes = tuple(routes)
        self._pipeline = pipeline
        self._channel = channel
        self._settings = settings
        self._headers = Headers(settings.forwarded_headers)
        self._rounds = LoopRounds()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """PARTIAL for a path that has other verbs only, so that another route of the app may serve it."""
        found = self.find(scope)
        if found is None:
            return Match.NONE, {}
        return Match.PARTIAL if found.route is None else Match.FULL, {FOUND: found}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request that matched."""
        await self.serve(scope, receive, send, scope[FOUND])

    def find(self, scope: Scope) -> Found | None:
        """What there is at a request's path; without a route, if only other verbs are served there.

        None if the path has no route at all, and for a WebSocket also if it has none for WebSockets.
        """
        kind = scope["type"]
        if kind == "http":
            return self._find_http(scope)
        if kind != "websocket":
            return None
        found = self._matcher.find("GET", raw_path_of(scope))
        return found if found is not None and found.route and found.route.method.http.websocket else None

    async def serve(self, scope: Scope, receive: Receive, send: Send, found: Found) -> None:
        """Serves a request, given what `find` has found for it."""
        metadata = self._headers.read(scope["headers"])
        metadata[REQUEST_ID] = name = request_id(metadata)
        exchange: Exchange | None = None
        try:
            if found.route is None:
                response: Response | None = _other_verb(scope["method"], found, name)
            else:
                exchange = self._admit(scope, receive, send, found, metadata)
                served = self._served[id(found.route)]
                if served.unary is not None:
                    response = await served.unary.answer(exchange)
                else:
                    response = await self._stream(exchange)
        except ClientGoneError:
            if exchange is not None and exchange.started:
                return
            response = _refusal(cancelled(), found, name)
        except ReceiveError as outside:
            raise outside.__cause__ or outside from None
        except Exception as failure:  # noqa: BLE001 - a request's outermost frame: no defect crosses a border
            error = failure if isinstance(failure, Error) else internal(scope["path"], name)
            if exchange is not None and exchange.started:
                raise error from None  # the connection ends: nothing else tells that the answer is not whole
            response = _refusal(error, found, name)
        if response is not None:
            try:
                await _send(scope, send, response)
            except OSError:
                return  # what servers raise if nobody is there any more (ASGI, disconnected client)

    def _admit(
        self, scope: Scope, receive: Receive, send: Send, found: Found, metadata: dict[str, str]
    ) -> Exchange:
        served = self._served[id(found.route)]
        if scope["type"] == "websocket":
            take_token(metadata)
        timeout = timeout_of(metadata.get("grpc-timeout"), metadata.get("x-request-timeout"))
        name = metadata[REQUEST_ID]
        wire = Wire.HTTP if scope["type"] == "http" else Wire.SOCKET
        context = self._pipeline.admit(served.binding.method, metadata, wire=wire, timeout=timeout, name=name)
        if served.unary is None:
            send = to_client(send)
        return Exchange(
            scope,
            receive,
            send,
            served.binding,
            found.segments,
            metadata,
            context,
            self._headers.forwarded(metadata),
            self._settings,
            self._rounds.current(),
        )

    async def _stream(self, exchange: Exchange) -> Response | None:
        """Serves a stream; a response that has yet to be sent, or None."""
        method = exchange.binding.method
        if exchange.scope["type"] == "websocket":
            await serve_socket(exchange, self._channel, self._pipeline)
        elif method.client_streaming and method.server_streaming:
            return _upgrade(exchange.context.request_id)
        else:
            return await serve_stream(exchange, self._channel, self._pipeline)
        return None

    def _find_http(self, scope: Scope) -> Found | None:
        verb, path = scope["method"], raw_path_of(scope)
        if verb == "POST" and self._settings.method_override:
            verb = _overridden(scope)
        found = self._matcher.find(verb, path)
        if found is not None and found.route is None and scope["method"] == "HEAD" and "GET" in found.allowed:
            return self._matcher.find("GET", path)
        return found


def _served(binding: Binding, channel: Channel, pipeline: Pipeline) -> _Served:
    method, http = binding.method, binding.method.http
    if method.client_streaming and method.server_streaming and not http.websocket:
        raise ValueError(f"{method.full_name} streams both ways, and is not declared as a WebSocket")
    if method.client_streaming or method.server_streaming:
        return _Served(binding, None)
    named = http.etag or http.if_match
    tags = Tags(binding.response, http.etag, binding.request, http.if_match) if named else None
    return _Served(binding, Unary(binding, channel, pipeline, tags))


def _overridden(scope: Scope) -> str:
    """The verb that a POST stands for; one that nothing serves is refused as such."""
    given = [value for name, value in scope["headers"] if name == _OVERRIDE]
    return given[0].decode("latin-1").strip().upper() if len(given) == 1 else "POST"


def _other_verb(verb: str, found: Found, name: str) -> Response:
    if verb == "OPTIONS":
        return Response(204, [_allow(found), (b"x-request-id", name.encode())], b"")
    allowed = ", ".join(found.allowed)
    raise Error(reasons.METHOD_NOT_ALLOWED, f"{verb} is not allowed here, but {allowed}")


def _upgrade(name: str) -> Response:
    """RFC 9110, section 15.5.22."""
    error = Error(reasons.METHOD_NOT_ALLOWED, "a WebSocket must be opened here")
    headers = [(b"upgrade", b"websocket"), (b"connection", b"upgrade"), *_error_headers(name)]
    return Response(UPGRADE_REQUIRED, headers, body_of(error))


def _allow(found: Found) -> tuple[bytes, bytes]:
    return b"allow", ", ".join(found.allowed).encode()


def _refusal(error: Error, found: Found, name: str) -> Response:
    status = status_of(error)
    headers = [*_error_headers(name), *headers_of(error, status)]
    if error.reason is reasons.METHOD_NOT_ALLOWED and found.allowed:
        headers.append(_allow(found))
    return Response(status, headers, body_of(error))


def _error_headers(name: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", JSON.encode()),
        (b"x-request-id", name.encode()),
        (b"x-content-type-options", b"nosniff"),
    ]


async def _send(scope: Scope, send: Send, response: Response) -> None:
    if scope["type"] == "websocket":
        await _refuse_socket(scope, send, response)
        return
    status, headers, body = response
    if status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def _refuse_socket(scope: Scope, send: Send, response: Response) -> None:
    """Refuses before the handshake; with status and body if the server can."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return
    kind = "websocket.http.response"
    await send({"type": f"{kind}.start", "status": response.status, "headers": response.headers})
    await send({"type": f"{kind}.body", "body": response.body})
