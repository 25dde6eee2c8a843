"""Back end `http`: `<file>_http.py` with HTTP clients of every service that has HTTP rules.

Of each service there are two, with the same methods: `…Http` for asyncio and `…HttpSync` without it. A method
is called by its first rule; the runtime does the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from codegen.plugin import names
from codegen.plugin.backend import Output, Run
from codegen.plugin.declarations import ROUTES, route
from codegen.plugin.ir import File, Method, Schema, Service
from codegen.plugin.python_text import Module, call, docstring, layout, sequence

_CHANNEL: Final = "codegen.runtime.client.channel"
_COLLECTIONS: Final = "collections.abc"
_CALLS: Final = {
    "unary": "unary",
    "server_streaming": "server_stream",
    "client_streaming": "client_stream",
    "bidi_streaming": "bidi",
}
"""Methods of a channel by the kind of method that they call."""


@dataclass(frozen=True, slots=True)
class _Flavour:
    """What differs between the two clients of a service."""

    suffix: str
    unary: str
    """Channel of a service without streams."""
    streams: str
    """Channel of one with streams."""
    requests: tuple[str, ...]
    """What may give a stream of requests."""
    responses: str
    """What gives a stream of responses."""
    done: str
    """The other type parameters of that."""
    define: str
    wait: str


_FLAVOURS: Final = (
    _Flavour(
        suffix="Http",
        unary="HttpChannel",
        streams="HttpStreamChannel",
        requests=("AsyncIterable", "Iterable"),
        responses="AsyncGenerator",
        done="None",
        define="async def ",
        wait="await ",
    ),
    _Flavour(
        suffix="HttpSync",
        unary="HttpSyncChannel",
        streams="HttpSyncStreamChannel",
        requests=("Iterable",),
        responses="Generator",
        done="None, None",
        define="def ",
        wait="",
    ),
)


def generate(run: Run) -> Iterator[Output]:
    """One module for each file that has such services."""
    for file in run.schema.files:
        services = [service for service in file.services if _methods(service)]
        if services:
            yield Output(names.path(file.desc, "_http"), _module(run.schema, file, services))


def _module(schema: Schema, file: File, services: list[Service]) -> str:
    summary = f"{', '.join(service.full_name for service in services)}: clients over HTTP."
    classes = {f"{service.name}{flavour.suffix}" for service in services for flavour in _FLAVOURS}
    module = Module(file.path, summary, {*classes, *map(_table_name, services)})
    for service in services:
        module.block(_table(module, service))
    for service in services:
        for flavour in _FLAVOURS:
            module.block(_class(schema, module, service, flavour))
    return module.text()


def _methods(service: Service) -> list[Method]:
    return [method for method in service.methods if method.bindings]


def _table_name(service: Service) -> str:
    return f"{names.constant(service.name)}_HTTP"


def _table(module: Module, service: Service) -> list[str]:
    routes = [route(module, service, method, method.bindings[0]) for method in _methods(service)]
    return layout(f"{_table_name(service)}: tuple[{module.use(ROUTES, 'Route')}, ...] = ", sequence(routes))


def _class(schema: Schema, module: Module, service: Service, flavour: _Flavour) -> list[str]:
    comment = schema.comments(service.desc)
    methods = _methods(service)
    streams = any(method.desc.method_kind != "unary" for method in methods)
    channel = module.use(_CHANNEL, flavour.streams if streams else flavour.unary)
    lines = [
        f"class {service.name}{flavour.suffix}:",
        *docstring(comment or (f"Calls {service.full_name} over HTTP.",), indent=1),
        "",
        f"    def __init__(self, channel: {channel}) -> None:",
        "        self._channel = channel",
    ]
    for index, method in enumerate(methods):
        table = f"{_table_name(service)}[{index}]"
        lines += ["", *_method(schema, module, method, table, flavour)]
    return lines


def _method(schema: Schema, module: Module, method: Method, table: str, flavour: _Flavour) -> Sequence[str]:
    sent = "requests" if method.client_streaming else "request"
    options = f"options: {module.use(_CHANNEL, 'HttpOptions')} = {module.use(_CHANNEL, 'NO_OPTIONS')}"
    define = "def " if method.server_streaming else flavour.define
    request = f"{sent}: {_request(module, method, flavour)}"
    signature = call(f"{define}{method.attribute}", "self", request, options)
    return [
        *layout("", signature, f" -> {_response(module, method, flavour)}:", indent=1),
        *docstring(schema.comments(method.desc), indent=2),
        *_body(module, method, [table, sent], flavour),
    ]


def _body(module: Module, method: Method, arguments: list[str], flavour: _Flavour) -> list[str]:
    message = module.message(method.output)
    called = call(f"self._channel.{_CALLS[method.desc.method_kind]}", *arguments, message, "options")
    if method.server_streaming or flavour.wait or message == module.annotation(method.output):
        wait = "" if method.server_streaming else flavour.wait
        return layout(f"return {wait}", called, indent=2)
    # A class whose name is a keyword is reached in a way that tells type checkers nothing.
    answer = layout(f"answer: {module.annotation(method.output)} = ", called, indent=2)
    return [*answer, "        return answer"]


def _request(module: Module, method: Method, flavour: _Flavour) -> str:
    message = module.annotation(method.input)
    if not method.client_streaming:
        return message
    return " | ".join(f"{module.use(_COLLECTIONS, kind)}[{message}]" for kind in flavour.requests)


def _response(module: Module, method: Method, flavour: _Flavour) -> str:
    message = module.annotation(method.output)
    if not method.server_streaming:
        return message
    return f"{module.use(_COLLECTIONS, flavour.responses)}[{message}, {flavour.done}]"
