"""What the schema declares, read from its descriptors: nothing here is a list kept by hand."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import Descriptor, FileDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from idiom.v1 import options_pb2

GEN = Path(__file__).parents[2] / "gen"
_VERBS = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True, slots=True)
class HttpBinding:
    """One verb and template of a method."""

    verb: str
    template: str
    body: str


@dataclass(frozen=True, slots=True)
class FrameBinding:
    """One member of a client frame that calls a method."""

    member: str
    reply: str


@dataclass(frozen=True)
class Wire:
    """One way on which one method can be called."""

    method: MethodDescriptor
    kind: str
    """`grpc`, `http`, `frame`, `socket` or `stream`."""
    binding: HttpBinding | FrameBinding | None = None

    def __str__(self) -> str:
        detail = ""
        if isinstance(self.binding, HttpBinding):
            detail = f" {self.binding.verb} {self.binding.template}"
        elif isinstance(self.binding, FrameBinding):
            detail = f" {self.binding.member}"
        return f"{self.method.full_name} {self.kind}{detail}"


@cache
def files() -> tuple[FileDescriptor, ...]:
    """All files of the schema."""
    names = sorted(path.relative_to(GEN).with_suffix("") for path in GEN.glob("im/**/*_pb2.py"))
    return tuple(importlib.import_module(".".join(name.parts)).DESCRIPTOR for name in names)


@cache
def methods() -> tuple[MethodDescriptor, ...]:
    """All rpcs of the schema."""
    return tuple(
        method for file in files() for service in file.services_by_name.values() for method in service.methods
    )


@cache
def wires() -> tuple[Wire, ...]:
    """Every wire of every rpc."""
    return tuple(wire for method in methods() for wire in _wires(method))


def policy(method: MethodDescriptor) -> options_pb2.PolicyOptions:
    """The declared policy."""
    return method.GetOptions().Extensions[options_pb2.policy]


def message_class(descriptor: Descriptor) -> type[Message]:
    """The Python class of a message."""
    return GetMessageClass(descriptor)


@cache
def stream_payloads() -> tuple[Descriptor, ...]:
    """All messages that travel in streams."""
    return tuple(
        message
        for file in files()
        for message in file.message_types_by_name.values()
        if message.GetOptions().HasExtension(options_pb2.stream)
    )


@cache
def frames() -> tuple[Descriptor, ...]:
    """All messages that travel on sockets."""
    sockets = [m for m in methods() if m.GetOptions().HasExtension(options_pb2.websocket)]
    return tuple(descriptor for m in sockets for descriptor in (m.input_type, m.output_type))


@cache
def calls() -> tuple[Descriptor, ...]:
    """All requests and responses of rpcs that are neither streams nor sockets."""
    unary = [m for m in methods() if not m.client_streaming and not _consumes(m)]
    return tuple(descriptor for m in unary for descriptor in (m.input_type, m.output_type))


def _consumes(method: MethodDescriptor) -> bool:
    wire = method.containing_service.GetOptions().Extensions[options_pb2.service].wire
    return bool(wire == options_pb2.WIRE_CONSUMER)


def _wires(method: MethodDescriptor) -> Iterator[Wire]:
    wire = method.containing_service.GetOptions().Extensions[options_pb2.service].wire
    if wire == options_pb2.WIRE_CONSUMER:
        yield Wire(method, "stream")
    elif wire == options_pb2.WIRE_SOCKET:
        yield Wire(method, "socket")
    else:
        yield Wire(method, "grpc")
        yield from (Wire(method, "http", binding) for binding in _http_bindings(method))
        yield from (Wire(method, "frame", binding) for binding in _frame_bindings(method))


def _http_bindings(method: MethodDescriptor) -> Iterator[HttpBinding]:
    options: Any = method.GetOptions()
    if options.HasExtension(annotations_pb2.http):
        rule: http_pb2.HttpRule = options.Extensions[annotations_pb2.http]
        yield from (_http_binding(one) for one in (rule, *rule.additional_bindings))


def _http_binding(rule: http_pb2.HttpRule) -> HttpBinding:
    verb = rule.WhichOneof("pattern")
    assert verb in _VERBS
    return HttpBinding(verb.upper(), getattr(rule, verb), rule.body)


def _frame_bindings(method: MethodDescriptor) -> Iterator[FrameBinding]:
    for descriptor in frames():
        for member in descriptor.fields:
            frame = member.GetOptions().Extensions[options_pb2.frame]
            if frame.calls == method.full_name:
                yield FrameBinding(member.name, frame.reply)
