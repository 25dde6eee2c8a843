"""From a raw path to a route: a trie over segments, whatever the number of routes and the order they came in.

A segment prefers a literal, then `*`, then `**`; a choice that leads nowhere is taken back. What stands
behind the last raw `:` of a path is a custom verb if any route with a custom verb fits the path before it,
and otherwise part of the last segment (`%3A` always is).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from idiom.v1 import reason_errors as reasons

from codegen.runtime.errors import Error
from codegen.runtime.transcoding.route import Route, Variable

ANY_VERB = "*"

_PATTERN = re.compile(r"[*{%]|[^\x00-\x7f]")
_ESCAPED = re.compile(r"(?:[^%]|%[0-9a-fA-F]{2})*", re.DOTALL)


@dataclass(slots=True)
class _Node:
    """All templates that begin with the same segments."""

    literals: dict[str, _Node] = field(default_factory=dict)
    star: _Node | None = None
    deep: dict[int, dict[tuple[str, ...], _End]] = field(default_factory=dict)
    """Templates with `**` here, by number of the literals behind it, most first, and by these literals."""
    end: _End | None = None


@dataclass(slots=True)
class _End:
    """All templates of the same segments: custom verb → HTTP verb → route."""

    verbs: dict[str, dict[str, Route]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """A path that some route has."""

    route: Route | None
    """The route for the verb asked for; None if there are routes for other verbs only."""
    segments: Sequence[str]
    """The path's segments, raw, without custom verb."""
    allowed: tuple[str, ...] = ()
    """HTTP verbs of the path, if there is no route."""


class Matcher:
    """Finds routes by path and verb.

    Args:
        routes: in any order.

    Raises:
        ValueError: two routes have the same verb and match the same paths by the same segments.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._root = _Node()
        self._exact: dict[tuple[str, str], Found] = {}
        self._has_custom_verbs = False
        for route in routes:
            self._add(route)

    def find(self, verb: str, path: str) -> Found | None:
        """The route of a raw path; None if no route has that path with any verb.

        Args:
            verb: HTTP method.
            path: starts with `/`, percent-encoded; bytes beyond ASCII as latin-1.
        """
        if (exact := self._exact.get((verb, path))) is not None:
            return exact
        raw = path[1:].split("/")
        segments = (
            raw if "%" not in path and path.isascii() else [_decoded_or_raw(segment) for segment in raw]
        )
        head, colon, custom = raw[-1].rpartition(":")
        if colon and custom and self._has_custom_verbs:
            stem = [*segments[:-1], _decoded_or_raw(head)]
            ends = list(_ends(self._root, stem, 0))
            if any(_is_custom(end) for end in ends):
                return _pick(ends, _decoded_or_raw(custom), verb, [*raw[:-1], head])
        return self._plain(verb, raw, segments)

    def _plain(self, verb: str, raw: Sequence[str], segments: Sequence[str]) -> Found | None:
        if (route := _first(self._root, segments, 0, verb)) is not None:
            return Found(route, raw)
        return _pick(list(_ends(self._root, segments, 0)), "", verb, raw)

    def _add(self, route: Route) -> None:
        end = self._end(route.segments)
        verbs = end.verbs.setdefault(route.custom_verb, {})
        if (other := verbs.get(route.verb)) is not None:
            methods = f"{other.method.full_name} and {route.method.full_name}"
            raise ValueError(f"{methods} are both {route.verb} {route.template}")
        verbs[route.verb] = route
        self._has_custom_verbs |= bool(route.custom_verb)
        if _is_plain(route):
            self._exact[route.verb, route.template] = Found(route, route.segments)

    def _end(self, segments: Sequence[str]) -> _End:
        node = self._root
        for index, segment in enumerate(segments):
            if segment == "**":
                return _deep_end(node, tuple(segments[index + 1 :]))
            if segment == "*":
                node.star = node.star or _Node()
                node = node.star
            else:
                node = node.literals.setdefault(segment, _Node())
        node.end = node.end or _End()
        return node.end


def _is_plain(route: Route) -> bool:
    """Whether nothing can go before the route on the path that its template is, literally."""
    custom = f":{route.custom_verb}" if route.custom_verb else ""
    return route.template == f"/{'/'.join(route.segments)}{custom}" and not _PATTERN.search(route.template)


def _deep_end(node: _Node, suffix: tuple[str, ...]) -> _End:
    ends = node.deep.setdefault(len(suffix), {})
    node.deep = dict(sorted(node.deep.items(), reverse=True))
    return ends.setdefault(suffix, _End())


def _ends(node: _Node, segments: Sequence[str], index: int) -> Iterator[_End]:
    """All ends that the segments from `index` on lead to, best first.

    A node lies at one depth, so none is visited twice: the work is bounded by the nodes whose literals the
    path has, never by the ways to choose between literals and wildcards.
    """
    if index == len(segments):
        if node.end is not None:
            yield node.end
    else:
        segment = segments[index]
        if (literal := node.literals.get(segment)) is not None:
            yield from _ends(literal, segments, index + 1)
        if node.star is not None and segment:
            yield from _ends(node.star, segments, index + 1)
    for length, ends in node.deep.items():
        start = len(segments) - length
        if start >= index and (end := ends.get(tuple(segments[start:]))) is not None:
            yield end


def _first(node: _Node, segments: Sequence[str], index: int, verb: str) -> Route | None:
    """The route without a custom verb at the best of `_ends` that has the verb: most paths need no more."""
    if index == len(segments):
        if node.end is not None and (route := _plain_route(node.end, verb)) is not None:
            return route
    else:
        segment = segments[index]
        literal = node.literals.get(segment)
        if literal is not None and (route := _first(literal, segments, index + 1, verb)) is not None:
            return route
        if node.star is not None and segment:
            route = _first(node.star, segments, index + 1, verb)
            if route is not None:
                return route
    for length, ends in node.deep.items():
        start = len(segments) - length
        if start >= index and (end := ends.get(tuple(segments[start:]))) is not None:
            route = _plain_route(end, verb)
            if route is not None:
                return route
    return None


def _plain_route(end: _End, verb: str) -> Route | None:
    verbs = end.verbs.get("")
    return (verbs.get(verb) or verbs.get(ANY_VERB)) if verbs else None


def _is_custom(end: _End) -> bool:
    return len(end.verbs) > (1 if "" in end.verbs else 0)


def _pick(ends: Sequence[_End], custom: str, verb: str, raw: Sequence[str]) -> Found | None:
    allowed: dict[str, None] = {}
    for end in ends:
        verbs = end.verbs.get(custom, {})
        if (route := verbs.get(verb) or verbs.get(ANY_VERB)) is not None:
            return Found(route, raw)
        allowed |= dict.fromkeys(verbs)
    return Found(None, raw, _with_implied(allowed)) if allowed else None


def _with_implied(verbs: Mapping[str, None]) -> tuple[str, ...]:
    head = {"HEAD": None} if "GET" in verbs else {}
    return tuple(sorted({**verbs, **head, "OPTIONS": None}))


def captured(found_segments: Sequence[str], variable: Variable) -> str:
    """What a variable captures, percent-decoded.

    A variable of one segment is decoded wholly; in one of several, `%2F` stays, for it is no separator.

    Raises:
        Error: MALFORMED_PATH.
    """
    end = variable.end if variable.end >= 0 else len(found_segments) + 1 + variable.end
    parts = found_segments[variable.start : end]
    if variable.end >= 0 and len(parts) == 1:
        return decoded(parts[0])
    return "/".join(decoded(part, keep_slash=True) for part in parts)


def decoded(segment: str, *, keep_slash: bool = False) -> str:
    """A percent-encoded segment as text.

    Raises:
        Error: MALFORMED_PATH: an escape or its UTF-8 is broken.
    """
    if "%" not in segment and segment.isascii():
        return segment
    text = unescaped(segment, keep_slash=keep_slash)
    if text is None:
        raise Error(reasons.MALFORMED_PATH, f"'{segment[:100]}' is not percent-encoded UTF-8")
    return text


def _decoded_or_raw(segment: str) -> str:
    text = unescaped(segment)
    return segment if text is None else text


def unescaped(segment: str, *, keep_slash: bool = False) -> str | None:
    """Percent-encoded UTF-8 as text; None if it is broken. Characters beyond ASCII are raw bytes."""
    if not _ESCAPED.fullmatch(segment):
        return None
    if keep_slash:
        segment = segment.replace("%2F", "%252F").replace("%2f", "%252f")
    try:
        return unquote_to_bytes(segment.encode("latin-1")).decode()
    except UnicodeDecodeError:
        return None
