"""One ASGI route that serves every method of some services by Connect and gRPC-Web.

The protocols themselves are the library's, `connectrpc`, but for Connect's unary form. Before the library
sees a request, whatever it would answer without a typed error is refused here; only what it needs goes in.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from connectrpc.compression.brotli import BrotliCompression
from connectrpc.compression.gzip import GzipCompression
from connectrpc.errors import ConnectError
from connectrpc.server import ConnectASGIApplication
from idiom.v1 import reason_errors as reasons
from protobuf import Registry
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from codegen.runtime.codec import JsonCodec
from codegen.runtime.connect.call import CALL, Call, Entry, Manners
from codegen.runtime.connect.endpoints import Endpoints, Passing
from codegen.runtime.connect.protocol import (
    VERSION,
    Form,
    Protocol,
    check_version,
    form_of_get,
    form_of_post,
    offered,
    timeout,
    timeout_text,
)
from codegen.runtime.connect.refusal import RefusalError
from codegen.runtime.connect.unary import Unary
from codegen.runtime.context import Wire
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import Channel
from codegen.runtime.method import Method, Service
from codegen.runtime.pipeline import REQUEST_ID, Pipeline, request_id
from codegen.runtime.relay import Relay
from codegen.runtime.transcoding.disconnect import ClientGoneError, of_one_body, to_client
from codegen.runtime.transcoding.http_error import status_of
from codegen.runtime.transcoding.metadata import TRACE, heard
from codegen.runtime.transcoding.root_path import path_of
from codegen.runtime.transcoding.settings import HttpSettings
from codegen.runtime.transcoding.unary import Response, json_limit

ENTRY = "idiom.connect.entry"
"""Key of the ASGI scope that carries the method."""

NOT_FOUND = 404
"""Status for an unknown method, which Connect's clients read as unimplemented."""

_PASSED = frozenset(
    {
        *("accept-encoding", "content-encoding", "connect-accept-encoding", "connect-content-encoding"),
        *("grpc-accept-encoding", "grpc-encoding"),
    }
)
"""Headers that the library reads, beside content type and timeout."""
_READ = frozenset(
    {"authorization", "connection", "content-type", "connect-timeout-ms", "grpc-timeout", REQUEST_ID, VERSION}
)

_LOG = logging.getLogger(__name__)


class ConnectRoute(BaseRoute):
    """Serves `/<package.Service>/<Method>`; paths of other services are left to the app.

    Args:
        services: whose methods are served.
        registry: types of all requests and responses, and the services.
        pipeline: run once per call.
        channel: reaches the services.
        settings: how JSON is read and written, and which metadata passes.

    Raises:
        LookupError: the registry lacks a type or a service.
    """

    def __init__(
        self,
        services: Sequence[Service],
        *,
        registry: Registry,
        pipeline: Pipeline,
        channel: Channel,
        settings: HttpSettings,
    ) -> None:
        codec = JsonCodec(
            registry,
            always_print_fields_with_no_presence=settings.always_print_fields_with_no_presence,
            preserving_proto_field_name=settings.preserving_proto_field_name,
            ignore_unknown_fields=settings.ignore_unknown_fields,
        )
        self._relay = Relay(pipeline, channel, settings)
        self._services = {each.name for each in services}
        names = _READ | _PASSED | TRACE | settings.forwarded_headers
        self._heard = {name.encode(): name for name in names}
        self._entries = {
            method.path: _entry(method, codec, pipeline) for each in services for method in each.methods
        }
        self._unary = Unary(self._relay, settings.compressed_from)
        endpoints = Endpoints(self._relay)
        served = {path: endpoints.of(entry) for path, entry in self._entries.items()}
        limits = {entry.max_bytes for entry in self._entries.values()}
        self._library = {limit: _Library(served, limit) for limit in limits}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """FULL for whatever path of a service, whatever the verb."""
        if scope["type"] != "http":
            return Match.NONE, {}
        path = path_of(scope)
        entry = self._entries.get(path)
        if entry is None and path[1:].partition("/")[0] not in self._services:
            return Match.NONE, {}
        return Match.FULL, {ENTRY: entry}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request that matched."""
        with contextlib.suppress(ClientGoneError):
            await self._serve(scope, receive, to_client(send))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        entry: Entry | None = scope[ENTRY]
        headers = heard(scope["headers"], self._heard)
        headers[REQUEST_ID] = name = request_id(headers)
        try:
            call = Call(*_called(entry, scope, headers), name)
        except Error as error:
            await _refuse(send, error, entry, name)
            return
        given = self._admit(call, headers)
        if call.form.protocol is Protocol.UNARY and scope["method"] == "POST":
            await _send(send, await self._unary.answer(call, receive, headers))
            return
        token = CALL.set(call)
        try:
            inner = _inner(scope, call, headers, given)
            await self._library[call.entry.max_bytes](inner, of_one_body(receive), send)
        except ConnectError:
            _LOG.debug("the answer of %s could not be sent", name)
        finally:
            CALL.reset(token)

    def _admit(self, call: Call, headers: Mapping[str, str]) -> float | None:
        """Lets the call in or notes why not; seconds that it may take, None for ever."""
        try:
            check_version(headers)
            given = timeout(call.form, headers)
            call.context = self._relay.admit(call.entry.method, headers, Wire.HTTP, given)
        except Error as error:
            call.refused = error
            return None
        return call.context.remaining


def mount_connect(  # noqa: PLR0913 - what it needs, by keyword
    app: Starlette,
    services: Sequence[Service],
    *,
    registry: Registry,
    pipeline: Pipeline,
    channel: Channel,
    settings: HttpSettings | None = None,
) -> None:
    """Serves services by Connect and gRPC-Web in any app; its middleware applies.

    Args:
        app: of FastAPI or Starlette.
        services: whose methods are served.
        registry: the generated descriptors.
        pipeline: run once per call.
        channel: reaches the services.
        settings: as of the dispatcher of REST.
    """
    route = ConnectRoute(
        services, registry=registry, pipeline=pipeline, channel=channel, settings=settings or HttpSettings()
    )
    app.router.routes.insert(0, route)


class _Library(ConnectASGIApplication[None]):
    """The library with our codecs, for methods of one limit."""

    path = "/"

    def __init__(self, endpoints: Mapping[str, Any], max_bytes: int) -> None:
        super().__init__(
            service=None,
            endpoints=lambda _: endpoints,
            interceptors=[Manners()],
            read_max_bytes=max_bytes,
            compressions=[GzipCompression(), BrotliCompression()],
            codecs=[Passing("json"), Passing("proto")],
        )


def _entry(method: Method, codec: JsonCodec, pipeline: Pipeline) -> Entry:
    described = codec.registry.service(method.service)
    found = [each for each in described.methods if each.name == method.name] if described else []
    if not found:
        raise LookupError(f"no method {method.full_name} in the registry")
    streams = method.client_streaming or method.server_streaming
    harmless = not streams and found[0].idempotency.name == "NO_SIDE_EFFECTS"
    return Entry(
        method=method,
        request=codec.type(method.request.DESCRIPTOR.full_name),
        response=codec.type(method.response.DESCRIPTOR.full_name),
        verbs=("GET", "POST") if harmless else ("POST",),
        max_bytes=json_limit(pipeline, pipeline.limit(method)),
    )


def _called(entry: Entry | None, scope: Scope, headers: Mapping[str, str]) -> tuple[Entry, Form]:
    """What is called, and how the request is written."""
    if entry is None:
        raise Error(reasons.UNIMPLEMENTED, "the service has no such method")
    verb = scope["method"]
    if verb not in entry.verbs:
        allowed = ", ".join(entry.verbs)
        raise Error(reasons.METHOD_NOT_ALLOWED, f"{verb} is not allowed here, but {allowed}")
    if verb == "GET":
        return entry, form_of_get(scope["query_string"])
    return entry, form_of_post(headers.get("content-type"), streams=entry.streams)


def _inner(scope: Scope, call: Call, headers: Mapping[str, str], seconds: float | None) -> Any:
    """The request as the library sees it: ASCII, and with the deadline that counts."""
    given = {name: headers[name].lower() for name in _PASSED & headers.keys()}
    if scope["method"] == "POST":
        given["content-type"] = call.form.content_type
    if seconds is not None:
        given[call.form.protocol.timeout_header] = timeout_text(call.form, seconds)
    return {
        **scope,
        "path": call.entry.method.path,
        "root_path": "",
        "headers": [(name.encode(), value.encode("ascii", "replace")) for name, value in given.items()],
    }


async def _refuse(send: Send, error: Error, entry: Entry | None, name: str) -> None:
    """Says in Connect's form of an error what HTTP itself has a status for."""
    status = NOT_FOUND if entry is None else status_of(error)
    headers = [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff")]
    headers.append((REQUEST_ID.encode(), name.encode()))
    if entry and error.reason is reasons.METHOD_NOT_ALLOWED:
        headers.append((b"allow", ", ".join(entry.verbs).encode()))
    if entry and error.reason is reasons.UNSUPPORTED_MEDIA_TYPE:
        headers.append((b"accept-post", ", ".join(offered(entry.streams)).encode()))
    await _send(send, Response(status, headers, orjson.dumps(RefusalError(error).told())))


async def _send(send: Send, response: Response) -> None:
    headers = [*response.headers, (b"content-length", str(len(response.body)).encode())]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
