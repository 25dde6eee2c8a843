"""Random URLs of a route."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from random import Random
from typing import Final, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from codegen.runtime.transcoding.route import Route, Variable
from tests.differential.values import TEXTS, kind_of, text

Leaf = tuple[FieldDescriptor, ...]

_UNRESERVED: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
_IN_SEGMENT: Final = frozenset("!$&'()*+,;=@")
_IN_QUERY: Final = frozenset("!$'()*,;=@/?:")
_DEPTH: Final = 3


def request_of(route: Route) -> Descriptor:
    """Type of a route's requests."""
    return cast("Descriptor", route.method.request.DESCRIPTOR)


def response_of(route: Route) -> Descriptor:
    """Type of a route's responses."""
    return cast("Descriptor", route.method.response.DESCRIPTOR)


def escaped(random: Random, plain: str, raw: Collection[str] = _IN_SEGMENT) -> str:
    """Percent-encoded, now and then more than need be, in digits of either case."""
    return "".join(_escaped(random, character, raw) for character in plain)


def _escaped(random: Random, character: str, raw: Collection[str]) -> str:
    if character in _UNRESERVED and random.random() < 0.95:
        return character
    if character in raw and random.random() < 0.5:
        return character
    digits = "".join(f"%{byte:02x}" for byte in character.encode())
    return digits.upper() if random.random() < 0.5 else digits


def field_at(message: Descriptor, path: Sequence[str]) -> FieldDescriptor:
    """The field that a variable fills."""
    field = message.fields_by_name[path[0]]
    if len(path) == 1:
        return field
    assert field.message_type is not None
    return field_at(field.message_type, path[1:])


def single(route: Route, variable: Variable) -> bool:
    """Whether a variable captures one segment, whatever it is."""
    return variable.end == variable.start + 1 and route.segments[variable.start] == "*"


def segments(random: Random, route: Route, tags: set[str]) -> list[str]:
    """Raw segments of a path that the route has."""
    message = request_of(route)
    typed = {v.start: field_at(message, v.field) for v in route.variables if single(route, v)}
    made: list[str] = []
    for index, segment in enumerate(route.segments):
        if segment == "**":
            made += _deep(random, tags)
        elif segment == "*":
            kind = kind_of(typed[index]) if index in typed else "string"
            tags.add(f"path text: {kind}" if index in typed else "path: *")
            plain = TEXTS[kind](random)
            if "/" in plain:
                tags.add("path: %2F in one segment" if index in typed else "path: %2F in several segments")
            made.append(escaped(random, plain))
        else:
            made.append(segment)
    return made


def _deep(random: Random, tags: set[str]) -> list[str]:
    made = [escaped(random, text(random)) for _ in range(random.choice([0, 1, 1, 2, 3]))]
    if not made:
        tags.add("path: ** of no segment")
    elif len(made) > 1 and random.random() < 0.2:
        made.insert(random.randrange(len(made)), "")
        tags.add("path: // within **")
    if any("%2f" in segment.lower() for segment in made):
        tags.add("path: %2F in several segments")
    tags.add("path: **")
    return made


def path(random: Random, route: Route, tags: set[str]) -> str:
    """A raw path that the route has."""
    if route.custom_verb:
        tags.add("path: custom verb")
    for variable in route.variables:
        if not single(route, variable):
            tags.add("path: variable of several segments")
        if len(variable.field) > 1:
            tags.add("path: nested field")
    made = segments(random, route, tags)
    if "**" in route.segments and route.segments[-1] != "**" and len(made) < len(route.segments):
        made.insert(route.segments.index("**"), "x")
    return "/" + "/".join(made) + (f":{route.custom_verb}" if route.custom_verb else "")


def leaves(message: Descriptor, taken: Collection[str], within: Leaf = ()) -> Iterator[Leaf]:
    """What a query may say: scalars and well-known types that no variable and no body takes."""
    for field in message.fields:
        path = (*within, field)
        if ".".join(step.name for step in path) in taken:
            continue
        if kind_of(field) in TEXTS:
            yield path
        elif field.message_type is not None and len(path) < _DEPTH and _nests(field):
            yield from leaves(field.message_type, taken, path)


def _nests(field: FieldDescriptor) -> bool:
    assert field.message_type is not None
    return not field.is_repeated and not field.message_type.full_name.startswith("google.protobuf.")


def taken(route: Route) -> set[str]:
    """Names of fields that path and body fill."""
    return {".".join(variable.field) for variable in route.variables} | {route.body}


def name(random: Random, leaf: Leaf, tags: set[str]) -> str:
    """A parameter's name; each part is that of the schema or that of JSON."""
    parts = [random.choice([step.name, step.json_name]) for step in leaf]
    for part, step in zip(parts, leaf, strict=True):
        if step.name != step.json_name:
            tags.add("query: schema's name" if part == step.name else "query: JSON's name")
    if len(parts) > 1:
        tags.add("query: nested field")
    return ".".join(parts)


def parameter(random: Random, name: str, plain: str) -> str:
    """`name=text`, encoded."""
    encoded = escaped(random, plain, _IN_QUERY)
    if random.random() < 0.5:
        encoded = encoded.replace("%20", "+")
    dotted = ".".join(escaped(random, part, "@") for part in name.split("."))
    return f"{dotted}={encoded}"


def query(random: Random, route: Route, tags: set[str], most: int = 5) -> list[str]:
    """Parameters that the route takes."""
    if route.body == "*":
        return []
    choices = list(leaves(request_of(route), taken(route)))
    made: list[str] = []
    chosen: set[str] = set()
    for leaf in random.sample(choices, min(len(choices), random.randint(0, most))):
        oneof = leaf[0].containing_oneof
        if oneof is not None and oneof.name in chosen:
            continue
        if oneof is not None:
            chosen.add(oneof.name)
        made += _parameters(random, leaf, tags)
    random.shuffle(made)
    return made


def _parameters(random: Random, leaf: Leaf, tags: set[str]) -> list[str]:
    kind = kind_of(leaf[-1])
    tags.add(f"query text: {kind}")
    if leaf[-1].message_type is not None and kind in ("bool", "string", "bytes", "double", "float", "int64"):
        tags.add("query: wrapper")
    times = random.randint(1, 3) if leaf[-1].is_repeated else 1
    if times > 1:
        tags.add("query: repeated")
    return [parameter(random, name(random, leaf, tags), TEXTS[kind](random)) for _ in range(times)]
