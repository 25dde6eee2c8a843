"""The paths that a template matches, as a language over segments.

A template is literals, `*` (any segment but the empty one) and at most one `**` (any segments, even none),
behind which only literals stand. `google/api/http.proto` has the grammar; here variables are gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

STAR = "*"
DEEP = "**"

Segments = tuple[str, ...]
Value = TypeVar("Value")


def precedence(segments: Segments) -> tuple[tuple[int, str], ...]:
    """Sorts templates that match one path: what is tried first comes first.

    A literal before `*` before `**`, from the left; the end of a template before `**`; of two that are equal
    up to `**`, the one with more behind it. This does not depend on the path.
    """
    key: list[tuple[int, str]] = []
    for index, segment in enumerate(segments):
        if segment == DEEP:
            key += [(2, ""), (-(len(segments) - index), "")]
        else:
            key.append((1, "") if segment == STAR else (0, segment))
    return tuple(key)


def meet(left: Segments, right: Segments) -> Segments | None:
    """The shortest template without `**` all of whose paths both match; None if they share no path.

    A path that is as long as both prefixes and both suffixes together leaves no place where one constrains
    what only another length would let it constrain. So if that length will not do, none does.
    """
    length = _shared_length(left, right)
    if length is None:
        return None
    shared: list[str] = []
    for one, other in zip(stretched(left, length), stretched(right, length), strict=True):
        if STAR not in (one, other) and one != other:
            return None
        shared.append(other if one == STAR else one)
    return tuple(shared)


def stretched(segments: Segments, length: int) -> Segments:
    """The template with as many `*` in place of `**` as make it that long."""
    if DEEP not in segments:
        return segments
    at = segments.index(DEEP)
    return (*segments[:at], *(STAR,) * (length - len(segments) + 1), *segments[at + 1 :])


def _shared_length(left: Segments, right: Segments) -> int | None:
    if DEEP in left and DEEP in right:
        prefix = max(left.index(DEEP), right.index(DEEP))
        suffix = max(len(each) - each.index(DEEP) - 1 for each in (left, right))
        return max(prefix + suffix, 1)  # no path has no segment: `/` has an empty one
    deep, plain = (left, right) if DEEP in left else (right, left)
    fits = len(plain) >= len(deep) - 1 if DEEP in deep else len(plain) == len(deep)
    return len(plain) if fits else None


@dataclass(slots=True)
class _Node(Generic[Value]):
    """All templates that begin with the same segments."""

    literals: dict[str, _Node[Value]] = field(default_factory=dict)
    star: _Node[Value] | None = None
    deep: dict[int, dict[Segments, list[Value]]] = field(default_factory=dict)
    """By number of the literals behind `**`, and by these."""
    end: list[Value] = field(default_factory=list)


class Trie(Generic[Value]):
    """Values by template, found by templates that share a path with theirs."""

    def __init__(self) -> None:
        self._root: _Node[Value] = _Node()

    def add(self, segments: Segments, value: Value) -> None:
        """Adds a value."""
        node = self._root
        for index, segment in enumerate(segments):
            if segment == DEEP:
                suffix = segments[index + 1 :]
                node.deep.setdefault(len(suffix), {}).setdefault(suffix, []).append(value)
                return
            if segment == STAR:
                node.star = node.star or _Node()
                node = node.star
            else:
                node = node.literals.setdefault(segment, _Node())
        node.end.append(value)

    def meeting(self, segments: Segments) -> Iterator[Value]:
        """Values whose template shares a path with this one."""
        yield from _meeting(self._root, segments)


def _meeting(node: _Node[Value], rest: Segments) -> Iterator[Value]:
    if rest and rest[0] == DEEP:
        yield from _below(node, rest, ())
        return
    yield from _ending(node, rest)
    if not rest:
        yield from node.end
        return
    for child in _children(node, rest[0]):
        yield from _meeting(child, rest[1:])


def _ending(node: _Node[Value], rest: Segments) -> Iterator[Value]:
    """What `**` at the node leads to, for a template that does not begin with it."""
    for length, suffixes in node.deep.items():
        end = rest[len(rest) - length :]
        if DEEP in rest or STAR in end:
            for suffix, values in suffixes.items():
                if meet((DEEP, *suffix), rest) is not None:
                    yield from values
        else:  # a path: one suffix at most, however many there are
            yield from suffixes.get(end, ())


def _children(node: _Node[Value], segment: str) -> Iterator[_Node[Value]]:
    if segment == STAR:
        yield from node.literals.values()
    elif segment in node.literals:
        yield node.literals[segment]
    if node.star is not None:
        yield node.star


def _below(node: _Node[Value], wanted: Segments, path: Segments) -> Iterator[Value]:
    """Everything from a node on that a template which begins with `**` meets."""
    if node.end and meet(path, wanted) is not None:
        yield from node.end
    for suffixes in node.deep.values():
        for suffix, values in suffixes.items():
            if meet((*path, DEEP, *suffix), wanted) is not None:
                yield from values
    for literal, child in node.literals.items():
        yield from _below(child, wanted, (*path, literal))
    if node.star is not None:
        yield from _below(node.star, wanted, (*path, STAR))
