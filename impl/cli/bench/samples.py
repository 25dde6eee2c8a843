"""A message of every type of the IDL, filled, always the same."""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from im.descriptors import DESCRIPTOR_SET
from protobuf.wkt import FileDescriptorSet

SEED = 7
DEPTH = 3
"""Levels of messages in messages."""
ITEMS = 3
"""Of repeated fields."""

_TEXT = "hello there, how are you today?"
_WHOLE = frozenset({"google.protobuf.Any", "google.protobuf.Struct", "google.protobuf.Value"})


def samples(package: str) -> Iterator[Message]:
    """One message of each type of the packages that begin so, by file."""
    files = FileDescriptorSet.from_binary(DESCRIPTOR_SET).file
    for name in sorted(file.name for file in files if file.package.startswith(package)):
        module = importlib.import_module(f"{name.removesuffix('.proto').replace('/', '.')}_pb2")
        for descriptor in module.DESCRIPTOR.message_types_by_name.values():
            yield filled(descriptor)


def filled(descriptor: Descriptor) -> Message:
    """A message with something in every field."""
    made: Message = _filled(descriptor, random.Random(SEED), DEPTH)  # noqa: S311 - the same at each run
    return made


def _filled(descriptor: Descriptor, chance: random.Random, depth: int) -> Any:
    made: Any = message_factory.GetMessageClass(descriptor)()
    if descriptor.full_name == "google.protobuf.Timestamp":
        made.seconds, made.nanos = 1_700_000_000, 123_000_000
        return made
    if descriptor.full_name == "google.protobuf.FieldMask":
        made.paths.append("display_name")
        return made
    taken = {oneof.name: chance.choice(oneof.fields) for oneof in descriptor.oneofs}
    for field in descriptor.fields:
        if field.containing_oneof is None or taken[field.containing_oneof.name] is field:
            _fill(made, field, chance, depth)
    return made


def _fill(made: Any, field: FieldDescriptor, chance: random.Random, depth: int) -> None:
    inner = field.message_type
    if inner is not None and (inner.full_name in _WHOLE or depth == 0 or inner.GetOptions().map_entry):
        return
    if field.is_repeated:
        values = [_value(field, chance, depth) for _ in range(ITEMS)]
        getattr(made, field.name).extend(values)
    elif inner is not None:
        getattr(made, field.name).CopyFrom(_value(field, chance, depth))
    else:
        setattr(made, field.name, _value(field, chance, depth))


def _value(field: FieldDescriptor, chance: random.Random, depth: int) -> Any:
    if field.message_type is not None:
        return _filled(field.message_type, chance, depth - 1)
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _TEXT.encode()
    long = chance.randrange(1 << 53, 1 << 62)
    values = {
        FieldDescriptor.CPPTYPE_BOOL: True,
        FieldDescriptor.CPPTYPE_STRING: _TEXT,
        FieldDescriptor.CPPTYPE_INT64: long,
        FieldDescriptor.CPPTYPE_UINT64: long,
        FieldDescriptor.CPPTYPE_DOUBLE: 0.5,
        FieldDescriptor.CPPTYPE_FLOAT: 0.5,
    }
    return values.get(field.cpp_type, 1 + long % 1000)
