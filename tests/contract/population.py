"""Messages with every field set, made from descriptors alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from tests.contract.catalog import message_class

_DEPTH = 5
_SCALARS: dict[int, Any] = {
    FieldDescriptor.TYPE_DOUBLE: 2.5,
    FieldDescriptor.TYPE_FLOAT: 2.5,
    FieldDescriptor.TYPE_INT64: 2**53 + 1,
    FieldDescriptor.TYPE_UINT64: 2**64 - 1,
    FieldDescriptor.TYPE_INT32: -(2**31),
    FieldDescriptor.TYPE_FIXED64: 2**64 - 1,
    FieldDescriptor.TYPE_FIXED32: 2**32 - 1,
    FieldDescriptor.TYPE_BOOL: True,
    FieldDescriptor.TYPE_STRING: 'ünï "quoted" \u2028 text 🦜',
    FieldDescriptor.TYPE_BYTES: bytes(range(256)),
    FieldDescriptor.TYPE_UINT32: 2**32 - 1,
    FieldDescriptor.TYPE_SFIXED32: -(2**31),
    FieldDescriptor.TYPE_SFIXED64: -(2**63),
    FieldDescriptor.TYPE_SINT32: -(2**31),
    FieldDescriptor.TYPE_SINT64: -(2**63),
}


def variants(descriptor: Descriptor) -> Iterator[tuple[str, Message]]:
    """One full message per member of every oneof in it, however deep (one in all if there is none).

    Each has the path to the member as its name.
    """
    yield "empty", message_class(descriptor)()
    paths = list(_paths(descriptor, _DEPTH)) or [()]
    for path in paths:
        yield ".".join(path) or "full", populated(descriptor, path)


def _paths(descriptor: Descriptor, depth: int) -> Iterator[tuple[str, ...]]:
    """To the members of oneofs that have no oneof below them."""
    for field in descriptor.fields:
        below = list(_paths(field.message_type, depth - 1)) if field.message_type and depth else []
        yield from ((field.name, *path) for path in below)
        if not below and _alternatives(field):
            yield (field.name,)


def _alternatives(field: FieldDescriptor) -> bool:
    """Whether it is a member of a oneof, and not just optional."""
    oneof = field.containing_oneof
    return oneof is not None and oneof.name != f"_{field.name}"


def populated(descriptor: Descriptor, path: Sequence[str] = (), depth: int = _DEPTH) -> Message:
    """A message with every field set; of each oneof the member on the path, or the first one."""
    message = message_class(descriptor)()
    head, rest = (path[0], path[1:]) if path else ("", ())
    for field in descriptor.fields:
        oneof = field.containing_oneof
        chosen = next((f for f in oneof.fields if f.name == head), oneof.fields[0]) if oneof else field
        if chosen.name == field.name:
            _set(message, field, rest if field.name == head else (), depth)
    return message


def _set(message: Message, field: FieldDescriptor, path: Sequence[str], depth: int) -> None:
    if field.message_type is not None and field.message_type.full_name == "google.protobuf.Timestamp":
        getattr(message, field.name).FromJsonString("2031-02-03T04:05:06.789Z")
    elif field.message_type is not None:
        if depth:
            _set_message(message, field, populated(field.message_type, path, depth - 1))
    else:
        value = field.enum_type.values[-1].number if field.enum_type else _SCALARS[field.type]
        if field.is_repeated:
            getattr(message, field.name).extend([value, value])
        else:
            setattr(message, field.name, value)


def _set_message(message: Message, field: FieldDescriptor, value: Message) -> None:
    if field.is_repeated:
        getattr(message, field.name).append(value)
    else:
        getattr(message, field.name).CopyFrom(value)
