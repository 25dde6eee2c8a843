"""Random requests, valid and not, each with the rows of the tables that it hits.

The tables are those of docs/transcoding.md. A request of a row on which the two are known to differ is made
on purpose and not often; everything else is random.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor

from codegen.runtime.transcoding.route import Route
from tests.differential import urls
from tests.differential.upstream import Answer
from tests.differential.values import json_field, json_message
from tests.differential.wire import Request

HTTP_BODY: Final = "google.api.HttpBody"
BINDING: Final = 30
"""Valid requests made for each binding at least; some reach another one that goes before it."""
ROW: Final = 21
"""Requests for each row."""
WITH_DETAILS: Final = range(1, 17)
"""Canonical codes of errors that a service explains."""
WITHOUT: Final = (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16)
"""Those of others. Of the rest, CANCELLED may be gRPC's own for a server that ends, and is 503 here; and what
a service says of its defects is not passed on, so that UNKNOWN and DATA_LOSS become INTERNAL."""


@dataclass(slots=True)
class Case:
    """One request, for both."""

    route: Route | None
    """The binding it is made for; None if it is for none."""
    request: Request
    tags: set[str] = field(default_factory=set)
    answer: Answer = field(default_factory=Answer)
    switched: bool = False
    valid: bool = False
    """Whether it must reach its binding's method."""


Make = Callable[["Maker"], Case]


class Maker:
    """Makes requests from one source of chance."""

    def __init__(self, random: Random, routes: Sequence[Route]) -> None:
        self.random = random
        self.routes = routes

    def some(self, condition: Callable[[Route], bool]) -> Route:
        """Any route that meets a condition."""
        return self.random.choice([route for route in self.routes if condition(route)])

    def at(self, verb: str, template: str) -> Route:
        """The route of that rule."""
        return next(each for each in self.routes if (each.verb, each.template) == (verb, template))

    def case(self, route: Route, target: str, body: bytes | None, *tags: str, **more: Any) -> Case:
        """A request whose answer is random."""
        verb = "LINK" if route.verb == "*" else route.verb
        return Case(route, Request(verb, target, body, **more), set(tags), self.answer(route))

    def valid(self, route: Route) -> Case:
        """A request that the route takes."""
        tags: set[str] = set()
        target = self.target(route, tags)
        more: dict[str, Any] = {}
        body = self.body(route, tags, more)
        switched = self.random.random() < 0.25
        if switched and route.method.server_streaming:
            more["accept"] = "application/x-ndjson"
        made = self.case(route, target, body, *tags, *_features(route), **more)
        made.valid, made.switched = True, switched
        if switched:
            made.tags.add("output: schema's names and zeros")
        return made

    def target(self, route: Route, tags: set[str] | None = None, *more: str) -> str:
        """Path and query that the route takes, and more parameters."""
        tags = set() if tags is None else tags
        path = urls.path(self.random, route, tags)
        parameters = [*urls.query(self.random, route, tags), *more]
        return f"{path}?{'&'.join(parameters)}" if parameters else path

    def body(self, route: Route, tags: set[str], more: dict[str, Any]) -> bytes | None:
        """A body that the route takes; its content type goes into `more`."""
        if not route.body:
            tags.add("body: none")
            return None
        if self.random.random() < 0.2:
            tags.add("body: chunked")
            more["chunk"] = self.random.choice([1, 7, 1000])
        request = urls.request_of(route)
        content = request if route.body == "*" else request.fields_by_name[route.body].message_type
        if content is not None and content.full_name == HTTP_BODY:
            tags.add("body: HttpBody")
            more["content_type"] = self.random.choice(
                ["text/plain", "image/png", "application/json", "a/b; c=d"]
            )
            return self.random.randbytes(self.random.randint(1, 50))
        more["content_type"] = self.random.choice(["application/json", "application/json; charset=utf-8", ""])
        return self.json_body(route, request, tags)

    def json_body(self, route: Route, request: Descriptor, tags: set[str]) -> bytes:
        """A JSON body that the route takes."""
        if route.method.client_streaming:
            tags.add("stream: requests")
            items = [json_message(self.random, request, 2) for _ in range(self.random.randint(1, 3))]
            return self.dumped([self.without(route, each) for each in items])
        if route.body == "*":
            tags.add("body: *")
            if self.random.random() < 0.08:
                tags.add("body: empty")
                return b""
            return self.dumped(self.without(route, json_message(self.random, request, 3)))
        field = request.fields_by_name[route.body]
        made = json_field(self.random, field, 3)
        if isinstance(made, dict):
            made = self.without(route, made, field.name)
        tags.add(f"body: {_shape(made)}")
        return self.dumped(made) + (b"\n" if _is_number(made) else b"")

    def without(self, route: Route, made: dict[str, Any], *within: str) -> dict[str, Any]:
        """JSON without what the path says."""
        bound = [variable.field for variable in route.variables if variable.field[: len(within)] == within]
        drop = {path[len(within)] for path in bound}
        return {name: value for name, value in made.items() if snake(name) not in drop}

    def dumped(self, value: Any) -> bytes:
        """JSON, as tight or loose and as much of it in ASCII as chance has it."""
        separators = self.random.choice([(",", ":"), (", ", ": "), (" ,\n", " : ")])
        ascii_only = self.random.random() < 0.5
        return json.dumps(value, separators=separators, ensure_ascii=ascii_only).encode()

    def answer(self, route: Route) -> Answer:
        """What the service answers: a random response, or several, or now and then an error."""
        if self.random.random() < 0.03:
            details = self.random.random() < 0.5
            return Answer((), self.random.choice(WITH_DETAILS if details else WITHOUT), details)
        least = 1 if route.method.response.DESCRIPTOR.full_name == HTTP_BODY else 0  # its type must be said
        times = self.random.randint(least, 3) if route.method.server_streaming else 1
        return Answer(tuple(self.response(route) for _ in range(times)))

    def response(self, route: Route) -> bytes:
        """A random response, serialized."""
        response = route.method.response
        name = response.DESCRIPTOR.full_name
        if name == HTTP_BODY:
            value: dict[str, Any] = {"contentType": self.random.choice(["text/css", "image/gif"])}
            made = json_format.ParseDict(value, response())
            made.data = self.random.randbytes(self.random.randint(0, 40))  # type: ignore[attr-defined]
            return made.SerializeToString()
        if name == "google.protobuf.Empty":
            return b""
        value = json_message(self.random, urls.response_of(route), 2, 9)
        if route.response_body:
            value[route.response_body] = {"contentType": "text/css", "data": "aGk="}
        made = json_format.ParseDict(value, response())
        return made.SerializeToString(deterministic=True)


def _features(route: Route) -> Iterator[str]:
    if route.verb in ("PURGE", "*"):
        yield "path: custom kind"
    if route.verb == "*":
        yield "path: any verb"
    if route.response_body:
        yield "response_body"
    if route.method.response.DESCRIPTOR.full_name == HTTP_BODY:
        yield "response: HttpBody"
    if route.method.server_streaming:
        yield "stream: responses"
    if "**" in route.segments and route.segments[-1] != "**":
        yield "path: literal behind **"


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return "message, map"
    return "list" if isinstance(value, list) else "scalar"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def snake(name: str) -> str:
    """The schema's name of a field, from either name."""
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name)


def made(seed: int, count: int, routes: Sequence[Route], rows: Sequence[Make]) -> list[Case]:
    """So many requests: each binding and each row often enough, the rest by chance."""
    maker = Maker(Random(seed), routes)
    cases = [maker.valid(route) for route in routes for _ in range(BINDING)]
    cases += [row(maker) for row in rows for _ in range(ROW)]
    while len(cases) < count:
        cases.append(maker.valid(maker.random.choice(routes)))
    maker.random.shuffle(cases)
    return cases


def few(seed: int, count: int, routes: Sequence[Route], rows: Sequence[Make]) -> list[Case]:
    """So many requests, bindings and rows by chance."""
    maker = Maker(Random(seed), routes)
    some = [maker.valid(maker.random.choice(routes)) for _ in range(count // 2)]
    return some + [maker.random.choice(rows)(maker) for _ in range(count - len(some))]
