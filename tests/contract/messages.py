"""Random messages, built from descriptors; most of them follow the rules of their schema."""

from __future__ import annotations

from typing import Any, Final

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from tests.contract.catalog import message_class

DEPTH: Final = 2
"""Messages within messages."""
LONGEST: Final = 12
"""Characters of a text whose rules allow more."""
_F: Final = FieldDescriptor
_RANGES: Final = {
    **dict.fromkeys((_F.TYPE_INT32, _F.TYPE_SINT32, _F.TYPE_SFIXED32), (-(1 << 31), (1 << 31) - 1)),
    **dict.fromkeys((_F.TYPE_INT64, _F.TYPE_SINT64, _F.TYPE_SFIXED64), (-(1 << 63), (1 << 63) - 1)),
    **dict.fromkeys((_F.TYPE_UINT32, _F.TYPE_FIXED32), (0, (1 << 32) - 1)),
    **dict.fromkeys((_F.TYPE_UINT64, _F.TYPE_FIXED64), (0, (1 << 64) - 1)),
}
_PARTS: Final = {
    "google.protobuf.Timestamp": {
        "seconds": st.integers(-62135596800, 253402300799),
        "nanos": st.integers(0, 999_999_999),
    },
}
"""Fields of well-known types that JSON cannot say in full."""
_TEXT: Final = st.characters(exclude_categories=["Cs"])


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, *, ruled: bool = True, depth: int = DEPTH) -> Any:
    """Messages of a type.

    Args:
        draw: hypothesis' own.
        descriptor: the type.
        ruled: whether fields follow their rules; without, any of them may break them.
        depth: messages within messages.
    """
    message = message_class(descriptor)()
    if (parts := _PARTS.get(descriptor.full_name)) is not None:
        return message_class(descriptor)(**{name: draw(each) for name, each in parts.items()})
    for field in _chosen(draw, descriptor, ruled=ruled):
        rules = field.GetOptions().Extensions[validate_pb2.field]
        if depth == 0 and field.message_type is not None:
            continue
        if field.is_repeated:
            _fill(draw, message, field, rules.repeated if ruled else validate_pb2.RepeatedRules(), depth)
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(
                draw(messages(field.message_type, ruled=ruled, depth=depth - 1))
            )
        else:
            setattr(message, field.name, draw(scalars(field, rules if ruled else validate_pb2.FieldRules())))
    return message


def _chosen(draw: st.DrawFn, descriptor: Descriptor, *, ruled: bool) -> list[FieldDescriptor]:
    """One member of each oneof, and of the other fields those with rules and some more."""
    choices = [list(each.fields) for each in descriptor.oneofs if len(each.fields) > 1]
    chosen = [draw(st.sampled_from(each)) for each in choices if ruled or draw(st.booleans())]
    for field in descriptor.fields:
        in_choice = field.containing_oneof is not None and len(field.containing_oneof.fields) > 1
        needed = ruled and not field.has_presence and field.GetOptions().HasExtension(validate_pb2.field)
        if not in_choice and (needed or draw(st.booleans())):
            chosen.append(field)
    return chosen


def _fill(draw: st.DrawFn, message: Message, field: FieldDescriptor, rules: Any, depth: int) -> None:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return
    count = st.integers(rules.min_items, min(rules.max_items or 3, rules.min_items + 3))
    held = getattr(message, field.name)
    if kind is not None:
        held.extend(draw(messages(kind, depth=depth - 1)) for _ in range(draw(count)))
    else:
        items = draw(st.lists(scalars(field, rules.items), min_size=rules.min_items, max_size=draw(count)))
        held.extend(dict.fromkeys(items) if rules.unique else items)


def scalars(field: FieldDescriptor, rules: Any) -> st.SearchStrategy[Any]:
    """Values of a field, or of its elements, that follow rules."""
    if field.type == _F.TYPE_STRING:
        return _texts(rules.string)
    if field.type == _F.TYPE_BYTES:
        return st.binary(max_size=LONGEST)
    if field.type == _F.TYPE_BOOL:
        return st.booleans()
    if field.type in (_F.TYPE_DOUBLE, _F.TYPE_FLOAT):
        return st.floats(width=32, allow_nan=False)
    if field.enum_type is not None:
        numbers = [value.number for value in field.enum_type.values]
        allowed = [each for each in getattr(rules.enum, "in") or numbers if each not in rules.enum.not_in]
        closed = rules.enum.defined_only or getattr(rules.enum, "in")
        return st.sampled_from(allowed if closed else [*allowed, 97])
    return _integers(field, getattr(rules, field_kind(field)))


def field_kind(field: FieldDescriptor) -> str:
    """Name of a number's rules: `int64`."""
    return next(
        name.removeprefix("TYPE_").lower()
        for name in dir(FieldDescriptor)
        if name.startswith("TYPE_") and getattr(FieldDescriptor, name) == field.type
    )


def _texts(rules: Any) -> st.SearchStrategy[str]:
    if rules.pattern:
        return st.from_regex(rules.pattern.removeprefix("^").removesuffix("$"), fullmatch=True)
    longest = min(rules.max_len or LONGEST, (rules.max_bytes or 1 << 20) // 4, max(LONGEST, rules.min_len))
    return st.text(_TEXT, min_size=max(rules.min_len, rules.min_bytes), max_size=longest)


def _integers(field: FieldDescriptor, rules: Any) -> st.SearchStrategy[int]:
    low, high = _RANGES[field.type]
    if rules.HasField("gt"):
        low = rules.gt + 1
    if rules.HasField("gte"):
        low = rules.gte
    if rules.HasField("lt"):
        high = rules.lt - 1
    if rules.HasField("lte"):
        high = rules.lte
    return st.integers(low, high)
