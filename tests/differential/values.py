"""Random values of every type: as text for paths and queries, and as JSON for bodies.

Kinds are names of scalar types (`int32`), `enum`, or full names of well-known types.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from random import Random
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

Text = Callable[[Random], str]
Json = Any

_SCALARS: Final = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower()
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
}
_WRAPPED: Final = {
    "BoolValue": "bool",
    "BytesValue": "bytes",
    "DoubleValue": "double",
    "FloatValue": "float",
    "Int32Value": "int32",
    "Int64Value": "int64",
    "StringValue": "string",
    "UInt32Value": "uint32",
    "UInt64Value": "uint64",
}
_RANGES: Final = {
    **dict.fromkeys(("int32", "sint32", "sfixed32"), (-(1 << 31), (1 << 31) - 1)),
    **dict.fromkeys(("int64", "sint64", "sfixed64"), (-(1 << 63), (1 << 63) - 1)),
    **dict.fromkeys(("uint32", "fixed32"), (0, (1 << 32) - 1)),
    **dict.fromkeys(("uint64", "fixed64"), (0, (1 << 64) - 1)),
}
LONG: Final = frozenset(kind for kind, (_, high) in _RANGES.items() if high >= 1 << 60)
_ALPHABET: Final = "abcXYZ019-._~ /%&=+:;,?#[]@!$'()*\"\\<>{}|^`é漢😀\t\n"
COLORS: Final = {"COLOR_UNSPECIFIED": 0, "RED": 1, "GREEN": -2}


def kind_of(field: FieldDescriptor) -> str:
    """Kind of a field's value, or of each of its elements; a full name for messages."""
    if field.message_type is not None:
        name = field.message_type.full_name
        short = name.removeprefix("google.protobuf.")
        return _WRAPPED.get(short, name) if short != name else name
    return _SCALARS[field.type]


def text(random: Random, length: int = 6) -> str:
    """Any text, short, not empty."""
    return "".join(random.choices(_ALPHABET, k=random.randint(1, length)))


def _integer(low: int, high: int) -> Text:
    def make(random: Random) -> str:
        return str(random.choice([low, high, 0, 1, random.randint(low, high), random.randint(0, 1000)]))

    return make


def _float(random: Random) -> str:
    plain = f"{random.uniform(-1000, 1000):.4g}"
    return random.choice(["0", "-1.5", "1e5", "2.5E-3", "NaN", "Infinity", "-Infinity", plain])


def _base64(random: Random) -> str:
    data = random.randbytes(random.randint(1, 9))
    encode = random.choice([base64.standard_b64encode, base64.urlsafe_b64encode])
    made = encode(data).decode()
    return made.rstrip("=") if random.random() < 0.3 else made


def _color(random: Random) -> str:
    name = random.choice(list(COLORS))
    return name if random.random() < 0.7 else str(COLORS[name])


def _time(random: Random) -> str:
    date = f"{random.randint(1, 9999):04}-{random.randint(1, 12):02}-{random.randint(1, 28):02}"
    clock = f"{random.randint(0, 23):02}:{random.randint(0, 59):02}:{random.randint(0, 59):02}"
    fraction = random.choice(
        ["", ".5", f".{random.randint(0, 999):03}", f".{random.randint(0, 999999999):09}"]
    )
    inner = 2 <= int(date[:4]) <= 9998
    return f"{date}T{clock}{fraction}" + (random.choice(["Z", "Z", "+01:30", "-08:00"]) if inner else "Z")


def _duration(random: Random) -> str:
    whole = random.choice([0, 1, random.randint(0, 315576000000)])
    fraction = random.choice(["", ".5", f".{random.randint(0, 999999999):09}"]) if whole < 1e11 else ""
    return f"{random.choice(['', '', '-'])}{whole}{fraction}s"


def _mask(random: Random) -> str:
    paths = ["a", "fooBar", "foo.barBaz", "x.y", "name", "int32Value"]
    return ",".join(random.sample(paths, random.randint(1, 3)))


TEXTS: Final[dict[str, Text]] = {
    **{kind: _integer(*limits) for kind, limits in _RANGES.items()},
    "bool": lambda random: random.choice(["true", "false"]),
    "string": text,
    "float": _float,
    "double": _float,
    "bytes": _base64,
    "enum": _color,
    "google.protobuf.Timestamp": _time,
    "google.protobuf.Duration": _duration,
    "google.protobuf.FieldMask": _mask,
}
"""Text that is a value."""

_NO_INTEGERS: Final = ["x", " 5", "5 ", "0x5", "5.5", "1_0", "null", "٣"]
WRONG: Final[dict[str, list[str]]] = {
    **{
        kind: [*_NO_INTEGERS, str(high + 1), str(low - 1), "99999999999999999999999"]
        for kind, (low, high) in _RANGES.items()
    },
    "bool": ["2", "x", "nul", "truefalse"],
    "float": ["x", "nan", "inf", "-inf", "1e39", "-1e39", " 1", "1_0", "1,5"],
    "double": ["x", "nan", "inf", "1e400", "-1e400", "1d", "infinity", "1_0"],
    "bytes": ["!", "a", "YQ===", "a%"],
    "enum": ["nope", "red", "Red", "1.0", " 1", "2147483648", "RED,GREEN"],
    "google.protobuf.Timestamp": ["x", "2020-01-01", "2020-02-30T00:00:00Z", "10000-01-01T00:00:00Z", "null"],
    "google.protobuf.Duration": ["x", "1", "1m", "s", "-s", ".5s", "315576000001s", "null"],
}
"""Text that is none, and that nobody takes."""

LENIENT: Final[dict[str, list[str]]] = {
    **{kind: ["+5"] for kind in _RANGES},
    "bool": ["True", "1", "0", "yes", "t", "n"],
    "float": ["0x1p3"],
    "double": ["0x10"],
    "bytes": ["YW Jj", "YW\nJj"],
    "google.protobuf.Timestamp": ["2020-01-01T00:00:60Z"],
    "google.protobuf.Duration": ["+1s"],
    "google.protobuf.FieldMask": ["foo_bar", "a,,b", "a b"],
}
"""Text that is none by ProtoJSON, and that Envoy's number and time parsers of C++ take all the same."""


def json_value(random: Random, field: FieldDescriptor, depth: int) -> Json:
    """JSON of one value of a field, or of one of its elements."""
    kind = kind_of(field)
    if kind in TEXTS:
        return _scalar(random, kind)
    made = _SPECIAL.get(kind)
    assert field.message_type is not None
    return made(random) if made else json_message(random, field.message_type, depth - 1)


def json_field(random: Random, field: FieldDescriptor, depth: int) -> Json:
    """JSON of a field: a list or a map where it is one."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        keys = {TEXTS[kind_of(key)](random) for _ in range(random.randint(0, 2))}
        return {each: json_value(random, value, depth) for each in sorted(keys)}
    if field.is_repeated:
        return [json_value(random, field, depth) for _ in range(random.randint(0, 3))]
    return json_value(random, field, depth)


def json_message(random: Random, message: Descriptor, depth: int, most: int = 6) -> dict[str, Json]:
    """JSON of a message: some of its fields, under either of their names, at most one of a oneof."""
    fields = list(message.fields)
    chosen = random.sample(fields, min(len(fields), random.randint(0, most)))
    made: dict[str, Json] = {}
    taken: set[str] = set()
    for field in chosen:
        oneof = field.containing_oneof
        deep = (
            field.message_type is not None and kind_of(field) not in TEXTS and kind_of(field) not in _SPECIAL
        )
        if (oneof is not None and oneof.name in taken) or (deep and depth <= 0):
            continue
        if oneof is not None:
            taken.add(oneof.name)
        name = random.choice([field.json_name, field.json_name, field.name])
        null = random.random() < 0.05 and kind_of(field) != "google.protobuf.Value"
        made[name] = None if null else json_field(random, field, depth)
    return made


def _scalar(random: Random, kind: str) -> Json:
    made = TEXTS[kind](random)
    if kind == "bool":
        return made == "true"
    if kind == "enum" and made.lstrip("-").isdecimal():
        return random.choice([int(made), 7])
    if kind in _RANGES and random.random() < 0.5:
        return int(made)
    if kind in ("float", "double") and made[-1].isdigit() and random.random() < 0.7:
        return float(made)
    return made


def _plain(random: Random, depth: int = 2) -> Json:
    """JSON without a type."""
    leaves = [None, True, False, 0, 1.5, -3, "x", text(random)]
    if depth == 0 or random.random() < 0.6:
        return random.choice(leaves)
    if random.random() < 0.5:
        return [_plain(random, depth - 1) for _ in range(random.randint(0, 3))]
    return {name: _plain(random, depth - 1) for name in random.sample("abc", random.randint(0, 3))}


def _any(random: Random) -> Json:
    url = "type.googleapis.com/"
    return random.choice(
        [
            {"@type": url + "differential.v1.Bag", "text": text(random), "inners": [{"number": 5}]},
            {"text": "later", "@type": url + "differential.v1.Bag"},
            {"@type": url + "google.protobuf.Duration", "value": "1.5s"},
            {"@type": url + "google.protobuf.Timestamp", "value": _time(random)},
            {"@type": url + "google.protobuf.Int64Value", "value": "7"},
            {},
        ]
    )


def _body(random: Random) -> Json:
    return {"contentType": "text/plain", "data": _base64(random)}


_SPECIAL: Final[dict[str, Callable[[Random], Json]]] = {
    "google.protobuf.Struct": lambda random: {key: _plain(random) for key in random.sample("abc", 2)},
    "google.protobuf.Value": _plain,
    "google.protobuf.ListValue": lambda random: [_plain(random) for _ in range(random.randint(0, 3))],
    "google.protobuf.Any": _any,
    "google.api.HttpBody": _body,
    "google.protobuf.Empty": lambda _: {},
}
