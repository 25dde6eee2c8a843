"""Which route a request gets, decided when generating: duplicates, routes that nothing reaches, overlaps.

A request goes to the first route, in the order of `languages.precedence`, that has its verb, or `*`, and
matches its path; `:verb` at the end of a path leaves only routes with that custom verb. Hence:

- Two routes are *duplicates* if verb, custom verb and segments are equal. Other segments, other paths.
- A route without `**` gets the path with a new word for each `*`: whatever goes before it has a literal
  there. With `**` it is *unreachable* if routes before it, each in part, match every path that it
  matches without empty segments. It is enough to try new words for `*` and for 0, 1, 2 … segments in place
  of `**`: whatever matches those matches any other segments there too, and once there are more than any
  template has, their number makes no difference.
- *Overlaps* are what precedence decides, each with a path that both routes match.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Final
from urllib.parse import quote

from codegen.plugin.ir import Method, Route, Service
from codegen.plugin.languages import DEEP, STAR, Segments, Trie, meet, precedence, stretched
from codegen.plugin.mistakes import Mistakes
from codegen.plugin.parameters import Parameters, selects

ANY_VERB: Final = "*"

_UNRESERVED: Final = "-._~!$&'()+,;@="  # of RFC 3986 section 3.3, but for `:`, which begins a custom verb


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two routes that match one path."""

    first: Route
    """Goes before the second."""
    second: Route
    winner: Route
    """Gets the witness: the first, or a third that goes before both."""
    witness: str
    """Verb and path that both match."""


def routes(services: Iterable[Service]) -> list[Route]:
    """All routes, as declared."""
    return [Route(m, binding) for service in services for m in service.methods for binding in m.bindings]


class Table:
    """The routes of one gateway, without duplicates."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = sorted(routes, key=_order)
        self._rank = {route: rank for rank, route in enumerate(self._routes)}
        self._tries: dict[str, Trie[Route]] = defaultdict(Trie)
        for route in routes:
            template = route.binding.template
            self._tries[template.verb].add(template.segments, route)
        self._fresh = _fresh(routes)
        self._longest = max((len(route.binding.template.segments) for route in routes), default=0)

    def winner(self, verb: str, path: Segments, custom: str = "") -> Route | None:
        """The route of a request.

        Args:
            verb: of the request; `*` is one that no route names.
            path: its segments, percent-decoded, none of them empty, without the custom verb.
            custom: what stands behind the last `:`, if any route with a custom verb matches the path.
        """
        found = self._tries[custom].meeting(path)
        fitting = (route for route in found if route.binding.verb in {verb, ANY_VERB})
        return min(fitting, key=self._rank.__getitem__, default=None)

    def witness(self, route: Route) -> str | None:
        """Verb and path of a request that gets the route; None if there is none without empty segments."""
        verb, template = route.binding.verb, route.binding.template
        for path in self._generic(route):
            if self.winner(verb, path, template.verb) is route:
                return url(verb, path, template.verb)
        return None

    def unreachable(self) -> list[Route]:
        """Routes without a witness."""
        return [route for route in self._routes if self.witness(route) is None]

    def covering(self, route: Route) -> tuple[str, list[Route]]:
        """A request that matches an unreachable route, and what its requests get instead."""
        verb, template = route.binding.verb, route.binding.template
        paths = list(self._generic(route))
        winners = [self.winner(verb, path, template.verb) for path in paths]
        others = dict.fromkeys(winner for winner in winners if winner is not None)
        return url(verb, paths[0], template.verb), sorted(others, key=self._rank.__getitem__)

    def overlaps(self) -> Iterator[Overlap]:
        """All of them, in the order of their first routes."""
        for route in self._routes:
            beside = {other for other in self._beside(route) if _share_verb(route, other)}
            for other in sorted(beside, key=self._rank.__getitem__):
                if (shared := _shared(route, other)) is not None:
                    yield self._overlap(route, other, shared)

    def _beside(self, route: Route) -> Iterator[Route]:
        """Routes that may match a path of this one and do not go before it."""
        template = route.binding.template
        for other in self._tries[template.verb].meeting(template.segments):
            if self._rank[other] > self._rank[route]:
                yield other
        if template.verb:
            yield from self._tries[""].meeting(template.segments)

    def _overlap(self, first: Route, second: Route, shared: Segments) -> Overlap:
        verbs = [first.binding.verb, second.binding.verb]
        verb = next((verb for verb in verbs if verb != ANY_VERB), ANY_VERB)
        custom = first.binding.template.verb
        path = self._filled(shared)
        return Overlap(first, second, self.winner(verb, path, custom) or first, url(verb, path, custom))

    def _generic(self, route: Route) -> Iterator[Segments]:
        """Paths of a route of which no other route has less than it must: see above."""
        segments = route.binding.template.segments
        shortest = len(segments)
        longest = shortest
        if DEEP in segments:
            shortest, longest = max(shortest - 1, 1), shortest + self._longest
        for length in range(shortest, longest + 1):
            yield self._filled(stretched(segments, length))

    def _filled(self, segments: Segments) -> Segments:
        return tuple(self._fresh if segment == STAR else segment for segment in segments)


def url(verb: str, path: Segments, custom: str = "") -> str:
    """A request that somebody may try: `GET /v1/users/1`."""
    raw = "/".join(quote(segment, safe=_UNRESERVED) for segment in path)
    return f"{verb} /{raw}" + (f":{quote(custom, safe=_UNRESERVED)}" if custom else "")


def _order(route: Route) -> tuple[object, ...]:
    """At one template a verb of its own goes before `*`."""
    binding = route.binding
    return (
        precedence(binding.template.segments),
        binding.verb == ANY_VERB,
        binding.verb,
        binding.template.verb,
    )


def _fresh(routes: Iterable[Route]) -> str:
    """A word that is no literal of any template."""
    taken = {segment for route in routes for segment in route.binding.template.segments}
    return next(str(number) for number in count(1) if str(number) not in taken)


def _share_verb(one: Route, other: Route) -> bool:
    verbs = {one.binding.verb, other.binding.verb}
    return len(verbs) == 1 or ANY_VERB in verbs


def _shared(route: Route, other: Route) -> Segments | None:
    """What both match, before a custom verb of the first; to the second that may be data."""
    template, second = route.binding.template, other.binding.template
    if second.verb == template.verb:
        return meet(template.segments, second.segments)
    found = (meet(template.segments, each) for each in _ending_in_data(second.segments))
    return next((shared for shared in found if shared is not None), None)


def _ending_in_data(segments: Segments) -> Iterator[Segments]:
    """What is left of a template whose last segment is data, and not empty."""
    if segments[-1] == DEEP:
        yield (*segments, STAR)
        segments = segments[:-1]
    if segments and segments[-1] == STAR:
        yield segments


def _without(service: Service, gone: set[int]) -> Service:
    methods = (
        replace(method, bindings=tuple(each for each in method.bindings if id(each) not in gone))
        for method in service.methods
    )
    return replace(service, methods=tuple(methods))


class Shadows:
    """Checks the routes of a run, and knows which of them may be shadowed."""

    def __init__(self, mistakes: Mistakes, parameters: Parameters) -> None:
        self._mistakes = mistakes
        self._parameters = parameters

    def without(self, services: Sequence[Service]) -> tuple[list[Service], tuple[tuple[Route, Route], ...]]:
        """The services without routes that may be shadowed by equal ones, and those; mistakes are noted."""
        kept, shadowed = self._duplicates(routes(services))
        self._unreachable(Table(kept))
        gone = {id(route.binding) for route, _ in shadowed}
        return [_without(service, gone) if gone else service for service in services], tuple(shadowed)

    def _duplicates(self, found: Iterable[Route]) -> tuple[list[Route], list[tuple[Route, Route]]]:
        """One route of all that are equal, the first that may not be shadowed; and the others with it."""
        groups: dict[tuple[str, Segments, str], list[Route]] = defaultdict(list)
        for route in found:
            template = route.binding.template
            groups[route.binding.verb, template.segments, template.verb].append(route)
        kept, shadowed = [], []
        for group in groups.values():
            first = next((route for route in group if not self._allowed(route.method)), group[0])
            kept.append(first)
            others = [route for route in group if route is not first]
            shadowed += [(route, first) for route in others]
            for route in others:
                if not self._allowed(route.method):
                    self._duplicate(route, first)
        return kept, shadowed

    def _duplicate(self, route: Route, first: Route) -> None:
        path = Table([first]).witness(first)
        self._mistakes.add_beside(
            route.binding.position(),
            f"{route} is a duplicate: {self._placed(first)} has the same paths, as {path}.",
        )

    def _unreachable(self, table: Table) -> None:
        for route in table.unreachable():
            if not self._allowed(route.method):
                witness, others = table.covering(route)
                self._mistakes.add_beside(
                    route.binding.position(),
                    f"{route} is unreachable: its paths, as {witness}, go to "
                    f"{', '.join(map(self._placed, others))}, unless a segment is empty.",
                )

    def _allowed(self, method: Method) -> bool:
        selectors = self._parameters.allow_shadowed
        return method.http.allow_shadowed or any(selects(each, method.full_name) for each in selectors)

    def _placed(self, route: Route) -> str:
        file, line, _ = route.binding.position()
        return f"{route} ({self._parameters.shown(file)}:{line})"
