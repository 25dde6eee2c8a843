"""Back end `rpc`: `<file>_rpc.py` with protocol, table and client of every service of wire RPC."""

from __future__ import annotations

from collections.abc import Iterator

from codegen.plugin import names
from codegen.plugin.backend import Output, Run
from codegen.plugin.declarations import TABLES, class_name, method, table_name
from codegen.plugin.ir import File, Method, Schema, Service
from codegen.plugin.python_text import Module, call, docstring, layout, sequence, string

_CLIENT = "codegen.runtime.grpc_client"


def generate(run: Run) -> Iterator[Output]:
    """One module for each file that has such services."""
    for file in run.schema.files:
        services = [service for service in file.services if service.wire == "RPC"]
        if services:
            yield Output(names.path(file.desc, "_rpc"), _module(run.schema, file, services))


def _module(schema: Schema, file: File, services: list[Service]) -> str:
    module = Module(file.path, _summary(services), _defined(services))
    for service in services:
        module.block(_table(module, service))
    for service in services:
        module.block(_protocol(schema, module, service))
        module.block(_client(module, service))
    if any(method.server_streaming and not method.client_streaming for s in services for method in s.methods):
        module.block(_one_request(module))
    return module.text()


def _summary(services: list[Service]) -> str:
    return f"{', '.join(service.full_name for service in services)}: protocol, table and client."


def _defined(services: list[Service]) -> set[str]:
    classes = {class_name(service) for service in services}
    tables = {table_name(service) for service in services}
    return classes | tables | {f"{service.name}Client" for service in services} | {"_one"}


def _table(module: Module, service: Service) -> list[str]:
    table = call(
        module.use(TABLES, "Service"),
        name=string(service.full_name),
        target=string(service.target),
        discovery=f"{module.use(TABLES, 'Discovery')}.{service.discovery}",
        methods=sequence(method(module, each) for each in service.methods),
    )
    return layout(f"{table_name(service)} = ", table)


def _protocol(schema: Schema, module: Module, service: Service) -> list[str]:
    comment = schema.comments(service.desc)
    heading = comment or (f"{service.full_name}, implemented by hand.",)
    lines = [
        f"class {class_name(service)}({module.use('typing', 'Protocol')}):",
        *docstring(heading, indent=1),
    ]
    for each in service.methods:
        lines += ["", *_declaration(schema, module, each)]
    return lines


def _declaration(schema: Schema, module: Module, method: Method) -> list[str]:
    request = _request(module, method)
    context = f"context: {module.use('codegen.runtime.context', 'Context')}"
    signature = call(f"{_def(method)}{method.attribute}", "self", request, context)
    returns = f" -> {_response(module, method)}:"
    comment = schema.comments(method.desc)
    if not comment:
        return layout("", signature, f"{returns} ...", indent=1)
    return [*layout("", signature, returns, indent=1), *docstring(comment, indent=2), f"{' ' * 8}..."]


def _client(module: Module, service: Service) -> list[str]:
    channel = module.use(_CLIENT, "Channel")
    lines = [
        f"class {service.name}Client:",
        *docstring([f"Calls {service.full_name} through a channel."], indent=1),
        "",
        f"    def __init__(self, channel: {channel}) -> None:",
        "        self._channel = channel",
    ]
    for each in service.methods:
        lines += ["", *_client_method(module, service, each)]
    return lines


def _client_method(module: Module, service: Service, method: Method) -> list[str]:
    options = f"options: {module.use(_CLIENT, 'CallOptions')} = {module.use(_CLIENT, 'DEFAULT_OPTIONS')}"
    signature = call(f"{_def(method)}{method.attribute}", "self", _request(module, method), options)
    table = f"{table_name(service)}.methods[{method.index}]"
    response = module.message(method.output)
    sent = "requests" if method.client_streaming else "request"
    if not method.client_streaming and not method.server_streaming:
        body = layout(
            "return await ", call("self._channel.unary", table, sent, response, "options"), indent=2
        )
    else:
        sent = sent if method.client_streaming else "_one(request)"
        stream = call("self._channel.stream_stream", table, sent, response, "options")
        body = layout("return ", stream if method.server_streaming else call("await anext", stream), indent=2)
    return [*layout("", signature, f" -> {_response(module, method)}:", indent=1), *body]


def _one_request(module: Module) -> list[str]:
    iterator = module.use("collections.abc", "AsyncIterator")
    variable = module.use("typing", "TypeVar")
    return [
        f'_T = {variable}("_T")',
        "",
        "",
        f"async def _one(request: _T) -> {iterator}[_T]:",
        "    yield request",
    ]


def _def(method: Method) -> str:
    """An async generator is declared by a plain `def`."""
    return "def " if method.server_streaming else "async def "


def _request(module: Module, method: Method) -> str:
    message = module.annotation(method.input)
    if not method.client_streaming:
        return f"request: {message}"
    return f"requests: {module.use('collections.abc', 'AsyncIterator')}[{message}]"


def _response(module: Module, method: Method) -> str:
    message = module.annotation(method.output)
    if not method.server_streaming:
        return message
    return f"{module.use('collections.abc', 'AsyncIterator')}[{message}]"
