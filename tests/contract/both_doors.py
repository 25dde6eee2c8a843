"""Every service of the gateway, answering what a test has prepared, behind HTTP and behind gRPC."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote, urlencode

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from im.descriptors import registry

from codegen.runtime.context import Context, Identity
from codegen.runtime.discovery import FixedInstances
from codegen.runtime.grpc_client import Upstreams
from codegen.runtime.grpc_failure import DETAILS
from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import Authenticator, ServiceTokens, UserTokens
from codegen.runtime.method import Service
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.route import Route
from codegen.runtime.transcoding.settings import HttpSettings
from gateway_routes import ROUTES
from impl.gateway.app import LOGIC, MAX_REQUEST_BYTES, SERVICES
from impl.gateway.readiness import Readiness
from impl.gateway.site import site
from tests.codegen.runtime.http.request import Client

USERS = UserTokens(b"u" * 32, 3600)
GATEWAY = ServiceTokens(b"s" * 32, "gateway")


@dataclass(frozen=True, slots=True)
class Came:
    """A call as an implementation saw it."""

    method: str
    request: bytes
    """Serialized so that equal messages are equal bytes."""
    subject: str
    login: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to."""

    code: str
    reason: str = ""
    fields: tuple[str, ...] = ()
    response: bytes = b""
    came: Came | None = None


@dataclass(slots=True)
class Echo:
    """Implements every method: writes the call down and answers what is prepared."""

    service: Service
    came: list[Came]
    answers: dict[str, Message] = field(default_factory=dict)

    def __getattr__(self, attribute: str) -> Callable[[Message, Context], Awaitable[Message]]:
        """The method of that name."""
        method = next((each for each in self.service.methods if each.attribute == attribute), None)
        if method is None:
            raise AttributeError(attribute)

        async def answer(request: Message, context: Context) -> Message:
            identity = context.identity or Identity()
            data = request.SerializeToString(deterministic=True)
            self.came.append(Came(method.full_name, data, identity.subject, identity.login))
            return self.answers[method.full_name]

        return answer


class Doors:
    """Both ways in."""

    def __init__(self, client: Client, channel: grpc.aio.Channel, echoes: Mapping[str, Echo]) -> None:
        self._client = client
        self._channel = channel
        self._echoes = echoes

    async def http(
        self, route: Route, request: Message, answer: Message, headers: Mapping[str, str]
    ) -> Outcome:
        """The request over HTTP."""
        verb, target, body = over_http(route, request)
        return await self.raw(route, verb, target, body, answer, headers)

    async def raw(  # noqa: PLR0913, PLR0917 - what a request is made of
        self, route: Route, verb: str, target: str, body: bytes, answer: Message, headers: Mapping[str, str]
    ) -> Outcome:
        """Any request over HTTP that is meant for a route."""
        came = self._prepared(route, answer)
        kind = {"content-type": "application/json"} if body else {}
        response = await self._client.send(verb, target, body or None, {**kind, **headers})
        if response.status != 200:
            return _refusal(json_format.Parse(response.content, status_pb2.Status()), came)
        said = json_format.Parse(response.content, route.method.response())
        return Outcome("OK", response=said.SerializeToString(deterministic=True), came=_last(came))

    async def grpc(
        self, route: Route, request: Message, answer: Message, headers: Mapping[str, str]
    ) -> Outcome:
        """The request over gRPC."""
        came = self._prepared(route, answer)
        call: Any = self._channel.unary_unary(route.method.path)
        try:
            data = await call(request.SerializeToString(), metadata=tuple(headers.items()), timeout=10)
        except grpc.aio.AioRpcError as error:
            return _refusal(_status(error), came)
        said = route.method.response.FromString(data)
        return Outcome("OK", response=said.SerializeToString(deterministic=True), came=_last(came))

    def _prepared(self, route: Route, answer: Message) -> list[Came]:
        echo = self._echoes[route.method.service]
        echo.came.clear()
        echo.answers[route.method.full_name] = answer
        return echo.came


@asynccontextmanager
async def doors() -> AsyncIterator[Doors]:
    """Serves: the gateway's own app in process, gRPC on loopback."""
    echoes = {service.name: Echo(service, []) for service in SERVICES}
    behind = Pipeline(Authenticator(USERS, GATEWAY))
    before = Pipeline(Authenticator(USERS, None), max_request_bytes=MAX_REQUEST_BYTES)
    async with AsyncExitStack() as stack:
        handlers = [(echo.service, echo) for echo in echoes.values()]
        port = await stack.enter_async_context(serve_grpc("127.0.0.1:0", handlers, behind, drain=1))
        instances = FixedInstances(LOGIC, [f"127.0.0.1:{port}"])
        upstreams = await stack.enter_async_context(Upstreams(SERVICES, {LOGIC: instances}, GATEWAY))
        dispatch = Dispatch(
            ROUTES,
            registry=registry(),
            pipeline=before,
            channel=upstreams,
            settings=HttpSettings(always_print_fields_with_no_presence=True),
        )
        client = Client(site(dispatch, Readiness(cast("Any", instances), upstreams)))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        yield Doors(client, channel, echoes)


def over_http(route: Route, request: Message) -> tuple[str, str, bytes]:
    """Verb, target and body that say a request by a route."""
    rest = json_format.MessageToDict(request)
    segments = list(route.segments)
    for variable in route.variables:
        (name,) = variable.field
        (described,) = (each for each in request.DESCRIPTOR.fields if each.name == name)
        rest.pop(described.json_name, None)
        segments[variable.start] = quote(str(getattr(request, name)), safe="")
    path = "/" + "/".join(segments) + (f":{route.custom_verb}" if route.custom_verb else "")
    if route.body == "*":
        return route.verb, path, json.dumps(rest).encode()
    query = urlencode([(name, _text(value)) for name, value in rest.items()])
    return route.verb, f"{path}?{query}" if query else path, b""


def _text(value: Any) -> str:
    assert not isinstance(value, list | dict), "no request of the schema has such parameters"
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _last(came: list[Came]) -> Came | None:
    assert len(came) <= 1
    return came[-1] if came else None


def _refusal(status: status_pb2.Status, came: list[Came]) -> Outcome:
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    fields = tuple(each.field for each in bad.field_violations)
    return Outcome(code_pb2.Code.Name(status.code), info.reason, fields, came=_last(came))


def _status(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    found = [value for key, value in error.trailing_metadata() or () if key == DETAILS]
    assert isinstance(found[0], bytes)
    return status_pb2.Status.FromString(found[0])
