"""The schema of these tests, compiled: message classes, the registry, and routes as generated."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc_tools
from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from grpc_tools import protoc
from idiom.v1 import options_pb2
from protobuf import Registry
from protobuf.wkt import FileDescriptorSet

from codegen.plugin.template import parse
from codegen.runtime.method import Auth, Method, Policy
from codegen.runtime.transcoding.route import Route, Variable

ROOT = Path(__file__).parents[4]
FOLDERS = (
    Path(__file__).parent,
    ROOT / "codegen" / "proto",
    ROOT / ".protos",
    Path(grpc_tools.__file__).parent / "_proto",
)


@dataclass(frozen=True, slots=True)
class Schema:
    """A compiled schema with one service."""

    registry: Registry
    methods: dict[str, Method]
    routes: tuple[Route, ...]


@functools.cache
def schema() -> Schema:
    """`shelf.proto`."""
    data = _compiled("shelf.proto")
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.Add(file)
    service = pool.FindServiceByName("tests.http.v1.ShelfService")
    methods = {each.name: _method(each) for each in service.methods}
    routes = tuple(route for each in service.methods for route in _routes(each, methods[each.name]))
    return Schema(FileDescriptorSet.from_binary(data).to_registry(), methods, routes)


def _compiled(name: str) -> bytes:
    with tempfile.NamedTemporaryFile() as out:
        folders = [f"-I{folder}" for folder in FOLDERS]
        code = protoc.main(  # type: ignore[no-untyped-call]
            ["protoc", *folders, "--include_imports", f"--descriptor_set_out={out.name}", name]
        )
        assert code == 0
        return Path(out.name).read_bytes()


def _method(descriptor: MethodDescriptor) -> Method:
    policy = _options(descriptor).Extensions[options_pb2.policy]
    return Method(
        service=descriptor.containing_service.full_name,
        name=descriptor.name,
        attribute=descriptor.name.lower(),
        request=_class(descriptor.input_type),
        response=_class(descriptor.output_type),
        policy=Policy(
            auth=Auth(policy.auth),
            scopes=tuple(policy.scopes),
            deadline=policy.deadline_ms / 1000,
            max_request_bytes=policy.max_request_bytes,
        ),
    )


def _class(descriptor: Any) -> type[Message]:
    made: type[Message] = message_factory.GetMessageClass(descriptor)
    return made


def _options(descriptor: MethodDescriptor) -> descriptor_pb2.MethodOptions:
    proto = descriptor_pb2.MethodDescriptorProto()
    descriptor.CopyToProto(proto)
    return descriptor_pb2.MethodOptions.FromString(proto.options.SerializeToString())


def _routes(descriptor: MethodDescriptor, method: Method) -> Iterator[Route]:
    extension: Any = annotations_pb2.http
    rule: http_pb2.HttpRule = _options(descriptor).Extensions[extension]
    for each in (rule, *rule.additional_bindings):
        yield route(method, each)


def route(method: Method, rule: http_pb2.HttpRule) -> Route:
    """One binding, as the generator makes it."""
    kind = rule.WhichOneof("pattern")
    assert kind is not None
    verb, path = (
        (rule.custom.kind, rule.custom.path) if kind == "custom" else (kind.upper(), getattr(rule, kind))
    )
    template = parse(path)
    return Route(
        method=method,
        verb=verb,
        template=path,
        segments=template.segments,
        custom_verb=template.verb,
        variables=tuple(Variable(each.field_path, each.start, each.end) for each in template.variables),
        body=rule.body,
        response_body=rule.response_body,
    )
