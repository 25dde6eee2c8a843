"""Lists of rows: requests made on purpose, those that are wrong and those at an edge.

The name of a function is the row. Modules `rows_of_…` fill the lists; who wants all of them imports `rows`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from codegen.runtime.transcoding.route import Route
from tests.differential import urls
from tests.differential.cases import Case, Make, Maker
from tests.differential.values import kind_of

ROWS: Final[list[Make]] = []
"""Rows on which both agree."""
APART: Final[list[Make]] = []
"""Rows on which they differ, each explained in `differences.py`."""


def row(rows: list[Make], times: int = 1) -> Callable[[Make], Make]:
    """Adds a row to one of the lists, so many times over."""

    def add(make: Make) -> Make:
        def tagged(maker: Maker) -> Case:
            case = make(maker)
            case.tags.add(f"row: {make.__name__}")
            return case

        rows.extend([tagged] * times)
        return make

    return add


def typed(maker: Maker, table: dict[str, list[str]]) -> tuple[Route, str]:
    """A route of one typed variable, and its kind, if the table has it."""
    routes = [route for route in maker.routes if route.method.name == "Typed"]
    kinds = {
        id(each): kind_of(urls.field_at(urls.request_of(each), each.variables[0].field)) for each in routes
    }
    wanted = maker.random.choice(sorted(set(kinds.values()) & table.keys()))
    route = maker.random.choice([each for each in routes if kinds[id(each)] == wanted])
    return route, kinds[id(route)]


def leaf_of(maker: Maker, route: Route, condition: Callable[[Any], bool]) -> urls.Leaf:
    """Any leaf of a route's query that meets a condition."""
    leaves = urls.leaves(urls.request_of(route), urls.taken(route))
    return maker.random.choice([leaf for leaf in leaves if condition(leaf[-1])])


def name_of(leaf: urls.Leaf) -> str:
    """Its name in the schema."""
    return ".".join(step.name for step in leaf)
