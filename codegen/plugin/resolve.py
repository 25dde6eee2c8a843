"""Descriptors to IR: reads every option, checks everything that can be wrong, reports it together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from protobuf import DescEnum, DescFile, DescMessage, Registry
from protobuf.wkt.google.protobuf.compiler.plugin_pb import CodeGeneratorRequest
from protobuf.wkt.google.protobuf.descriptor_pb import FileDescriptorSet

from codegen.plugin import enums, services, sockets, streams
from codegen.plugin.algebra import Shadows
from codegen.plugin.ir import Consumer, File, Schema, Service, Socket, Stream
from codegen.plugin.mistakes import Mistakes, Sources
from codegen.plugin.parameters import Parameters
from codegen.plugin.scope import Scope
from codegen.plugin.vocabulary import Vocabulary


def resolve(request: CodeGeneratorRequest, parameters: Parameters) -> Schema:
    """The schema of a request, of which files whose paths begin with `include` are wanted.

    Everything in the request is resolved, because wanted files refer to others; mistakes are those of wanted
    files.

    Raises:
        SchemaError: the schema has mistakes.
    """
    registry = _registry(request)
    sources = Sources()
    mistakes = Mistakes(sources)
    scope = Scope(registry, Vocabulary(registry), mistakes)
    files = [file for proto in request.proto_file if (file := registry.file(proto.name)) is not None]
    _configure(scope, files, parameters)
    wanted = frozenset(name for name in request.file_to_generate if parameters.wants(name))
    resolved = _Resolved(scope, files, Shadows(mistakes, parameters), wanted)
    mistakes.report(wanted, parameters.shown)
    return Schema(
        files=tuple(
            sorted((resolved.file(file) for file in files if file.name in wanted), key=lambda f: f.path)
        ),
        dependencies=tuple(files),
        services=resolved.services,
        shadowed=resolved.shadowed,
        comments=sources.comments,
    )


class _Resolved:
    """Everything in a request, file by file."""

    def __init__(
        self, scope: Scope, files: Sequence[DescFile], shadows: Shadows, wanted: frozenset[str]
    ) -> None:
        ordered = sorted(files, key=lambda file: file.name)
        messages = [message for file in ordered for message in _messages(file.messages)]
        self.services: dict[str, Service] = {
            desc.type_name: services.service(scope, desc) for file in ordered for desc in file.services
        }
        # What a gateway serves is what is generated for it, not what that imports.
        served = [service for service in self.services.values() if service.desc.file.name in wanted]
        kept, self.shadowed = shadows.without(served)
        self.services |= {service.full_name: service for service in kept}
        self._scope = scope
        self._errors = {e: t for file in ordered for e in _enums(file) if (t := enums.error_enum(scope, e))}
        self._closes = {e: c for file in ordered for e in _enums(file) if (c := enums.close_enum(scope, e))}
        plain = streams.streams(scope, messages)
        consumers = streams.consumers(scope, self.services.values(), plain)
        self._streams = {
            name: streams.with_groups(stream, consumers.values()) for name, stream in plain.items()
        }
        self._consumers = {
            name: Consumer(
                consumer.service, self._streams[consumer.stream.message.type_name], consumer.groups
            )
            for name, consumer in consumers.items()
        }
        self._sockets = sockets.sockets(scope, self.services)
        sockets.check_frames(
            scope, messages, [socket for group in self._sockets.values() for socket in group]
        )

    def file(self, desc: DescFile) -> File:
        """One file."""
        names = [service.type_name for service in desc.services]
        return File(
            desc=desc,
            services=tuple(self.services[name] for name in names),
            streams=tuple(self._streams_of(desc)),
            consumers=tuple(self._consumers[name] for name in names if name in self._consumers),
            sockets=tuple(self._sockets_of(names)),
            errors=tuple(self._errors[enum] for enum in _enums(desc) if enum in self._errors),
            closes=tuple(self._closes[enum] for enum in _enums(desc) if enum in self._closes),
        )

    def _streams_of(self, desc: DescFile) -> Iterator[Stream]:
        for message in _messages(desc.messages):
            if message.type_name in self._streams:
                yield self._streams[message.type_name]

    def _sockets_of(self, names: Iterable[str]) -> Iterator[Socket]:
        for name in names:
            yield from self._sockets.get(name, ())


def _configure(scope: Scope, files: Iterable[DescFile], parameters: Parameters) -> None:
    path = parameters.values.get("service_config")
    if path is not None:
        from codegen.plugin.service_config import configured  # noqa: PLC0415  # 20 ms of YAML

        methods = (
            f"{service.type_name}.{method.name}"
            for file in files
            for service in file.services
            for method in service.methods
        )
        scope.vocabulary.configure(configured(path, methods, scope.mistakes.add_beside))


def _registry(request: CodeGeneratorRequest) -> Registry:
    # Source descriptors keep options that are meant for generators only.
    sources = {file.name: file for file in request.source_file_descriptors}
    return FileDescriptorSet(file=[sources.get(file.name, file) for file in request.proto_file]).to_registry()


def _messages(messages: Iterable[DescMessage]) -> Iterator[DescMessage]:
    for message in messages:
        yield message
        yield from _messages(message.nested_messages)


def _enums(file: DescFile) -> Iterator[DescEnum]:
    yield from file.enums
    for message in _messages(file.messages):
        yield from message.nested_enums
