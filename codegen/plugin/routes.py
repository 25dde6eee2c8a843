"""Back end `routes`: a module of `Route`s for each service with HTTP rules; `__init__.py` has them all."""

from __future__ import annotations

from collections.abc import Iterator

from codegen.plugin import names
from codegen.plugin.backend import Output, Run
from codegen.plugin.declarations import ROUTES, route
from codegen.plugin.ir import Service
from codegen.plugin.python_text import Module, layout, sequence


def generate(run: Run) -> Iterator[Output]:
    """The modules and the aggregate."""
    routed: list[str] = []
    for file in run.schema.files:
        for service in file.services:
            if any(method.bindings for method in service.methods):
                routed.append(_module_name(service, routed))
                yield Output(f"{routed[-1]}.py", _module(file.path, service))
    yield Output("__init__.py", _aggregate(sorted(routed)))


def _module_name(service: Service, taken: list[str]) -> str:
    """`shop_v1_orders` of `shop.v1.Orders`; with a number where `shop.v1_Orders` is called that already."""
    name = names.identifier(names.snake(service.full_name.replace(".", "_")).replace("__", "_"))
    spellings = (name, *(f"{name}_{number}" for number in range(2, len(taken) + 3)))
    return next(spelling for spelling in spellings if spelling not in taken)


def _module(source: str, service: Service) -> str:
    module = Module(source, f"HTTP routes of {service.full_name}.", {"ROUTES"})
    routes = [
        route(module, service, method, binding) for method in service.methods for binding in method.bindings
    ]
    module.block(layout(f"ROUTES: tuple[{module.use(ROUTES, 'Route')}, ...] = ", sequence(routes)))
    return module.text()


def _aggregate(modules: list[str]) -> str:
    """Relative imports: the package may bear any name."""
    module = Module("all services", "HTTP routes of all services.", {"ROUTES"})
    for name in modules:
        module.use(".", name)
    table = module.use(ROUTES, "Route")
    module.block(layout(f"ROUTES: tuple[{table}, ...] = ", sequence(f"*{name}.ROUTES" for name in modules)))
    return module.text()
