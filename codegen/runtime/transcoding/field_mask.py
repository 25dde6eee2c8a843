"""The FieldMask of a PATCH, made from what its body has where the client sends none, as grpc-gateway does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from protobuf import DescField, DescFieldValueMessage, DescMessage, Message

from codegen.runtime.json_diagnosis import invalid, names
from codegen.runtime.json_shape import OPAQUE, JsonValue
from codegen.runtime.transcoding.route import Route

FIELD_MASK = "google.protobuf.FieldMask"
MAX_MASK = 1 << 18
"""Most characters of a mask that is made; a small body nested deeply could else make a very large one."""


def mask_of(route: Route, request: DescMessage, body: DescField | None) -> DescField | None:
    """The field to fill: the only FieldMask of a PATCH's request, where the body is a message beside it."""
    masks = [field for field in request.fields if _type_name(field) == FIELD_MASK]
    if route.verb != "PATCH" or len(masks) != 1 or body is None or message_of(body) is None:
        return None
    return masks[0]


def message_of(field: DescField) -> DescMessage | None:
    """Type of a singular field that has fields of its own, and no JSON form of its own."""
    value = field.value
    if isinstance(value, DescFieldValueMessage) and value.message.type_name not in OPAQUE:
        return value.message
    return None


def fill_mask(message: Message[Any], mask: DescField, paths: Sequence[str] | None) -> None:
    """Sets a mask, unless the client sent one that says something.

    Args:
        message: the request.
        mask: its field.
        paths: as `bounded` returns them.

    Raises:
        Error: INVALID_FIELD, for a mask that would be too large.
    """
    if message[mask] is not None and message[mask].paths:
        return
    if paths is None:
        raise invalid(mask.name, "the body has too many fields to make a mask of")
    value: Any = mask.value
    message[mask] = value.message.type(paths=list(paths))


def bounded(paths: Iterable[str]) -> list[str] | None:
    """All of the paths; None if they are too large together."""
    taken: list[str] = []
    size = 0
    for path in paths:
        size += len(path)
        if size > MAX_MASK:
            return None
        taken.append(path)
    return taken


def paths_in_json(description: DescMessage, value: JsonValue) -> Iterator[str]:
    """Paths, in proto names, of the fields that a message's JSON has; null is there too.

    Lists, maps, well-known types and empty objects end a path. What the type does not have is left out.
    """
    known = {description.type_name: names(description)}
    level = [(iter(value.items()), known[description.type_name], "")] if isinstance(value, dict) else []
    while level:
        items, fields, prefix = level[-1]
        for key, item in items:
            field = fields.get(key)
            if field is None:
                continue
            within = message_of(field) if isinstance(item, dict) and item else None
            if within is None:
                yield f"{prefix}{field.name}"
            else:
                if within.type_name not in known:
                    known[within.type_name] = names(within)
                level.append((iter(item.items()), known[within.type_name], f"{prefix}{field.name}."))
                break
        else:
            level.pop()


def paths_in_message(message: Any) -> Iterator[str]:
    """As `paths_in_json`, for a message that came in binary form: the fields that are set."""
    level = [(iter(message.desc().fields), message, "")]
    while level:
        fields, parent, prefix = level[-1]
        for field in fields:
            if not parent.has_field(field.name):
                continue
            child = parent[field]
            if message_of(field) is not None and any(
                child.has_field(each.name) for each in child.desc().fields
            ):
                level.append((iter(child.desc().fields), child, f"{prefix}{field.name}."))
                break
            yield f"{prefix}{field.name}"
        else:
            level.pop()


def _type_name(field: DescField) -> str:
    value = field.value
    return value.message.type_name if isinstance(value, DescFieldValueMessage) else ""
