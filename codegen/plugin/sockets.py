"""WebSocket endpoints and their frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from protobuf import DescField, DescMessage, DescOneof, ScalarType

from codegen.plugin import vocabulary
from codegen.plugin.ir import FrameCall, Method, Service, Socket
from codegen.plugin.scope import Scope, field_named, message_of, scalar_of
from codegen.plugin.vocabulary import FrameOptions, WebSocketOptions

_RESPONSE: Final = "response"
_REQUEST_ID: Final = "request_id"
_ERROR_FIELDS: Final = ("request_id", "code", "reason", "message")
# What stands where a schema says nothing. Both sides have to know, so that every back end writes it out.
_LIMITS: Final = {
    "hello_timeout_ms": 10_000,
    "heartbeat_ms": 20_000,
    "max_frame_bytes": 128 << 10,
    "send_queue_bytes": 1 << 20,
    "max_calls": 64,
}


@dataclass(frozen=True, slots=True)
class _Oneofs:
    """What tells the frames of either side apart."""

    client: DescOneof
    server: DescOneof


def sockets(scope: Scope, services: Mapping[str, Service]) -> dict[str, list[Socket]]:
    """The sockets, by full name of their service."""
    found: dict[str, list[Socket]] = {}
    paths: dict[str, str] = {}
    for service in services.values():
        if service.wire != "SOCKET":
            continue
        for method in service.methods:
            socket = _socket(scope, service, method, services)
            if socket is None:
                continue
            found.setdefault(service.full_name, []).append(socket)
            other = paths.setdefault(socket.path, method.full_name)
            if other != method.full_name:
                scope.mistake(
                    method.desc, f"path '{socket.path}' is {other} already.", vocabulary.WEBSOCKET, 1
                )
    return found


def check_frames(scope: Scope, messages: Iterable[DescMessage], sockets: Iterable[Socket]) -> None:
    """Frame options that no socket reads."""
    read = {field for socket in sockets for field in socket.oneof.fields}
    for message in messages:
        for field in message.fields:
            if field not in read and scope.vocabulary.read(field, "idiom.v1.frame", FrameOptions) is not None:
                scope.mistake(
                    field,
                    f"field {field.name} has a frame option, but it is no member of a client frame's oneof.",
                    vocabulary.FRAME,
                )


def _socket(scope: Scope, service: Service, method: Method, services: Mapping[str, Service]) -> Socket | None:
    options = scope.vocabulary.read(method.desc, "idiom.v1.websocket", WebSocketOptions)
    if options is None:
        return None
    if method.desc.method_kind != "bidi_streaming":
        scope.mistake(
            method.desc,
            f"method {method.name} has a websocket option but does not stream both ways.",
            vocabulary.WEBSOCKET,
        )
    if not options.path.startswith("/") or any(character in options.path for character in "{}*?#"):
        scope.mistake(
            method.desc, f"'{options.path}' is not a path that begins with '/'.", vocabulary.WEBSOCKET, 1
        )
    if not options.subprotocol:
        scope.mistake(method.desc, f"method {method.name} has no subprotocol.", vocabulary.WEBSOCKET)
    client, server = _oneof(scope, method, method.input), _oneof(scope, method, method.output)
    if client is None or server is None:
        return None
    calls = tuple(_calls(scope, _Oneofs(client, server), services))
    _check_error(scope, method, server)
    return Socket(
        service=service,
        method=method,
        path=options.path,
        subprotocol=options.subprotocol,
        oneof=client,
        reply_oneof=server,
        calls=calls,
        **{name: getattr(options, name) or default for name, default in _LIMITS.items()},
    )


def _oneof(scope: Scope, method: Method, message: DescMessage) -> DescOneof | None:
    if len(message.oneofs) != 1:
        scope.mistake(
            method.desc,
            f"frame {message.type_name} has {len(message.oneofs)} oneofs; one tells frames apart.",
        )
        return None
    return message.oneofs[0]


def _calls(scope: Scope, oneofs: _Oneofs, services: Mapping[str, Service]) -> Iterator[FrameCall]:
    for frame in oneofs.client.fields:
        options = scope.vocabulary.read(frame, "idiom.v1.frame", FrameOptions)
        if options is None:
            continue
        called = _called(scope, frame, options, services)
        if called is None:
            continue
        service, method = called
        request = _request(scope, frame, options, method)
        reply = _reply(scope, frame, options, method, oneofs.server)
        if request is not None and reply is not None:
            yield FrameCall(frame, request, service, method, reply)


def _called(
    scope: Scope, frame: DescField, options: FrameOptions, services: Mapping[str, Service]
) -> tuple[Service, Method] | None:
    where = (vocabulary.FRAME, 1)
    service_name, _, method_name = options.calls.rpartition(".")
    service = services.get(service_name)
    found = (
        [method for method in service.methods if method.name == method_name] if service is not None else []
    )
    if service is None or not found:
        scope.mistake(frame, f"field {frame.name} calls '{options.calls}', which does not exist.", *where)
        return None
    if service.wire != "RPC" or found[0].desc.method_kind != "unary":
        scope.mistake(
            frame,
            f"field {frame.name} calls {options.calls}, which is not a unary method of a WIRE_RPC service.",
            *where,
        )
        return None
    return service, found[0]


def _request(scope: Scope, frame: DescField, options: FrameOptions, method: Method) -> DescField | None:
    name = options.request or "request"
    member = message_of(frame)
    request = field_named(member, name) if member is not None else None
    if member is None or request is None:
        scope.mistake(
            frame, f"field {frame.name} has no member '{name}' for the request.", vocabulary.FRAME, 3
        )
        return None
    _check_request_id(scope, frame, member)
    if message_of(request) is not method.input:
        scope.mistake(
            frame,
            f"member '{name}' of {member.name} is not {method.input.type_name}, "
            f"the request of {method.full_name}.",
            vocabulary.FRAME,
            1,
        )
        return None
    return request


def _reply(
    scope: Scope, frame: DescField, options: FrameOptions, method: Method, server: DescOneof
) -> DescField | None:
    where = (vocabulary.FRAME, 2)
    reply = next((field for field in server.fields if field.name == options.reply), None)
    if reply is None:
        scope.mistake(
            frame,
            f"field {frame.name} is answered by '{options.reply}', which oneof {server.name} of "
            f"{server.parent.name} does not have.",
            *where,
        )
        return None
    member = message_of(reply)
    response = field_named(member, _RESPONSE) if member is not None else None
    if member is None or response is None or message_of(response) is not method.output:
        scope.mistake(
            frame,
            f"the answer '{reply.name}' has no member '{_RESPONSE}' of type {method.output.type_name}.",
            *where,
        )
        return None
    _check_request_id(scope, frame, member)
    return reply


def _check_error(scope: Scope, method: Method, server: DescOneof) -> None:
    """A refused frame is answered by a member with these fields, whatever its name."""
    members = [member for field in server.fields if (member := message_of(field)) is not None]
    for member in members:
        found = [field_named(member, name) for name in _ERROR_FIELDS]
        if all(field is not None and scalar_of(field) is ScalarType.STRING for field in found):
            return
    scope.mistake(
        method.desc,
        f"oneof {server.name} of {server.parent.name} has no member with strings {', '.join(_ERROR_FIELDS)}, "
        "which answers what is refused.",
    )


def _check_request_id(scope: Scope, frame: DescField, member: DescMessage) -> None:
    field = field_named(member, _REQUEST_ID)
    if field is None or scalar_of(field) is not ScalarType.STRING:
        scope.mistake(
            frame,
            f"{member.type_name} has no string {_REQUEST_ID}, by which calls and answers find each other.",
            vocabulary.FRAME,
        )
