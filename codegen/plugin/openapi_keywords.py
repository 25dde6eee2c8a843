"""The rules of `buf.validate` for values of one kind, as keywords of JSON Schema."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

from protobuf import DescEnum

from codegen.plugin.openapi_numbers import within
from codegen.plugin.openapi_patterns import ecma, escaped

Keywords = dict[str, Any]

LONG: Final = frozenset({"int64", "uint64", "sint64", "fixed64", "sfixed64"})
FLOATS: Final = frozenset({"float", "double"})
NUMBERS: Final = frozenset({"int32", "uint32", "sint32", "fixed32", "sfixed32"})

_FORMATS: Final = {
    "email": "email",
    "hostname": "hostname",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "uri": "uri",
    "uri_ref": "uri-reference",
    "uuid": "uuid",
}
_NAME: Final = "[A-Za-z_][A-Za-z_0-9]*"
_WELL_KNOWN: Final[dict[str, Keywords]] = {
    "ip": {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}], "examples": ["192.0.2.1"]},
    "address": {
        "anyOf": [{"format": "hostname"}, {"format": "ipv4"}, {"format": "ipv6"}],
        "examples": ["example.com"],
    },
    "tuuid": {"pattern": "^[0-9a-fA-F]{32}$"},
    "ulid": {"pattern": "^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$"},
    "protobuf_fqn": {"pattern": rf"^{_NAME}(?:\.{_NAME})*$"},
    "protobuf_dot_fqn": {"pattern": rf"^\.{_NAME}(?:\.{_NAME})*$"},
    "ip_with_prefixlen": {"minLength": 1, "examples": ["192.0.2.1/24"]},
    "ipv4_with_prefixlen": {"minLength": 1, "examples": ["192.0.2.1/24"]},
    "ipv6_with_prefixlen": {"minLength": 1, "examples": ["2001:db8::1/64"]},
    "ip_prefix": {"minLength": 1, "examples": ["192.0.2.0/24"]},
    "ipv4_prefix": {"minLength": 1, "examples": ["192.0.2.0/24"]},
    "ipv6_prefix": {"minLength": 1, "examples": ["2001:db8::/64"]},
    "host_and_port": {"minLength": 1, "examples": ["example.com:443"]},
}
_HTTP_NAMES: Final = {True: r"^:?[0-9a-zA-Z!#$%&'*+\u002d.^_|~`]+$", False: r"^[^\u0000\u000A\u000D]+$"}
_HTTP_VALUES: Final = {
    True: r"^[^\u0000-\u0008\u000A-\u001F\u007F]*$",
    False: r"^[^\u0000\u000A\u000D]*$",
}
_HEADER_NAME: Final = 1


def given(rules: Any, name: str) -> Any:
    """The value of a rule that is set."""
    return getattr(rules, name) if rules.has_field(name) else None


def listed(rules: Any, name: str) -> list[Any]:
    """The values of a rule that is a list; `in` is a word of Python."""
    return list(getattr(rules, f"{name}_", None) or getattr(rules, name, None) or ())


def keywords(kind: str, rules: Any, enum: DescEnum | None = None) -> Keywords:
    """What rules say of a value: `string`, `int32` … as `buf.validate.FieldRules` names kinds.

    Of floating point, `strings` are the texts allowed besides numbers.
    """
    if kind == "enum":
        return _enum(rules, enum)
    if kind in LONG:
        return _long(rules)
    if kind in FLOATS:
        return _float(rules)
    translate = _number if kind in NUMBERS else _KINDS.get(kind)
    return {} if translate is None else translate(rules)


def examples(kind: str, rules: Any, enum: DescEnum | None = None) -> list[Any]:
    """The examples that rules give, as JSON has them."""
    values = listed(rules, "example")
    if kind in LONG:
        return [str(value) for value in values]
    if kind == "bytes":
        return [_base64(value) for value in values]
    if kind == "enum":
        return _names(values, enum)
    return values if kind in NUMBERS | FLOATS | {"string", "bool"} else []


def _string(rules: Any) -> Keywords:
    words: Keywords = {}
    length, octets = given(rules, "len"), given(rules, "len_bytes")
    _put(words, "minLength", length if length is not None else given(rules, "min_len"))
    if not words and (octets or given(rules, "min_bytes")):
        words["minLength"] = 1  # what exactly depends on the characters
    # A string of n bytes has at most n characters.
    lengths = [given(rules, name) for name in ("len", "max_len", "len_bytes", "max_bytes")]
    limits = [limit for limit in lengths if limit is not None]
    _put(words, "maxLength", min(limits, default=None))
    return _with_patterns(words | _well_known(rules), _patterns(rules)) | _values(rules, _itself)


def _patterns(rules: Any) -> list[str]:
    found = []
    if (pattern := given(rules, "pattern")) is not None and (known := ecma(pattern)) is not None:
        found.append(known)
    for name, form in (("prefix", "^{}"), ("suffix", "{}$"), ("contains", "{}")):
        if (text := given(rules, name)) is not None:
            found.append(form.format(escaped(text)))
    return found


def _with_patterns(words: Keywords, patterns: list[str]) -> Keywords:
    if patterns and "pattern" not in words:
        words["pattern"] = patterns.pop(0)
    if patterns:
        words["allOf"] = [{"pattern": pattern} for pattern in patterns]
    return words


def _well_known(rules: Any) -> Keywords:
    known = rules.well_known
    if known is None or not known.value:
        return {}
    if known.field == "well_known_regex":
        strict = given(rules, "strict") is not False
        return {"pattern": (_HTTP_NAMES if known.value == _HEADER_NAME else _HTTP_VALUES)[strict]}
    name = _FORMATS.get(known.field)
    return {"format": name} if name else dict(_WELL_KNOWN.get(known.field, {}))


def _bytes(rules: Any) -> Keywords:
    """N bytes are ⌈4n/3⌉ signs of base64, and padding."""
    length = given(rules, "len")
    low = length if length is not None else given(rules, "min_len")
    high = length if length is not None else given(rules, "max_len")
    words = _values(rules, _base64)
    if low is not None or high is not None:
        least, most = _signs(low or 0), "" if high is None else _signs(high)
        words["allOf"] = [{"pattern": f"^[^=]{{{least},{most}}}={{0,2}}$"}]
    return words


def _signs(octets: int) -> int:
    return -(-octets * 4 // 3)


def _number(rules: Any) -> Keywords:
    bounds = {"gt": "exclusiveMinimum", "gte": "minimum", "lt": "exclusiveMaximum", "lte": "maximum"}
    given_bounds = [each for each in (rules.greater_than, rules.less_than) if each is not None]
    found = [{bounds[each.field]: each.value} for each in given_bounds]
    values = _values(rules, _itself)
    if _outside(rules):
        return {"anyOf": found, **values}
    return {name: value for bound in found for name, value in bound.items()} | values


def _float(rules: Any) -> Keywords:
    words = _number(rules)
    strings = ["NaN"] if rules.greater_than is None and rules.less_than is None else []
    strings += ["Infinity"] if rules.less_than is None or _outside(rules) else []
    strings += ["-Infinity"] if rules.greater_than is None or _outside(rules) else []
    return words | {"strings": [] if given(rules, "finite") else strings}


def _long(rules: Any) -> Keywords:
    """Bounds of a text of digits."""
    low, high = rules.greater_than, rules.less_than
    least = None if low is None else low.value + (low.field == "gt")
    most = None if high is None else high.value - (high.field == "lt")
    words = _values(rules, str)
    if _outside(rules):
        words["anyOf"] = [{"pattern": within(least, None)}, {"pattern": within(None, most)}]
    elif least is not None or most is not None:
        words["pattern"] = _range(least, most)
    return words


def _range(least: int | None, most: int | None) -> str:
    simple: dict[tuple[int | None, int | None], str] = {
        (1, None): "^[1-9][0-9]{0,18}$",
        (0, None): "^(?:0|[1-9][0-9]{0,18})$",
    }
    if least is not None and most is not None and least > most:
        return "^(?!)$"  # rules that nothing fulfils
    return simple.get((least, most)) or within(least, most)


def _outside(rules: Any) -> bool:
    """Whether the range is what lies outside of its bounds."""
    low, high = rules.greater_than, rules.less_than
    return low is not None and high is not None and low.value > high.value


def _enum(rules: Any, enum: DescEnum | None) -> Keywords:
    words: Keywords = {}
    if (const := given(rules, "const")) is not None and (names := _names([const], enum)):
        words["const"] = names[0]
    if allowed := _names(listed(rules, "in"), enum):
        words["enum"] = allowed
    if refused := _names(listed(rules, "not_in"), enum):
        words["not"] = {"enum": refused}
    return words


def _names(numbers: list[int], enum: DescEnum | None) -> list[str]:
    known = {value.number: value.name for value in reversed(enum.values)} if enum else {}
    return [known[number] for number in numbers if number in known]


def _repeated(rules: Any) -> Keywords:
    words: Keywords = {}
    _put(words, "minItems", given(rules, "min_items"))
    _put(words, "maxItems", given(rules, "max_items"))
    _put(words, "uniqueItems", given(rules, "unique") or None)
    return words


def _map(rules: Any) -> Keywords:
    words: Keywords = {}
    _put(words, "minProperties", given(rules, "min_pairs"))
    _put(words, "maxProperties", given(rules, "max_pairs"))
    return words


def _bool(rules: Any) -> Keywords:
    words: Keywords = {}
    _put(words, "const", given(rules, "const"))
    return words


def _any(rules: Any) -> Keywords:
    words: Keywords = {}
    if allowed := listed(rules, "in"):
        words["enum"] = allowed
    if refused := listed(rules, "not_in"):
        words["not"] = {"enum": refused}
    return {"properties": {"@type": words}} if words else {}


_KINDS: Final[dict[str, Callable[[Any], Keywords]]] = {
    "any": _any,
    "bool": _bool,
    "bytes": _bytes,
    "map": _map,
    "repeated": _repeated,
    "string": _string,
}


def _values(rules: Any, form: Callable[[Any], Any]) -> Keywords:
    words: Keywords = {}
    if (const := given(rules, "const")) is not None:
        words["const"] = form(const)
    if allowed := [form(value) for value in listed(rules, "in")]:
        words["enum"] = allowed
    refused = [form(value) for value in listed(rules, "not_in")]
    unwanted = given(rules, "not_contains") if "not_contains" in _fields(rules) else None
    if refused and unwanted is not None:
        words["not"] = {"anyOf": [{"enum": refused}, {"pattern": escaped(unwanted)}]}
    elif refused:
        words["not"] = {"enum": refused}
    elif unwanted is not None:
        words["not"] = {"pattern": escaped(unwanted)}
    return words


def _fields(rules: Any) -> set[str]:
    return {"not_contains"} if hasattr(rules, "not_contains") else set()


def _itself(value: Any) -> Any:
    return value


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _put(words: Keywords, name: str, value: Any) -> None:
    if value is not None:
        words[name] = value
