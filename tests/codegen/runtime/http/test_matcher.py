"""The matcher: precedence by segment, whatever the order and number of routes."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from codegen.plugin.template import parse
from codegen.runtime.method import Method
from codegen.runtime.transcoding import matcher as matching
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.matcher import Matcher
from codegen.runtime.transcoding.route import Route, Variable
from tests.codegen.runtime.http.schema import Schema


def _route(method: Method, template: str, verb: str = "GET") -> Route:
    parsed = parse(template)
    variables = tuple(Variable(each.field_path, each.start, each.end) for each in parsed.variables)
    return Route(method, verb, template, parsed.segments, parsed.verb, variables)


@pytest.fixture
def method(schema: Schema) -> Method:
    return schema.methods["Path"]


TEMPLATES = [
    "/a/b/c",
    "/a/b/*",
    "/a/*/c",
    "/a/*/*",
    "/a/**",
    "/*/b/c",
    "/*/*/d",
    "/**",
    "/a/b",
    "/a/b:x",
    "/a/*:x",
    "/a/**:y",
    "/e/**/z",
    "/e/**/y/z",
    "/e/**",
    "/f/{text=g/*}/h",
    "/f/*/h/i",
]
CHOICES = {
    "/a/b/c": "/a/b/c",
    "/a/b/x": "/a/b/*",
    "/a/x/c": "/a/*/c",
    "/a/x/x": "/a/*/*",
    "/a/x/x/x": "/a/**",
    "/a/b/": "/a/**",  # an empty segment is for `**` alone
    "/a": "/a/**",
    "/x/b/c": "/*/b/c",
    "/x/x/d": "/*/*/d",
    "/a/b/d": "/a/b/*",  # segment by segment, from the left
    "/x/x/e": "/**",
    "/x/b/e": "/**",  # a choice that leads nowhere is taken back
    "/": "/**",
    "/a/b": "/a/b",
    "/a/b:x": "/a/b:x",
    "/a/c:x": "/a/*:x",
    "/a/b:y": "/a/**:y",
    "/a/b/c:y": "/a/**:y",
    "/a/b%3Ax": "/a/**",
    "/e/z": "/e/**/z",
    "/e/y/z": "/e/**/y/z",
    "/e/y": "/e/**",
    "/f/g/x/h": "/f/{text=g/*}/h",
    "/f/g/h/i": "/f/*/h/i",
}


@pytest.mark.parametrize("seed", range(5))
def test_precedence_does_not_depend_on_order(method: Method, seed: int) -> None:
    templates = random.Random(seed).sample(TEMPLATES, len(TEMPLATES))
    matcher = Matcher([_route(method, template) for template in templates])
    for path, template in CHOICES.items():
        found = matcher.find("GET", path)
        assert found is not None, path
        assert found.route is not None, path
        assert found.route.template == template, path


@pytest.mark.parametrize(("left", "right"), [("/a/{text}", "/a/*"), ("/a/%62", "/a/b"), ("/a:x", "/a:x")])
def test_the_same_route_twice_is_refused(method: Method, left: str, right: str) -> None:
    with pytest.raises(ValueError, match="both GET"):
        Matcher([_route(method, left), _route(method, right)])


def test_a_colon_is_data_where_nobody_has_custom_verbs(method: Method) -> None:
    matcher = Matcher([_route(method, "/a/{text}"), _route(method, "/b/*:x")])
    found = matcher.find("GET", "/a/b:c")
    assert found is not None
    assert found.segments == ["a", "b:c"]
    assert matcher.find("GET", "/b/b:c") is None


def test_nothing_behind_a_colon_is_no_verb(method: Method) -> None:
    matcher = Matcher([_route(method, "/a/b"), _route(method, "/a/{text}"), _route(method, "/a/{text}:x")])
    found = matcher.find("GET", "/a/b:")
    assert found is not None
    assert found.route is not None
    assert (found.route.template, found.segments) == ("/a/{text}", ["a", "b:"])


def test_finding_takes_no_longer_among_many_routes(method: Method) -> None:
    def seconds(count: int) -> float:
        routes = [_route(method, f"/v1/r{number}/{{text}}/parts/*") for number in range(count)]
        matcher, path = Matcher(routes), f"/v1/r{count - 1}/x/parts/y"
        best = 1.0
        for _ in range(20):
            start = time.perf_counter()
            for _ in range(50):
                assert matcher.find("GET", path) is not None
            best = min(best, time.perf_counter() - start)
        return best

    assert seconds(2000) < 3 * seconds(2)


def test_many_wildcards_do_not_explode(method: Method) -> None:
    stars = [f"/{'/'.join(random.Random(seed).choices('a*', k=12))}/{seed}" for seed in range(200)]
    matcher = Matcher([_route(method, template) for template in dict.fromkeys(stars)])
    start = time.perf_counter()
    assert matcher.find("GET", "/" + "/".join("a" * 13)) is None
    assert matcher.find("GET", "/" * 100_000) is None
    assert time.perf_counter() - start < 0.5


def _steps(monkeypatch: pytest.MonkeyPatch, found: Matcher, path: str) -> int:
    """Nodes that are visited to find a path's route."""
    visited: list[int] = []
    real = matching._ends

    def counted(node: Any, segments: Sequence[str], index: int) -> Iterator[Any]:
        visited.append(id(node))
        yield from real(node, segments, index)

    with monkeypatch.context() as patch:
        patch.setattr(matching, "_ends", counted)
        found.find("GET", path)
    return len(visited)


def test_wildcards_that_lead_nowhere_cost_a_visit_for_each_node(
    method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    length = 30
    templates = [
        "/" + "/".join(["a"] * head + ["*"] * (length - head)) + "/end" for head in range(length + 1)
    ]
    hostile = Matcher([_route(method, template) for template in templates])
    nodes = (length + 1) * (length + 4) // 2
    steps = _steps(monkeypatch, hostile, "/" + "/".join(["a"] * length) + "/other")
    assert steps <= 2 * nodes  # a path that nobody has is looked up once for the verb, once for all verbs
    assert steps < 2**length // 1000


def test_the_number_of_routes_costs_no_visits(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    def steps(count: int) -> int:
        paths = (f"/v1/r{number}/{{text}}/parts/*" for number in range(count))
        deep = (f"/v1/**/end{number}" for number in range(count))
        routes = [_route(method, template) for template in (*paths, *deep)]
        return _steps(monkeypatch, Matcher(routes), f"/v1/r{count - 1}/x/parts/y")

    assert steps(1000) == steps(1)


def _dispatch(schema: Schema, route: Route) -> None:
    Dispatch([route], registry=schema.registry, pipeline=None, channel=None)  # type: ignore[arg-type]


def test_routes_that_cannot_be_served_are_refused_at_the_start(schema: Schema, method: Method) -> None:
    for template in (
        "/a/{inner}",
        "/a/{numbers}",
        "/a/{named}",
        "/a/{nope}",
        "/a/{text.x}",
        "/a/{inners.name}",
    ):
        with pytest.raises(ValueError, match="binds"):
            _dispatch(schema, _route(method, template))
    with pytest.raises(ValueError, match="no field"):
        _dispatch(schema, replace(_route(method, "/a"), body="nope"))
    with pytest.raises(ValueError, match="no field"):
        _dispatch(schema, replace(_route(method, "/a"), response_body="nope"))
