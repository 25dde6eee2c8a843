"""Random messages with fields of every type, written by our codec: the document describes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson
import pytest
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    field_mask_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
)
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codegen.runtime.codec import JsonCodec
from tests.codegen.openapi.documents import component, kinds

DEPTH: Final = 3
NAME: Final = "kinds.v1.Everything"
Draw = Callable[[st.SearchStrategy[Any]], Any]

_INT32, _INT64 = st.integers(-(1 << 31), (1 << 31) - 1), st.integers(-(1 << 63), (1 << 63) - 1)
_UINT32, _UINT64 = st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1)
_TEXT = st.text(max_size=6)
_F = FieldDescriptor
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    _F.TYPE_BOOL: st.booleans(),
    _F.TYPE_BYTES: st.binary(max_size=9),
    _F.TYPE_DOUBLE: st.floats(),
    _F.TYPE_FLOAT: st.floats(width=32),
    _F.TYPE_STRING: _TEXT,
    **dict.fromkeys((_F.TYPE_INT32, _F.TYPE_SINT32, _F.TYPE_SFIXED32), _INT32),
    **dict.fromkeys((_F.TYPE_INT64, _F.TYPE_SINT64, _F.TYPE_SFIXED64), _INT64),
    **dict.fromkeys((_F.TYPE_UINT32, _F.TYPE_FIXED32), _UINT32),
    **dict.fromkeys((_F.TYPE_UINT64, _F.TYPE_FIXED64), _UINT64),
}
_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)
_PATHS = st.sampled_from(("name", "size.width", "a_b.c_d", "x1"))
_NANOS = st.sampled_from((0, 1, 1_000, 500_000_000, 999_999_999))


@pytest.mark.parametrize("prints_all", [False, True])
def test_what_the_codec_writes_is_what_the_document_says(prints_all: bool) -> None:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(kinds().descriptors).file:
        pool.Add(file)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName(NAME))
    codec = JsonCodec(kinds().registry, always_print_fields_with_no_presence=prints_all).type(NAME)
    described = component(kinds().document, NAME)
    seen: set[str] = set()

    @settings(
        max_examples=500,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        message = made()
        _fill(data.draw, message, 0)
        text = codec.to_json(message.SerializeToString())
        value = orjson.loads(text)
        seen.update(value)
        assert described.is_valid(value), [str(each) for each in described.iter_errors(value)]

    check()
    assert seen == set(kinds().document["components"]["schemas"][NAME]["properties"])


def _fill(draw: Draw, message: Any, depth: int) -> None:
    fields = list(message.DESCRIPTOR.fields)
    if not fields:
        return
    for field in draw(st.lists(st.sampled_from(fields), max_size=12 if depth == 0 else 3, unique=True)):
        kind = field.message_type
        if kind is not None and kind.GetOptions().map_entry:
            _fill_map(draw, message, field, depth)
        elif field.is_repeated:
            _fill_list(draw, getattr(message, field.name), field, depth)
        elif kind is not None:
            _set(draw, getattr(message, field.name), depth)
        else:
            setattr(message, field.name, _scalar(draw, field))


def _fill_list(draw: Draw, values: Any, field: FieldDescriptor, depth: int) -> None:
    for _ in range(draw(st.integers(0, 2))):
        if field.message_type is not None:
            _set(draw, values.add(), depth)
        else:
            values.append(_scalar(draw, field))


def _fill_map(draw: Draw, message: Any, field: FieldDescriptor, depth: int) -> None:
    entry = field.message_type
    assert entry is not None
    key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
    for _ in range(draw(st.integers(0, 2))):
        name = _scalar(draw, key)
        if value.message_type is not None:
            _set(draw, getattr(message, field.name)[name], depth)
        else:
            getattr(message, field.name)[name] = _scalar(draw, value)


def _scalar(draw: Draw, field: FieldDescriptor) -> Any:
    if field.enum_type is not None:
        enum: EnumDescriptor = field.enum_type
        return draw(st.sampled_from([value.number for value in enum.values]))
    return draw(_SCALARS[field.type])


def _set(draw: Draw, message: Any, depth: int) -> None:
    """Gives a message a random value, and makes it present."""
    message.SetInParent()
    name = message.DESCRIPTOR.full_name
    known = _KNOWN.get(name)
    if known is not None:
        message.MergeFromString(known(draw).SerializeToString())
    elif depth < DEPTH:
        _fill(draw, message, depth + 1)


def _any(draw: Draw) -> Any:
    packed = any_pb2.Any()
    packed.Pack(draw(st.sampled_from((_duration(draw), _value(draw)))))
    return packed


def _duration(draw: Draw) -> Any:
    sign = draw(st.sampled_from((1, -1)))
    seconds, nanos = draw(st.integers(0, 315_576_000_000 - 1)), draw(_NANOS)
    return duration_pb2.Duration(seconds=sign * seconds, nanos=sign * nanos)


def _time(draw: Draw) -> Any:
    return timestamp_pb2.Timestamp(
        seconds=draw(st.integers(-62_135_596_800, 253_402_300_799)), nanos=draw(_NANOS)
    )


def _mask(draw: Draw) -> Any:
    return field_mask_pb2.FieldMask(paths=draw(st.lists(_PATHS, max_size=3)))


def _value(draw: Draw) -> Any:
    return _json_value(draw(_JSON))


def _json_value(value: Any) -> Any:
    made = struct_pb2.ListValue()
    made.extend([value])
    return made.values[0]


def _list(draw: Draw) -> Any:
    made = struct_pb2.ListValue()
    made.extend(draw(st.lists(_JSON, max_size=2)))
    return made


def _struct(draw: Draw) -> Any:
    made = struct_pb2.Struct()
    made.update(draw(st.dictionaries(_TEXT, _JSON, max_size=2)))
    return made


_KNOWN: Final[dict[str, Callable[[Draw], Any]]] = {
    "google.protobuf.Any": _any,
    "google.protobuf.Duration": _duration,
    "google.protobuf.FieldMask": _mask,
    "google.protobuf.ListValue": _list,
    "google.protobuf.Struct": _struct,
    "google.protobuf.Timestamp": _time,
    "google.protobuf.Value": _value,
}
