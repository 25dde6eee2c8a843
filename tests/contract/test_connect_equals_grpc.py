"""Random requests by Connect, gRPC-Web and native gRPC at the gateway: the same call, the same outcome."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast
from urllib.parse import unquote

import grpc
import orjson
import pytest
from fastapi import FastAPI
from google.protobuf import any_pb2, json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.rpc import code_pb2, status_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from im.descriptors import registry

from codegen.runtime.connect import mount_connect
from codegen.runtime.discovery import FixedInstances
from codegen.runtime.grpc_client import Upstreams
from codegen.runtime.grpc_edge import serve_grpc_edge
from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import Authenticator
from codegen.runtime.method import Auth, Method
from codegen.runtime.pipeline import Pipeline
from impl.gateway.app import HTTP, LOGIC, MAX_REQUEST_BYTES, SERVICES
from tests.codegen.runtime.connect.wire import TRAILERS, envelope, envelopes
from tests.codegen.runtime.http.request import Client
from tests.contract.both_doors import GATEWAY, USERS, Came, Echo, Outcome, _last, _refusal, _status
from tests.contract.messages import messages

METHODS = [method for service in SERVICES for method in service.methods]
SERVICES_ONLY = [method for method in METHODS if method.policy.auth in (Auth.SERVICE, Auth.UNSPECIFIED)]
OPEN = [method for method in METHODS if method not in SERVICES_ONLY]
BY_METHOD = pytest.mark.parametrize("method", METHODS, ids=[each.full_name for each in METHODS])
BY_OPEN_METHOD = pytest.mark.parametrize("method", OPEN, ids=[each.full_name for each in OPEN])
SETTINGS = settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TOKEN = {"authorization": f"Bearer {USERS.issue('5', '7')[0]}"}
FORMS = ("application/json", "application/proto", "application/grpc-web+json", "application/grpc-web+proto")


class Doors:
    """All ways in."""

    def __init__(self, client: Client, channel: grpc.aio.Channel, echoes: dict[str, Echo]) -> None:
        self._client = client
        self._channel = channel
        self._echoes = echoes

    async def outcomes(
        self, method: Method, request: Message, answer: Message, headers: dict[str, str]
    ) -> list[Outcome]:
        """Of one request in every form."""
        text = json_format.MessageToJson(request).encode()
        data = request.SerializeToString()
        found = [
            await self.connect(method, form, data if form.endswith("proto") else text, answer, headers)
            for form in FORMS
        ]
        return [*found, await self.grpc(method, data, answer, headers)]

    async def connect(
        self, method: Method, form: str, content: bytes, answer: Message, headers: dict[str, str]
    ) -> Outcome:
        """One request by Connect or gRPC-Web."""
        came, web = self._prepared(method, answer), "grpc-web" in form
        body = envelope(content) if web else content
        response = await self._client.send("POST", method.path, body, {"content-type": form, **headers})
        status, said = _of_web(response.content) if web else _of_connect(response.status, response.content)
        if status.code:
            return _refusal(status, came)
        made = method.response()
        if form.endswith("proto"):
            made.ParseFromString(said)
        else:
            json_format.Parse(said, made)
        return Outcome("OK", response=made.SerializeToString(deterministic=True), came=_last(came))

    async def grpc(self, method: Method, data: bytes, answer: Message, headers: dict[str, str]) -> Outcome:
        """One request by native gRPC."""
        came = self._prepared(method, answer)
        call: Any = self._channel.unary_unary(method.path)
        try:
            said = await call(data, metadata=tuple(headers.items()), timeout=10)
        except grpc.aio.AioRpcError as error:
            return _refusal(_status(error), came)
        made = method.response.FromString(said)
        return Outcome("OK", response=made.SerializeToString(deterministic=True), came=_last(came))

    def _prepared(self, method: Method, answer: Message) -> list[Came]:
        echo = self._echoes[method.service]
        echo.came.clear()
        echo.answers[method.full_name] = answer
        return echo.came


def _of_connect(status: int, content: bytes) -> tuple[status_pb2.Status, bytes]:
    if status == 200:
        return status_pb2.Status(), content
    error = orjson.loads(content)
    name = error["code"].upper().replace("CANCELED", "CANCELLED")
    made = status_pb2.Status(code=code_pb2.Code.Value(name), message=error["message"])
    for each in error["details"]:
        packed = any_pb2.Any(type_url=f"type.googleapis.com/{each['type']}", value=_unpadded(each["value"]))
        made.details.append(packed)
    return made, b""


def _of_web(content: bytes) -> tuple[status_pb2.Status, bytes]:
    *said, (flags, last) = envelopes(content)
    assert flags == TRAILERS
    trailers = dict(line.split(": ", 1) for line in last.decode().removesuffix("\r\n").split("\r\n"))
    if trailers["grpc-status"] == "0":
        return status_pb2.Status(), said[0][1]
    status = status_pb2.Status.FromString(_unpadded(trailers["grpc-status-details-bin"]))
    assert (str(status.code), status.message) == (trailers["grpc-status"], unquote(trailers["grpc-message"]))
    return status, b""


def _unpadded(text: str) -> bytes:
    return base64.b64decode(text + "==")


@asynccontextmanager
async def doors() -> AsyncIterator[Doors]:
    echoes = {service.name: Echo(service, []) for service in SERVICES}
    behind = Pipeline(Authenticator(USERS, GATEWAY))
    before = Pipeline(Authenticator(USERS, None), max_request_bytes=MAX_REQUEST_BYTES)
    async with AsyncExitStack() as stack:
        handlers = [(echo.service, echo) for echo in echoes.values()]
        port = await stack.enter_async_context(serve_grpc("127.0.0.1:0", handlers, behind, drain=1))
        instances = FixedInstances(LOGIC, [f"127.0.0.1:{port}"])
        upstreams = await stack.enter_async_context(Upstreams(SERVICES, {LOGIC: instances}, GATEWAY))
        app = FastAPI()
        mount_connect(app, SERVICES, registry=registry(), pipeline=before, channel=upstreams, settings=HTTP)
        edge = serve_grpc_edge("127.0.0.1:0", SERVICES, pipeline=before, channel=upstreams, drain=1)
        address = f"127.0.0.1:{await stack.enter_async_context(edge)}"
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
        yield Doors(Client(app), channel, echoes)


class Running:
    """Everything, in a loop that runs only while somebody asks."""

    def __init__(self, runner: asyncio.Runner, entered: Doors) -> None:
        self.run = runner.run
        self.doors = entered


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with asyncio.Runner() as runner:
        context = doors()
        yield Running(runner, runner.run(context.__aenter__()))
        runner.run(context.__aexit__(None, None, None))


def _request(method: Method) -> Descriptor:
    return cast("Descriptor", method.request.DESCRIPTOR)


@BY_OPEN_METHOD
def test_a_valid_request_comes_to_the_same_on_every_wire(running: Running, method: Method) -> None:
    codes: Counter[str] = Counter()

    @SETTINGS
    @given(
        request=messages(_request(method)),
        answer=messages(cast("Descriptor", method.response.DESCRIPTOR), ruled=False),
    )
    def check(request: Any, answer: Any) -> None:
        first, *others = running.run(running.doors.outcomes(method, request, answer, TOKEN))
        assert others == [first] * len(FORMS)
        codes[first.code] += 1
        if first.code == "OK":
            assert first.came is not None
            assert first.came.request == request.SerializeToString(deterministic=True)
            assert first.response == answer.SerializeToString(deterministic=True)

    check()
    assert codes["OK"] > codes.total() / 2, codes


@BY_OPEN_METHOD
def test_a_request_that_may_break_rules_comes_to_the_same(running: Running, method: Method) -> None:
    @SETTINGS
    @given(request=messages(_request(method), ruled=False))
    def check(request: Any) -> None:
        first, *others = running.run(running.doors.outcomes(method, request, method.response(), TOKEN))
        assert others == [first] * len(FORMS)
        assert first.code in ("OK", "INVALID_ARGUMENT")

    check()


@BY_OPEN_METHOD
def test_arbitrary_bytes_come_to_the_same_code(running: Running, method: Method) -> None:
    @SETTINGS
    @given(data=st.binary(max_size=30))
    def check(data: bytes) -> None:
        answer = method.response()
        forms = ("application/proto", "application/grpc-web+proto")
        found = [running.run(running.doors.connect(method, form, data, answer, TOKEN)) for form in forms]
        found.append(running.run(running.doors.grpc(method, data, answer, TOKEN)))
        codes = {each.code for each in found}
        assert len(codes) == 1
        assert codes <= {"OK", "INVALID_ARGUMENT"}

    check()


@pytest.mark.parametrize("token", [{}, {"authorization": "Bearer x"}, {"authorization": "Basic x"}])
@BY_METHOD
def test_who_may_call_is_the_same_on_every_wire(
    running: Running, method: Method, token: dict[str, str]
) -> None:
    request, answer = method.request(), method.response()
    first, *others = running.run(running.doors.outcomes(method, request, answer, token))
    assert others == [first] * len(FORMS)
    if method.policy.auth is not Auth.NONE:
        assert (first.code, first.came) == ("UNAUTHENTICATED", None)


@pytest.mark.parametrize("method", SERVICES_ONLY, ids=[each.full_name for each in SERVICES_ONLY])
def test_methods_for_services_are_for_nobody_outside(running: Running, method: Method) -> None:
    vouched = {**TOKEN, "idiom-subject": "5"}
    for token in (TOKEN, vouched, {"authorization": f"Bearer {GATEWAY.current()}"}):
        found = running.run(running.doors.outcomes(method, method.request(), method.response(), token))
        assert {each.code for each in found} <= {"PERMISSION_DENIED", "UNAUTHENTICATED"}
        assert not any(each.came for each in found)
