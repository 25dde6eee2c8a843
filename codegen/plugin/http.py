"""Back end `http`: `<file>_http.py` with an HTTP client of every service that has HTTP rules.

A method is called by its first rule. Methods that stream have none: HTTP serves unary methods only, so far.
"""

from __future__ import annotations

from collections.abc import Iterator

from codegen.plugin import names
from codegen.plugin.backend import Output, Run
from codegen.plugin.declarations import ROUTES, route
from codegen.plugin.ir import File, Method, Schema, Service
from codegen.plugin.python_text import Module, call, docstring, layout, sequence

_CHANNEL = "codegen.runtime.client.channel"


def generate(run: Run) -> Iterator[Output]:
    """One module for each file that has such services."""
    for file in run.schema.files:
        services = [service for service in file.services if _methods(service)]
        if services:
            yield Output(names.path(file.desc, "_http"), _module(run.schema, file, services))


def _module(schema: Schema, file: File, services: list[Service]) -> str:
    summary = f"{', '.join(service.full_name for service in services)}: client over HTTP."
    classes, tables = map(_class_name, services), map(_table_name, services)
    module = Module(file.path, summary, {*classes, *tables})
    for service in services:
        module.block(_table(module, service))
    for service in services:
        module.block(_class(schema, module, service))
    return module.text()


def _methods(service: Service) -> list[Method]:
    return [method for method in service.methods if method.bindings and method.desc.method_kind == "unary"]


def _class_name(service: Service) -> str:
    return f"{service.name}Http"


def _table_name(service: Service) -> str:
    return f"{names.constant(service.name)}_HTTP"


def _table(module: Module, service: Service) -> list[str]:
    routes = [route(module, service, method, method.bindings[0]) for method in _methods(service)]
    return layout(f"{_table_name(service)}: tuple[{module.use(ROUTES, 'Route')}, ...] = ", sequence(routes))


def _class(schema: Schema, module: Module, service: Service) -> list[str]:
    comment = schema.comments(service.desc)
    lines = [
        f"class {_class_name(service)}:",
        *docstring(comment or (f"Calls {service.full_name} over HTTP.",), indent=1),
        "",
        f"    def __init__(self, channel: {module.use(_CHANNEL, 'HttpChannel')}) -> None:",
        "        self._channel = channel",
    ]
    for index, method in enumerate(_methods(service)):
        table = f"{_table_name(service)}[{index}]"
        lines += ["", *_method(schema, module, method, table)]
    return lines


def _method(schema: Schema, module: Module, method: Method, table: str) -> list[str]:
    request = f"request: {module.annotation(method.input)}"
    options = f"options: {module.use(_CHANNEL, 'HttpOptions')} = {module.use(_CHANNEL, 'NO_OPTIONS')}"
    signature = call(f"async def {method.attribute}", "self", request, options)
    called = call("self._channel.unary", table, "request", module.message(method.output), "options")
    return [
        *layout("", signature, f" -> {module.annotation(method.output)}:", indent=1),
        *docstring(schema.comments(method.desc), indent=2),
        *layout("return await ", called, indent=2),
    ]
