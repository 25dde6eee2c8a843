"""Names and comments in generated ES modules and their types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from protobuf import DescEnum, DescField, DescMessage

from codegen.plugin.ir import Described, Method, Schema, Service, Socket

_KEYWORDS: Final = """
    arguments await break case catch class const continue debugger default delete do else enum eval export
    extends false finally for function if implements import in instanceof interface let new null package
    private protected public return static super switch this throw true try typeof var void while with yield
"""
_MODULE: Final = """
    Any Bytes CallOptions ChannelOptions Close Duration Endpoint FieldMask FieldViolation Float FrameSocket
    HttpChannel Int64 Object Promise Reconnect Record Route RpcError SocketOptions SocketState Source
    Timestamp Value any backoffMs bigint boolean compareInt64 createClient never number object string symbol
    undefined unknown
"""
_SOCKET_MEMBERS: Final = frozenset(
    {"call", "close", "constructor", "on", "onState", "open", "post", "renew", "state"}
)


class Names:
    """Every exported name of one module, so that no two are equal.

    A type is called by its own name, nested ones by their path. Where two packages share a name, the second
    one is called by its full name.
    """

    def __init__(self, schema: Schema) -> None:
        self._taken = {*_KEYWORDS.split(), *_MODULE.split()}
        self._names: dict[str, str] = {}
        for file in schema.files:
            for error in file.errors:
                self._add(error.desc.type_name, error.desc.name)
            for close in file.closes:
                self._add(close.desc.type_name, close.desc.name)
            for service in filter(offered, file.services):
                self._add(service.full_name, service.name)
            for socket in file.sockets:
                self._add(socket.method.full_name, f"{socket.method.name}Socket")
        for described in reachable(schema):
            self._add(described.type_name, _nested_name(described))

    def __getitem__(self, full_name: str) -> str:
        """The name of a type, a service, or a method that is a socket."""
        return self._names[full_name]

    def _add(self, full_name: str, name: str) -> None:
        if full_name in self._names:
            return
        name = full_name.replace(".", "_") if name in self._taken else name
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        self._names[full_name] = name


def offered(service: Service) -> bool:
    """Whether a browser can call any of its methods over HTTP."""
    return any(callable_methods(service))


def callable_methods(service: Service) -> Iterator[Method]:
    """The methods that a browser can call over HTTP."""
    return (m for m in service.methods if m.bindings and not m.client_streaming and not m.server_streaming)


def reachable(schema: Schema) -> Iterator[DescMessage | DescEnum]:
    """Every message and enum that calls and frames of the module use, in a stable order."""
    seen: set[str] = set()
    pending: list[DescMessage | DescEnum] = list(_roots(schema))
    while pending:
        described = pending.pop(0)
        if described.type_name in seen or described.type_name.startswith("google.protobuf."):
            continue
        seen.add(described.type_name)
        yield described
        if isinstance(described, DescMessage):
            pending.extend(filter(None, map(field_type, described.fields)))


def _roots(schema: Schema) -> Iterator[DescMessage]:
    for file in schema.files:
        for service in file.services:
            for method in callable_methods(service):
                yield method.input
                yield method.output
        for socket in file.sockets:
            yield socket.method.input
            yield socket.method.output


def field_type(field: DescField) -> DescMessage | DescEnum | None:
    """The message or enum of a field's values, if it is one."""
    value = field.value
    for attribute in ("message", "enum", "element", "value"):
        kind = getattr(value, attribute, None)
        if isinstance(kind, DescMessage | DescEnum):
            return kind
    return None


def _nested_name(described: DescMessage | DescEnum) -> str:
    parent = described.parent
    return described.name if parent is None else f"{_nested_name(parent)}_{described.name}"


def lower_first(name: str) -> str:
    """`SendMessage` as `sendMessage`; the whole run of capitals in `HTTPCheck`, so `httpCheck`."""
    capitals = len(name) - len(name.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    if 1 < capitals < len(name) and name[capitals].isalpha():
        capitals -= 1
    return name[:capitals].lower() + name[capitals:]


def method_name(method: Method) -> str:
    """Name of the JavaScript method of an rpc."""
    name = lower_first(method.name)
    return f"{name}_" if name == "constructor" else name


def frame_method(frame: DescField) -> str:
    """Name of the JavaScript method of a client frame."""
    return f"{frame.json_name}_" if frame.json_name in _SOCKET_MEMBERS else frame.json_name


def callable_frames(socket: Socket) -> Iterator[DescField]:
    """The client frames that a caller sends; the runtime sends the others."""
    own = {"hello", "heartbeat"} | {call.frame.name for call in socket.calls}
    return (frame for frame in socket.oneof.fields if frame.name not in own)


def comment(schema: Schema, described: Described, extra: Iterable[str] = (), indent: str = "") -> list[str]:
    """The comment on a descriptor as JSDoc; nothing where there is none."""
    lines = [*schema.comments(described), *extra]
    lines = [line.rstrip().replace("*/", "*\\/") for line in lines]
    if not lines:
        return []
    if len(lines) == 1:
        return [f"{indent}/** {lines[0]} */"]
    return [f"{indent}/**", *(f"{indent} * {line}".rstrip() for line in lines), f"{indent} */"]
