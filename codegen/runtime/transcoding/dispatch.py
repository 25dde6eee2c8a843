"""One ASGI route that serves every HTTP binding of a schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote

from fastapi import FastAPI
from idiom.v1 import reason_errors as reasons
from protobuf import Message, Registry
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from codegen.runtime.codec import JsonCodec
from codegen.runtime.context import Context, Wire
from codegen.runtime.deadline import Deadline
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import CallOptions, Channel
from codegen.runtime.pipeline import REQUEST_ID, Pipeline, internal, request_id
from codegen.runtime.transcoding.binding import Binding
from codegen.runtime.transcoding.disconnect import CancelledWithClient, ClientGoneError
from codegen.runtime.transcoding.http_error import body_of, headers_of, status_of
from codegen.runtime.transcoding.matcher import Found, Matcher
from codegen.runtime.transcoding.negotiation import JSON, is_binary, timeout_of, wants_binary
from codegen.runtime.transcoding.route import Route

FOUND = "idiom.found"
"""Key of the ASGI scope that carries what was matched."""

FORWARDED = frozenset({"traceparent", "tracestate"})
"""Request headers that go on to the service."""
MAX_FORWARDED = 512
"""Most characters of such a header (W3C Trace Context, section 3.3.1.5); gRPC would refuse very long ones."""

JSON_SIZE_FACTOR = 6
"""Most bytes of JSON for one byte of its binary form: `\\u0001`."""

_NONE: Mapping[str, str] = MappingProxyType({})
_READ = frozenset(
    name.encode()
    for name in (
        *("accept", "authorization", "content-encoding", "content-length", "content-type"),
        *("grpc-timeout", "transfer-encoding", REQUEST_ID, "x-request-timeout"),
        *FORWARDED,
    )
)


class _Response(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Dispatch(BaseRoute):
    """Serves routes by calling a channel. Every failure is `google.rpc.Status` as JSON.

    Args:
        routes: in any order; unary methods only.
        registry: types of all requests and responses.
        pipeline: run once per request.
        channel: reaches the services.
        always_print_fields_with_no_presence: whether answers say zeros, empty texts and empty lists too.

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
        always_print_fields_with_no_presence: bool = False,
    ) -> None:
        codec = JsonCodec(registry, always_print_fields_with_no_presence=always_print_fields_with_no_presence)
        self._matcher = Matcher(routes)
        self._bindings = {id(route): Binding(route, codec) for route in routes}
        self._routes = tuple(routes)
        self._pipeline = pipeline
        self._channel = channel

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """PARTIAL for a path that has other verbs only, so that another route of the app may serve it."""
        if scope["type"] != "http":
            return Match.NONE, {}
        found = self._find(scope["method"], _raw_path(scope))
        if found is None:
            return Match.NONE, {}
        return Match.PARTIAL if found.route is None else Match.FULL, {FOUND: found}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request that matched."""
        metadata = _metadata(scope["headers"])
        metadata[REQUEST_ID] = name = request_id(metadata)
        try:
            response = await self._response(scope, receive, metadata)
        except ClientGoneError:
            return
        except Error as error:
            response = _refusal(error, scope[FOUND])
        except Exception:  # noqa: BLE001 - the outermost frame of a request: no defect crosses a border as it is
            response = _refusal(internal(scope["path"], name), scope[FOUND])
        await _send(send, response, name, scope["method"])

    async def _response(self, scope: Scope, receive: Receive, metadata: dict[str, str]) -> _Response:
        found: Found = scope[FOUND]
        if found.route is None:
            return _other_verb(scope["method"], found)
        binding = self._bindings[id(found.route)]
        timeout = timeout_of(metadata.get("grpc-timeout"), metadata.get("x-request-timeout"))
        context = self._pipeline.admit(binding.method, metadata, wire=Wire.HTTP, timeout=timeout)
        binary_out = wants_binary(metadata.get("accept"))
        body, binary_in = await self._body(binding, receive, metadata, context)
        request = binding.decode(found.segments, scope["query_string"], body, binary=binary_in)
        data = await self._call(binding, request, context, receive)
        sent, content_type = binding.encode(data, binary=binary_out)
        return _Response(200, [(b"content-type", content_type.encode())], sent)

    def _find(self, verb: str, path: str) -> Found | None:
        found = self._matcher.find(verb, path)
        if found is not None and found.route is None and verb == "HEAD" and "GET" in found.allowed:
            return self._matcher.find("GET", path)
        return found

    async def _body(
        self, binding: Binding, receive: Receive, metadata: Mapping[str, str], context: Context
    ) -> tuple[bytes, bool]:
        """The body, and whether it is in binary form."""
        length = metadata.get("content-length")
        if length in (None, "0") and "transfer-encoding" not in metadata:
            return b"", False
        binary = binding.takes_body and is_binary(
            metadata.get("content-type"), metadata.get("content-encoding")
        )
        limit = self._limit(binding, binary=binary)
        if length is not None and length.isdecimal() and int(length) > limit:
            raise Error(reasons.TOO_LARGE, f"the body is larger than {limit} bytes")
        try:
            with Deadline(context.remaining):
                return await _read(receive, limit), binary
        except TimeoutError:
            raise Error(reasons.DEADLINE_EXCEEDED, "the body did not arrive in time") from None

    def _limit(self, binding: Binding, *, binary: bool) -> int:
        """Most bytes to read: what is too large in its binary form may still be found so after decoding."""
        limit = self._pipeline.limit(binding.method)
        return (
            limit if binary else min(limit * JSON_SIZE_FACTOR, max(limit, self._pipeline.max_request_bytes))
        )

    async def _call(
        self, binding: Binding, request: Message[Any], context: Context, receive: Receive
    ) -> bytes:
        method = binding.method
        payload = binding.request.to_binary(request)
        self._pipeline.check_size(method, len(payload))

        async def invoke(_request: Message[Any], context: Context) -> bytes:
            options = CallOptions(
                identity=context.identity,
                timeout=context.remaining,
                request_id=context.request_id,
                metadata=_forwarded(context.metadata),
            )
            return await self._channel.unary_bytes(method, payload, options)

        async with CancelledWithClient(receive):
            return await self._pipeline.call(method, request, context, invoke)


def mount(app: FastAPI, dispatch: Dispatch, openapi: Mapping[str, Any]) -> None:
    """Puts the dispatcher before the routes of an app, and its operations into the app's OpenAPI document.

    Args:
        app: any app; its middleware applies to the dispatcher's routes, its dependencies do not.
        dispatch: what to serve.
        openapi: the generated document.
    """
    own = app.openapi

    def merged() -> dict[str, Any]:
        return _merged(own(), openapi)

    app.router.routes.insert(0, dispatch)
    app.openapi = merged  # type: ignore[method-assign] # FastAPI's documented way to extend its document


def _merged(own: Mapping[str, Any], generated: Mapping[str, Any]) -> dict[str, Any]:
    """The app's document with what was generated; where both say something, the app does."""
    merged = {**generated, **own}
    for part in ("paths", "tags", "components"):
        ours, theirs = own.get(part), generated.get(part)
        if ours and theirs:
            merged[part] = [*ours, *theirs] if part == "tags" else _combined(ours, theirs)
        elif theirs:
            merged[part] = theirs
    return merged


def _combined(own: Mapping[str, Any], generated: Mapping[str, Any]) -> dict[str, Any]:
    return {key: {**generated.get(key, {}), **own.get(key, {})} for key in {**generated, **own}}


def _raw_path(scope: Scope) -> str:
    raw: bytes | None = scope.get("raw_path")
    path = quote(scope["path"]) if raw is None else raw.partition(b"?")[0].decode("latin-1")
    root: str = scope.get("root_path", "")
    if root and path.startswith(f"{root}/"):
        return path[len(root) :]
    return path


def _metadata(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers that matter here. Repeated ones are joined as in RFC 9110, so none can hide behind another."""
    metadata: dict[str, str] = {}
    for name, value in headers:
        if name in _READ:
            key, text = name.decode(), value.decode("latin-1")
            metadata[key] = f"{metadata[key]},{text}" if key in metadata else text
    return metadata


def _forwarded(metadata: Mapping[str, str]) -> Mapping[str, str]:
    if FORWARDED.isdisjoint(metadata):
        return _NONE
    return {key: metadata[key] for key in FORWARDED if 0 < len(metadata.get(key, "")) <= MAX_FORWARDED}


async def _read(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGoneError
        chunks.append(event.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise Error(reasons.TOO_LARGE, f"the body is larger than {limit} bytes")
        if not event.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _other_verb(verb: str, found: Found) -> _Response:
    if verb == "OPTIONS":
        return _Response(204, [_allow(found)], b"")
    allowed = ", ".join(found.allowed)
    raise Error(reasons.METHOD_NOT_ALLOWED, f"{verb} is not allowed here, but {allowed}")


def _allow(found: Found) -> tuple[bytes, bytes]:
    return b"allow", ", ".join(found.allowed).encode()


def _refusal(error: Error, found: Found) -> _Response:
    status = status_of(error)
    headers = [(b"content-type", JSON.encode()), *headers_of(error, status)]
    if error.reason is reasons.METHOD_NOT_ALLOWED and found.allowed:
        headers.append(_allow(found))
    return _Response(status, headers, body_of(error))


async def _send(send: Send, response: _Response, name: str, verb: str) -> None:
    headers = [*response.headers, (b"x-request-id", name.encode()), (b"x-content-type-options", b"nosniff")]
    if response.status != HTTPStatus.NO_CONTENT:
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if verb == "HEAD" else response.body})
