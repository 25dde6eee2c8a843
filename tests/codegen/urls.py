"""URLs with random values for the templates of routes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import quote

from codegen.runtime.transcoding.matcher import Matcher, captured
from codegen.runtime.transcoding.route import Route

CHARACTERS: Final = "abcXYZ019-._~ %/+:?#&=@äß漢😀"


def wrong(matcher: Matcher, route: Route, chance: random.Random) -> Iterator[str]:
    """What is wrong if a URL of the route with random values does not lead to it and give them back."""
    segments = [_segment(segment, chance) for segment in _stretched(route.segments)]
    raw = [quote(segment, safe=chance.choice(["", "@&=+"])) for segment in segments]
    custom = f":{quote(route.custom_verb, safe='')}" if route.custom_verb else ""
    path = f"/{'/'.join(raw)}{custom}"
    result = matcher.find("BREW" if route.verb == "*" else route.verb, path)
    if result is None or result.route is not route:
        yield f"{route.verb} {path} of {route.method.full_name} ({route.template})"
        return
    for variable in route.variables:
        end = variable.end if variable.end >= 0 else len(segments) + 1 + variable.end
        wanted = segments[variable.start : end]
        if len(wanted) > 1 or variable.end < 0:
            wanted = [segment.replace("/", "%2F") for segment in wanted]
        value = captured(result.segments, variable)
        if value != "/".join(wanted):
            yield f"{path}: {'.'.join(variable.field)} is {value!r}, not {'/'.join(wanted)!r}"


def _stretched(segments: Sequence[str]) -> Iterator[str]:
    for segment in segments:
        yield from ("*", "*", "*") if segment == "**" else (segment,)


def _segment(segment: str, chance: random.Random) -> str:
    """The literal, or a value that is none."""
    return "".join(["x", *chance.choices(CHARACTERS, k=6)]) if segment == "*" else segment
