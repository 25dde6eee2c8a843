"""Random messages of any type, with values that HTTP can carry where they stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from hypothesis import strategies as st

from codegen.runtime.transcoding.route import Route

DEPTH = 3
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
SEGMENT = TEXT.map(lambda text: text.replace("/", "")).filter(lambda text: text not in {"", ".", ".."})
PATHS = ("title", "size.width", "a_b.c_d", "x1")
NAMES = "google.protobuf."
UNSAYABLE = frozenset(f"{NAMES}{name}" for name in ("Struct", "Value", "ListValue", "Any"))
"""Types that no query can say."""
UNKNOWN_ENUM = 77
HTTP_BODY = "google.api.HttpBody"

Draw = Callable[[st.SearchStrategy[Any]], Any]

_INT32, _INT64 = st.integers(-(1 << 31), (1 << 31) - 1), st.integers(-(1 << 63), (1 << 63) - 1)
_UINT32, _UINT64 = st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1)
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=8),
    FieldDescriptor.TYPE_DOUBLE: st.floats(allow_nan=False),
    FieldDescriptor.TYPE_FLOAT: st.floats(allow_nan=False, width=32),
    FieldDescriptor.TYPE_STRING: TEXT,
    **dict.fromkeys(
        (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SFIXED32), _INT32
    ),
    **dict.fromkeys(
        (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_SINT64, FieldDescriptor.TYPE_SFIXED64), _INT64
    ),
    **dict.fromkeys((FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_FIXED32), _UINT32),
    **dict.fromkeys((FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64), _UINT64),
}


@st.composite
def requests(draw: Draw, route: Route) -> Any:
    """A request that the route can carry."""
    request = route.method.request()
    body = None if route.body == "*" else route.body
    if request.DESCRIPTOR.full_name == HTTP_BODY:
        request = _message(draw, request.DESCRIPTOR, 0, in_query=False)
    for field in _chosen(draw, request.DESCRIPTOR) if request.DESCRIPTOR.full_name != HTTP_BODY else ():
        in_query = body is not None and field.name != body
        _set(draw, request, field, 0, in_query=in_query)
    for variable in route.variables:
        _set_variable(draw, request, variable.field, _pattern(route, variable.start, variable.end))
    return request


@st.composite
def items(draw: Draw, route: Route) -> Any:
    """A later request of a stream: only the body counts."""
    request = route.method.request()
    for field in _chosen(draw, request.DESCRIPTOR):
        if route.body in ("*", field.name):
            _set(draw, request, field, 0, in_query=False)
    return request


def _pattern(route: Route, start: int, end: int) -> tuple[str, ...]:
    return route.segments[start : end if end >= 0 else len(route.segments) + 1 + end]


def _set_variable(draw: Draw, request: Any, path: tuple[str, ...], pattern: tuple[str, ...]) -> None:
    for step in path[:-1]:
        request = getattr(request, step)
    field = request.DESCRIPTOR.fields_by_name[path[-1]]
    if field.type != FieldDescriptor.TYPE_STRING:
        request.ClearField(field.name)
        _set(draw, request, field, 0, in_query=False)
        _fill(request, field)
        return
    parts: list[str] = []
    for segment in pattern:
        if segment == "**":
            parts += draw(st.lists(SEGMENT, min_size=1, max_size=3))
        else:
            parts.append(draw(SEGMENT) if segment == "*" else segment)
    if pattern == ("*",):
        parts = [draw(TEXT.filter(lambda text: text not in {"", ".", ".."}))]
    setattr(request, path[-1], "/".join(parts))


def _fill(message: Any, field: Any) -> None:
    """Gives a value that is empty, as no path can say, a value."""
    if field.type == FieldDescriptor.TYPE_BYTES and not getattr(message, field.name):
        setattr(message, field.name, b"x")
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        value = getattr(message, field.name)
        value.SetInParent()
        kind = value.DESCRIPTOR.name
        if kind in ("StringValue", "BytesValue") and value.value in ("", b"", ".", ".."):
            value.value = "x" if kind == "StringValue" else b"x"


def _chosen(draw: Draw, description: Any) -> list[Any]:
    """Fields to set: of a oneof one at most."""
    chosen, oneofs = [], set()
    for field in description.fields:
        if not draw(st.booleans()):
            continue
        if field.containing_oneof is not None:
            if field.containing_oneof.name in oneofs:
                continue
            oneofs.add(field.containing_oneof.name)
        chosen.append(field)
    return chosen


def _is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _set(draw: Draw, message: Any, field: Any, depth: int, *, in_query: bool) -> None:
    if _is_map(field):
        if not in_query and depth < DEPTH:
            _set_map(draw, message, field, depth)
    elif field.is_repeated:
        _set_repeated(draw, message, field, depth, in_query=in_query)
    elif field.message_type is None:
        setattr(message, field.name, draw(_scalar(field)))
    elif depth < DEPTH and not (in_query and field.message_type.full_name in UNSAYABLE):
        value = _message(draw, field.message_type, depth + 1, in_query=in_query)
        if not in_query or value.ByteSize() or field.message_type.full_name.startswith(NAMES):
            getattr(message, field.name).CopyFrom(value)  # a query cannot say that an empty message is there


def _set_repeated(draw: Draw, message: Any, field: Any, depth: int, *, in_query: bool) -> None:
    count = draw(st.integers(0, 3))
    if field.message_type is None:
        getattr(message, field.name).extend(draw(_scalar(field)) for _ in range(count))
        return
    name = field.message_type.full_name
    if depth >= DEPTH or (in_query and (not name.startswith(NAMES) or name in UNSAYABLE)):
        return
    for _ in range(count):
        getattr(message, field.name).add().CopyFrom(
            _message(draw, field.message_type, depth + 1, in_query=False)
        )


def _set_map(draw: Draw, message: Any, field: Any, depth: int) -> None:
    key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
    entries = getattr(message, field.name)
    for _ in range(draw(st.integers(0, 2))):
        name = draw(_scalar(key))
        if value.message_type is None:
            entries[name] = draw(_scalar(value))
        else:
            entries[name].CopyFrom(_message(draw, value.message_type, depth + 1, in_query=False))


def _scalar(field: Any) -> st.SearchStrategy[Any]:
    if field.enum_type is None:
        return _SCALARS[field.type]
    return st.sampled_from([*(value.number for value in field.enum_type.values), UNKNOWN_ENUM])


def _message(draw: Draw, description: Any, depth: int, *, in_query: bool) -> Any:
    made: Any = message_factory.GetMessageClass(description)()
    match description.full_name.removeprefix(NAMES):
        case "Timestamp":
            made.seconds = draw(st.integers(-62135596800, 253402300799))
            made.nanos = draw(st.integers(0, 999999999))
        case "Duration":
            sign = draw(st.sampled_from([-1, 1]))
            made.seconds = sign * draw(st.integers(0, 315576000000 - 1))
            made.nanos = sign * draw(st.integers(0, 999999999))
        case "FieldMask":
            made.paths.extend(draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=3)))
        case "Struct":
            made.update({draw(TEXT): draw(TEXT) for _ in range(draw(st.integers(0, 2)))})
        case "Value":
            made.string_value = draw(TEXT)
        case "ListValue":
            made.extend(draw(st.lists(TEXT, max_size=2)))
        case "Any":
            made.Pack(_packed(draw))
        case _ if description.full_name == HTTP_BODY:
            made.data, made.content_type = (
                draw(st.binary(max_size=40)),
                draw(st.sampled_from(["", "text/plain"])),
            )
        case _:
            for field in _chosen(draw, description):
                _set(draw, made, field, depth, in_query=in_query)
    return made


def _packed(draw: Draw) -> Message:
    return Duration(seconds=draw(st.integers(0, 100)))
