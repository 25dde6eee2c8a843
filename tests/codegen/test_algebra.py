"""What the algebra of routes claims when generating is what the matcher does when serving."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import pytest
from google.protobuf.empty_pb2 import Empty
from hypothesis import given, settings
from hypothesis import strategies as st
from protobuf.wkt import FileDescriptorSet
from protobuf.wkt.google.protobuf.descriptor_pb import (
    DescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

from codegen.plugin import ir
from codegen.plugin.algebra import Overlap, Shadows, Table, routes
from codegen.plugin.mistakes import Mistakes, Sources
from codegen.plugin.parameters import Parameters
from codegen.plugin.template import parse
from codegen.runtime.method import Method
from codegen.runtime.transcoding.matcher import Matcher
from codegen.runtime.transcoding.route import Route

LITERALS: Final = ("a", "b", "%C3%BC")
WORDS: Final = ("a", "b", "%C3%BC", "1", "2")
VERBS: Final = ("GET", "POST", "BREW")
ALL: Final = Parameters(allow_shadowed=["*"])

Row = tuple[str, str]
"""Verb and template."""


def _service(rows: Sequence[Row]) -> ir.Service:
    """A service with one method for each row."""
    methods = [
        MethodDescriptorProto(name=f"M{index}", input_type=".t.E", output_type=".t.E")
        for index in range(len(rows))
    ]
    file = FileDescriptorProto(
        name="t.proto",
        package="t",
        syntax="proto3",
        message_type=[DescriptorProto(name="E")],
        service=[ServiceDescriptorProto(name="S", method=methods)],
    )
    desc = FileDescriptorSet(file=[file]).to_registry().service("t.S")
    assert desc is not None
    return ir.Service(
        desc=desc,
        wire="RPC",
        discovery="ROUND_ROBIN",
        target="t",
        methods=tuple(
            ir.Method(method, f"m{index}", index, ir.Policy(), (_binding(index, *row),))
            for index, (method, row) in enumerate(zip(desc.methods, rows, strict=True))
        ),
    )


def _binding(index: int, verb: str, template: str) -> ir.Binding:
    return ir.Binding(
        verb=verb,
        template=parse(template),
        variables=(),
        body="",
        body_field=None,
        response_body="",
        response_field=None,
        query=(),
        position=lambda: ("t.proto", index + 1, 1),
    )


def _served(route: ir.Route) -> Route:
    method = Method("t.S", route.method.name, route.method.attribute, Empty, Empty)
    template = route.binding.template
    return Route(method, route.binding.verb, template.source, template.segments, template.verb)


def _checked(rows: Sequence[Row], parameters: Parameters = ALL) -> tuple[ir.Service, list[str], Mistakes]:
    """The service without duplicates, the names of the methods of those, and the mistakes."""
    mistakes = Mistakes(Sources())
    services, shadowed = Shadows(mistakes, parameters).without([_service(rows)])
    return services[0], [route.method.name for route, _ in shadowed], mistakes


def _mistakes(rows: Sequence[Row], *allowed: str) -> list[str]:
    found = _checked(rows, Parameters(allow_shadowed=list(allowed)))[2]._found
    return [sentence for *_, sentence in found]


class World:
    """One table, with the matcher that serves it and one matcher for each route alone."""

    def __init__(self, rows: Sequence[Row]) -> None:
        service, _, _ = _checked(rows)
        self.routes = routes([service])
        self.table = Table(self.routes)
        served = {route.method.name: _served(route) for route in self.routes}
        self._matcher = Matcher(list(served.values()))
        self._alone = {name: Matcher([route]) for name, route in served.items()}

    def gets(self, verb: str, path: str) -> str:
        """Name of the method that a request gets, or nothing."""
        return _name(self._matcher, verb, path)

    def fitting(self, verb: str, path: str) -> set[str]:
        """Names of the methods that would get the request if there were no others."""
        return {name for name, matcher in self._alone.items() if _name(matcher, verb, path)}


def _name(matcher: Matcher, verb: str, path: str) -> str:
    found = matcher.find(verb, path)
    return found.route.method.name if found is not None and found.route is not None else ""


def _request(witness: str) -> tuple[str, str]:
    verb, path = witness.split(" ")
    return ("BREW" if verb == "*" else verb), path


def _requests(longest: int) -> Iterator[tuple[str, str]]:
    for length in range(1, longest + 1):
        for words in itertools.product(WORDS[: 6 - length], repeat=length):
            for verb, custom in itertools.product(VERBS, ("", ":x", ":y")):
                yield verb, f"/{'/'.join(words)}{custom}"


@st.composite
def _rows(draw: st.DrawFn) -> list[Row]:
    plain = st.lists(st.sampled_from([*LITERALS[:2], "*", "*", LITERALS[2]]), max_size=3)
    deep = st.tuples(plain, st.lists(st.sampled_from(LITERALS[:2]), max_size=2))
    segments = plain.filter(bool) | deep.map(lambda parts: [*parts[0], "**", *parts[1]])
    verbs = st.sampled_from(["GET", "GET", "POST", "*"])
    customs = st.sampled_from(["", "", "", ":x", ":y"])
    found = draw(st.lists(st.tuples(verbs, segments, customs), min_size=2, max_size=9))
    return [(verb, f"/{'/'.join(parts)}{custom}") for verb, parts, custom in found]


@settings(max_examples=200, deadline=None)
@given(_rows())
def test_the_matcher_refuses_what_the_algebra_calls_duplicates(rows: list[Row]) -> None:
    _, shadowed, _ = _checked(rows)
    everything = [_served(route) for route in routes([_service(rows)])]
    if shadowed:
        with pytest.raises(ValueError, match="are both"):
            Matcher(everything)
    Matcher([route for route in everything if route.method.name not in shadowed])


@settings(max_examples=200, deadline=None)
@given(_rows())
def test_a_route_gets_its_witness_and_an_unreachable_one_gets_nothing(rows: list[Row]) -> None:
    world = World(rows)
    unreachable = {route.method.name for route in world.table.unreachable()}
    for route in world.routes:
        witness = world.table.witness(route)
        assert (witness is None) == (route.method.name in unreachable)
        if witness is not None:
            assert world.gets(*_request(witness)) == route.method.name
        else:
            taken, others = world.table.covering(route)
            assert route.method.name in world.fitting(*_request(taken))
            assert world.gets(*_request(taken)) in {other.method.name for other in others}
    assert not unreachable & {world.gets(*request) for request in _requests(4)}


@settings(max_examples=200, deadline=None)
@given(_rows())
def test_overlaps_are_all_pairs_that_share_a_request_each_with_who_gets_it(rows: list[Row]) -> None:
    world = World(rows)
    pairs: dict[frozenset[str], Overlap] = {}
    for overlap in world.table.overlaps():
        pair = frozenset({overlap.first.method.name, overlap.second.method.name})
        assert pair not in pairs
        pairs[pair] = overlap
        request = _request(overlap.witness)
        assert pair <= world.fitting(*request)
        assert world.gets(*request) == overlap.winner.method.name
    for request in _requests(4):
        fitting = sorted(world.fitting(*request))
        for both in itertools.combinations(fitting, 2):
            assert frozenset(both) in pairs, request


def test_several_routes_may_cover_one_together() -> None:
    rows = [("GET", "/a/**"), ("GET", "/a"), ("*", "/a/*"), ("GET", "/a/*/**")]
    (sentence,) = _mistakes(rows)
    assert sentence == (
        "GET /a/** of t.S.M0 is unreachable: its paths, as GET /a, go to GET /a of t.S.M1 (t.proto:2), "
        "* /a/* of t.S.M2 (t.proto:3), GET /a/*/** of t.S.M3 (t.proto:4), unless a segment is empty."
    )
    assert not _mistakes([*rows[:3], ("GET", "/a/*/**/b")])  # /a/1/2 is left
    assert not _mistakes([*rows[:3], ("POST", "/a/*/**")])
    assert not _mistakes(rows, "t.S.M0")


@pytest.mark.parametrize(("allowed", "gone"), [("t.S.M1", "M1"), ("t.S.M0", "M0"), ("t.S.*", "M1")])
def test_of_two_duplicates_the_one_that_allows_it_is_left_out(allowed: str, gone: str) -> None:
    rows = [("GET", "/a/{x}"), ("GET", "/a/{y=*}")]
    service, shadowed, mistakes = _checked(rows, Parameters(allow_shadowed=[allowed]))
    assert shadowed == [gone]
    assert not mistakes._found
    assert [method.name for method in service.methods if not method.bindings] == [gone]


def test_an_option_of_the_method_allows_it_too() -> None:
    service = _service([("GET", "/a"), ("GET", "/a")])
    first, second = service.methods
    allowing = replace(second, http=ir.Http(allow_shadowed=True))
    mistakes = Mistakes(Sources())
    _, shadowed = Shadows(mistakes, Parameters()).without([replace(service, methods=(first, allowing))])
    assert [(route.method.name, by.method.name) for route, by in shadowed] == [("M1", "M0")]
    assert not mistakes._found


def test_a_route_that_duplicates_several_is_reported_once() -> None:
    rows = [("GET", "/a/{x}"), ("GET", "/a/{y}"), ("GET", "/a/*")]
    assert [sentence.partition(":")[0] for sentence in _mistakes(rows)] == [
        "GET /a/{y} of t.S.M1 is a duplicate",
        "GET /a/* of t.S.M2 is a duplicate",
    ]


def test_a_third_route_may_win_what_two_share() -> None:
    table = Table(routes([_service([("GET", "/a/*"), ("GET", "/*/b"), ("GET", "/a/b")])]))
    found = [(o.first.method.name, o.second.method.name, o.winner.method.name) for o in table.overlaps()]
    assert found == [("M2", "M0", "M2"), ("M2", "M1", "M2"), ("M0", "M1", "M2")]


def test_many_ends_of_one_beginning_are_compared_in_a_second() -> None:
    service = _service([("GET", f"/v1/{{name=**}}/r{number}") for number in range(2000)])
    start = time.process_time()
    mistakes = Mistakes(Sources())
    Shadows(mistakes, Parameters()).without([service])
    assert time.process_time() - start < 1
    assert not mistakes._found


def test_five_thousand_routes_are_compared_in_seconds() -> None:
    rows = [
        row
        for number in range(1000)
        for row in (
            ("GET", f"/v1/{{name=projects/*/r{number}/*}}"),
            ("GET", f"/v1/{{name=projects/*/r{number}/**}}"),
            ("POST", f"/v1/{{name=projects/*/r{number}/*}}:run"),
            ("DELETE", f"/v1/{{name=projects/*/r{number}/mine}}"),
            ("*", f"/v1/{{parent=projects/*}}/r{number}"),
        )
    ]
    service = _service(rows)
    start = time.process_time()
    mistakes = Mistakes(Sources())
    Shadows(mistakes, Parameters()).without([service])
    overlaps = list(Table(routes([service])).overlaps())
    assert time.process_time() - start < 5
    assert not mistakes._found
    assert len(overlaps) == 2000  # `*` and `**`, nothing behind which the last route has too
