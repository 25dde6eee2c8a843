"""Rules of `buf.validate` as keywords of JSON Schema.

What JSON Schema cannot say is left to the server: CEL, rules over durations, and most over int64, which is a
string in JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from protobuf import DescEnum, DescExtension, DescField, DescOneof
from protobuf.wkt.google.protobuf.descriptor_pb import FeatureSet

from codegen.plugin.es_names import field_type
from codegen.plugin.ir import Schema

Keywords = dict[str, Any]

_STRING_FORMATS: Final = {
    "email": "email",
    "hostname": "hostname",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "uri": "uri",
    "uri_ref": "uri-reference",
    "uuid": "uuid",
}
_IGNORE_ALWAYS: Final = 3
_IGNORE_IF_ZERO_VALUE: Final = 1
_LONG_KINDS: Final = frozenset({"int64", "uint64", "sint64", "fixed64", "sfixed64"})
_SHORT_KINDS: Final = frozenset({"int32", "uint32", "sint32", "fixed32", "sfixed32", "float", "double"})


class Rules:
    """The rules of a run. Without `buf/validate/validate.proto` in it there are none."""

    def __init__(self, schema: Schema) -> None:
        extensions = {ext.type_name: ext for file in schema.dependencies for ext in file.extensions}
        self._field = extensions.get("buf.validate.field")
        self._oneof = extensions.get("buf.validate.oneof")

    def keywords(self, field: DescField) -> Keywords:
        """What the rules of a field say about its value."""
        rules = self._rules(field)
        return {} if rules is None else _keywords(rules, field)

    def item_keywords(self, field: DescField) -> Keywords:
        """What the rules of a repeated field or map say about each of its values."""
        kind, rules = _typed(self._rules(field))
        name = {"repeated": "items", "map": "values"}.get(kind, "")
        inner = getattr(rules, name, None) if name else None
        return {} if inner is None else _keywords(inner, field)

    def required(self, field: DescField) -> bool:
        """Whether a request without the field is refused."""
        rules = self._rules(field)
        if rules is None:
            return False
        return rules.required or (
            int(field.presence) == FeatureSet.FieldPresence.IMPLICIT
            and rules.ignore != _IGNORE_IF_ZERO_VALUE
            and _refuses_zero(*_typed(rules))
        )

    def oneof_required(self, oneof: DescOneof) -> bool:
        """Whether a request without any member is refused."""
        rules = _option(oneof, self._oneof)
        return rules is not None and rules.required

    def _rules(self, field: DescField) -> Any:
        rules = _option(field, self._field)
        return None if rules is not None and rules.ignore == _IGNORE_ALWAYS else rules


def _option(desc: DescField | DescOneof, extension: DescExtension | None) -> Any:
    options: Any = desc.proto.options
    if extension is None or options is None or extension.type not in options:
        return None
    return options[extension.type]


def _typed(rules: Any) -> tuple[str, Any]:
    kind = None if rules is None else rules.type
    return ("", None) if kind is None else (kind.field, kind.value)


def _keywords(rules: Any, field: DescField) -> Keywords:
    kind, typed = _typed(rules)
    if kind == "enum":
        return _enum(typed, field)
    if kind in _LONG_KINDS:
        return _long(typed)
    translate = _number if kind in _SHORT_KINDS else _KINDS.get(kind)
    return {} if translate is None else translate(typed)


def _string(rules: Any) -> Keywords:
    words: Keywords = {}
    length = _given(rules, "len")
    _put(words, "minLength", length if length is not None else _given(rules, "min_len"))
    # A string of n bytes has at most n characters.
    limits = [limit for name in ("len", "max_len", "max_bytes") if (limit := _given(rules, name)) is not None]
    _put(words, "maxLength", min(limits, default=None))
    _put(words, "pattern", _given(rules, "pattern") or _affixes(rules))
    known = rules.well_known
    _put(words, "format", _STRING_FORMATS.get(known.field) if known is not None else None)
    return words | _values(rules)


def _affixes(rules: Any) -> str | None:
    prefix, suffix = _given(rules, "prefix"), _given(rules, "suffix")
    if prefix is None and suffix is None:
        return None
    return f"^{re.escape(prefix or '')}.*{re.escape(suffix or '')}$"


def _number(rules: Any) -> Keywords:
    words: Keywords = {}
    bounds = {"gt": "exclusiveMinimum", "gte": "minimum", "lt": "exclusiveMaximum", "lte": "maximum"}
    low, high = rules.greater_than, rules.less_than
    if low is not None and high is not None and low.value > high.value:
        return _values(rules)  # the range is what lies outside
    for bound in filter(None, (low, high)):
        words[bounds[bound.field]] = bound.value
    return words | _values(rules)


def _long(rules: Any) -> Keywords:
    """Bounds of a string of digits, where a pattern can say them."""
    low = rules.greater_than
    patterns = {("gt", 0): "^[1-9][0-9]*$", ("gte", 1): "^[1-9][0-9]*$", ("gte", 0): "^[0-9]+$"}
    words: Keywords = {}
    if low is not None and rules.less_than is None:
        _put(words, "pattern", patterns.get((low.field, low.value)))
    return words | {name: _texts(value) for name, value in _values(rules).items()}


def _texts(value: Any) -> Any:
    return [str(item) for item in value] if isinstance(value, list) else str(value)


def _enum(rules: Any, field: DescField) -> Keywords:
    enum = field_type(field)
    names = {value.number: value.name for value in enum.values} if isinstance(enum, DescEnum) else {}
    words = _values(rules)
    if "const" in words:
        words["const"] = names.get(words["const"], words["const"])
    if "enum" in words:
        words["enum"] = [names[number] for number in words["enum"] if number in names]
    if rules.not_in:
        words["not"] = {"enum": [names[number] for number in rules.not_in if number in names]}
    return words


def _repeated(rules: Any) -> Keywords:
    words: Keywords = {}
    _put(words, "minItems", _given(rules, "min_items"))
    _put(words, "maxItems", _given(rules, "max_items"))
    _put(words, "uniqueItems", _given(rules, "unique") or None)
    return words


def _map(rules: Any) -> Keywords:
    words: Keywords = {}
    _put(words, "minProperties", _given(rules, "min_pairs"))
    _put(words, "maxProperties", _given(rules, "max_pairs"))
    return words


def _bool(rules: Any) -> Keywords:
    words: Keywords = {}
    _put(words, "const", _given(rules, "const"))
    return words


_KINDS: Final[dict[str, Callable[[Any], Keywords]]] = {
    "string": _string,
    "bool": _bool,
    "repeated": _repeated,
    "map": _map,
}


def _values(rules: Any) -> Keywords:
    words: Keywords = {}
    _put(words, "const", _given(rules, "const"))
    allowed = list(getattr(rules, "in_", None) or getattr(rules, "in", None) or ())
    _put(words, "enum", allowed or None)
    return words


def _given(rules: Any, name: str) -> Any:
    return getattr(rules, name) if rules.has_field(name) else None


def _put(words: Keywords, name: str, value: Any) -> None:
    if value is not None:
        words[name] = value


def _refuses_zero(kind: str, rules: Any) -> bool:
    """Whether the zero value, which is what an absent field stands for, breaks the rules."""
    if rules is None:
        return False
    words = _string(rules) if kind == "string" else _KINDS.get(kind, lambda _: {})(rules)
    if any(words.get(name) for name in ("minLength", "minItems", "minProperties")):
        return True
    if kind == "string":
        pattern, const = words.get("pattern"), words.get("const")
        return bool(const) or "format" in words or (pattern is not None and not _matches_empty(pattern))
    if kind == "bool":
        return words.get("const") is True
    if kind == "enum":
        return 0 in rules.not_in or bool(_given(rules, "const"))
    return (kind in _SHORT_KINDS or kind in _LONG_KINDS) and _above_zero(rules)


def _above_zero(rules: Any) -> bool:
    low, high = rules.greater_than, rules.less_than
    if low is None or (high is not None and low.value > high.value):
        return bool(_given(rules, "const"))
    return bool(low.value > 0 or (low.field == "gt" and low.value == 0))


def _matches_empty(pattern: str) -> bool:
    try:
        return re.search(pattern, "") is not None
    except re.error:
        return True
