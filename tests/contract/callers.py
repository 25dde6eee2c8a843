"""Calls any method on any wire that the schema declares for it, and tells what came back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import grpc
import httpx
import websockets
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from websockets.typing import Subprotocol

from tests.contract.catalog import FrameBinding, HttpBinding, Wire, message_class

_SECONDS = 10.0
_VARIABLE = re.compile(r"\{([^}=]+)(?:=[^}]*)?\}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to: a response, or a code with its reason."""

    response: Message | None
    code: str = "OK"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Doors:
    """Where the system can be entered."""

    http: httpx.AsyncClient
    grpc: Mapping[str, str]
    """Address of a gRPC server per target."""
    socket: str


async def call(doors: Doors, wire: Wire, request: Message, token: str | None) -> Outcome:
    """One unary call."""
    if isinstance(wire.binding, HttpBinding):
        return await _http(doors, wire, wire.binding, request, token)
    if isinstance(wire.binding, FrameBinding):
        return await _frame(doors, wire, wire.binding, request, token)
    return await _grpc(doors, wire, request, token)


async def _http(
    doors: Doors, wire: Wire, binding: HttpBinding, request: Message, token: str | None
) -> Outcome:
    path, rest = _expanded(binding.template, json_format.MessageToDict(request))
    headers = {"authorization": f"Bearer {token}"} if token else {}
    answer = await doors.http.request(
        binding.verb,
        path,
        headers=headers,
        timeout=_SECONDS,
        json=rest if binding.body == "*" else None,
        params=None if binding.body == "*" else rest,
    )
    if answer.status_code == httpx.codes.OK:
        return Outcome(json_format.Parse(answer.content, message_class(wire.method.output_type)()))
    return _refusal(json_format.Parse(answer.content, status_pb2.Status()))


def _expanded(template: str, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    rest = dict(values)

    def expand(match: re.Match[str]) -> str:
        return quote(str(rest.pop(_camel(match[1]), "unset")), safe="")

    return _VARIABLE.sub(expand, template), rest


def _camel(name: str) -> str:
    return re.sub("_([a-z])", lambda match: match[1].upper(), name)


async def _grpc(doors: Doors, wire: Wire, request: Message, token: str | None) -> Outcome:
    method = wire.method
    target = doors.grpc["connect" if method.full_name.startswith("im.connect.") else "logic"]
    response = message_class(method.output_type)
    async with grpc.aio.insecure_channel(target) as channel:
        function: Any = channel.unary_unary(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        try:
            return Outcome(await function(request, timeout=_SECONDS, metadata=credentials(token)))
        except grpc.aio.AioRpcError as error:
            return refusal_of(error)


def credentials(token: str | None) -> tuple[tuple[str, str], ...]:
    """Metadata that carries the token."""
    return (("authorization", f"Bearer {token}"),) if token else ()


def refusal_of(error: grpc.aio.AioRpcError) -> Outcome:
    """What a gRPC error says."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            return _refusal(status_pb2.Status.FromString(value))
    return Outcome(None, error.code().name)


def _refusal(status: status_pb2.Status) -> Outcome:
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            break
    return Outcome(None, code_pb2.Code.Name(status.code), info.reason)


async def _frame(
    doors: Doors, wire: Wire, binding: FrameBinding, request: Message, token: str | None
) -> Outcome:
    async with websockets.connect(doors.socket, subprotocols=[Subprotocol("idiom.v1.json")]) as socket:
        await socket.send(json.dumps({"hello": {"accessToken": token or ""}}))
        welcome = json.loads(await socket.recv())
        if "error" in welcome:
            return Outcome(None, welcome["error"]["code"], welcome["error"]["reason"])
        assert "welcome" in welcome
        body = json_format.MessageToDict(request)
        await socket.send(json.dumps({binding.member: {"requestId": "r1", "request": body}}))
        while True:
            frame = json.loads(await socket.recv())
            if binding.reply in frame:
                assert frame[binding.reply]["requestId"] == "r1"
                answer = message_class(wire.method.output_type)()
                return Outcome(json_format.ParseDict(frame[binding.reply]["response"], answer))
            if "error" in frame:
                assert frame["error"]["requestId"] == "r1"
                return Outcome(None, frame["error"]["code"], frame["error"]["reason"])
