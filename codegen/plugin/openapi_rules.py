"""What `buf.validate` and `google.api.field_behavior` say of fields, as JSON Schema and as text.

What JSON Schema cannot say becomes a sentence: CEL, rules over durations and times, and numbers of bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from protobuf import DescEnum, DescExtension, DescField, DescMessage, DescOneof
from protobuf.wkt.google.protobuf.descriptor_pb import FeatureSet

from codegen.plugin.es_names import field_type
from codegen.plugin.ir import Schema
from codegen.plugin.openapi_keywords import NUMBERS, Keywords, examples, given, keywords, listed
from codegen.plugin.openapi_patterns import ecma, matches

_IGNORE_ALWAYS: Final = 3
_IGNORE_IF_ZERO_VALUE: Final = 1
_BOUNDS: Final = {"gt": "more than", "gte": "at least", "lt": "less than", "lte": "at most"}
_ALLOWS_EMPTY: Final = frozenset({"uri-reference"})
_NON_EMPTY: Final[dict[type, Keywords]] = {
    str: {"minLength": 1},
    list: {"minItems": 1},
    dict: {"minProperties": 1},
}

REQUIRED: Final = 2
OUTPUT_ONLY: Final = 3
INPUT_ONLY: Final = 4
IMMUTABLE: Final = 5
"""Values of `google.api.FieldBehavior`."""


class Rules:
    """The rules of a run. Without `buf/validate/validate.proto` in it there are none."""

    def __init__(self, schema: Schema) -> None:
        extensions = {ext.type_name: ext for file in schema.dependencies for ext in file.extensions}
        self._field = extensions.get("buf.validate.field")
        self._oneof = extensions.get("buf.validate.oneof")
        self._message = extensions.get("buf.validate.message")
        self._behavior = extensions.get("google.api.field_behavior")

    def apply(self, field: DescField, node: Keywords) -> Keywords:
        """The schema of a field's value with what the rules say about it."""
        rules = self._rules(field)
        words = _of(rules, field)
        zero = zero_of(field)
        if rules is not None and rules.ignore == _IGNORE_IF_ZERO_VALUE and refuses(words, zero):
            return {"anyOf": [merged(node, words), {"const": zero}]}
        if rules is not None and rules.required and _implicit(field) and not refuses(words, zero):
            words |= _non_zero(zero)
        return merged(node, words)

    def apply_to_items(self, field: DescField, node: Keywords) -> Keywords:
        """The same for each value of a repeated field or map."""
        name = {"repeated": "items", "map": "values"}
        return merged(node, _of(self._inner(field, name), field))

    def key_words(self, field: DescField) -> Keywords:
        """What the rules of a map say about its keys, which are text in JSON."""
        kind, rules = _typed(self._inner(field, {"map": "keys"}))
        if rules is None or kind == "bool":
            return {}
        return keywords("int64" if kind in NUMBERS else kind, rules)

    def required(self, field: DescField) -> bool:
        """Whether a request without the field is refused, or `REQUIRED` says so."""
        if int(field.presence) == FeatureSet.FieldPresence.LEGACY_REQUIRED or REQUIRED in self.behavior(
            field
        ):
            return True
        rules = self._rules(field)
        if rules is None:
            return False
        return rules.required or (
            _implicit(field)
            and rules.ignore != _IGNORE_IF_ZERO_VALUE
            and refuses(_of(rules, field), zero_of(field))
        )

    def oneof_required(self, oneof: DescOneof) -> bool:
        """Whether a request without any member is refused."""
        rules = _option(oneof, self._oneof)
        return rules is not None and rules.required

    def virtual_oneofs(self, message: DescMessage) -> Iterator[tuple[list[DescField], bool]]:
        """Fields of which at most one may be set, and whether one must be."""
        rules = _option(message, self._message)
        for each in rules.oneof if rules is not None else ():
            fields = [field for field in message.fields if field.name in each.fields]
            # An absent zero cannot be told from a present one, so it cannot be counted.
            if not any(map(_implicit, fields)):
                yield fields, bool(each.required)

    def behavior(self, field: DescField) -> set[int]:
        """Values of `google.api.field_behavior`."""
        return {int(value) for value in _option(field, self._behavior) or ()}

    def examples(self, field: DescField) -> list[Any]:
        """Examples that the rules of a field give."""
        kind, rules = _typed(self._rules(field))
        return [] if rules is None else examples(kind, rules, _enum_of(field))

    def remarks(self, field: DescField) -> str:
        """Sentences about what keywords cannot say."""
        rules = self._rules(field)
        return "" if rules is None else " ".join([*_cel(rules), *_remarks(*_typed(rules))])

    def message_remarks(self, message: DescMessage) -> str:
        """Sentences about the rules of a whole message."""
        rules = _option(message, self._message)
        return "" if rules is None else " ".join(_cel(rules))

    def _rules(self, field: DescField) -> Any:
        rules = _option(field, self._field)
        return None if rules is not None and rules.ignore == _IGNORE_ALWAYS else rules

    def _inner(self, field: DescField, names: dict[str, str]) -> Any:
        kind, rules = _typed(self._rules(field))
        return getattr(rules, names[kind], None) if kind in names else None


def merged(node: Keywords, words: Keywords) -> Keywords:
    """A schema and keywords about the same value. Floating point is a number or a text, each with its own."""
    strings = words.pop("strings", None)
    if "anyOf" not in node or strings is None:
        return _both(node, words)
    common = {name: words.pop(name) for name in ("const", "enum", "not") if name in words}
    branches = [{**node["anyOf"][0], **words}]
    if strings:
        branches.append({"type": "string", "enum": strings})
    if len(branches) == 1:
        return {name: value for name, value in node.items() if name != "anyOf"} | branches[0] | common
    return node | {"anyOf": branches} | common


def _both(node: Keywords, words: Keywords) -> Keywords:
    if "properties" in node and "properties" in words:
        return node | {"allOf": [words]}
    # A rule's bound takes the place of the type's.
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in words:
            node = {name: value for name, value in node.items() if name != bound}
    return node | words


def refuses(words: Keywords, value: Any) -> bool:
    """Whether keywords refuse a zero value, as far as can be told here."""
    return any(refused(words[word], value) for word, refused in _REFUSALS.items() if word in words) or (
        "anyOf" in words and all(refuses(each, value) for each in words["anyOf"])
    )


def zero_of(field: DescField) -> Any:
    """What an absent field without presence stands for, as JSON has it."""
    kind = type(field.value).__name__
    if kind == "DescFieldValueList":
        return []
    if kind == "DescFieldValueMap":
        return {}
    if (enum := _enum_of(field)) is not None:
        return next((value.name for value in enum.values if value.number == 0), "")
    scalar = getattr(getattr(field.value, "scalar", None), "name", "")
    if scalar in {"STRING", "BYTES"}:
        return ""
    if scalar == "BOOL":
        return False
    return "0" if scalar.endswith("64") else 0


_REFUSALS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "const": lambda const, zero: zero != const,
    "enum": lambda values, zero: zero not in values,
    "exclusiveMaximum": lambda bound, zero: not isinstance(zero, str) and zero >= bound,
    "exclusiveMinimum": lambda bound, zero: not isinstance(zero, str) and zero <= bound,
    "format": lambda name, zero: zero == "" and name not in _ALLOWS_EMPTY,
    "maximum": lambda bound, zero: not isinstance(zero, str) and zero > bound,
    "minimum": lambda bound, zero: not isinstance(zero, str) and zero < bound,
    "minItems": lambda bound, zero: isinstance(zero, list) and bound > 0,
    "minLength": lambda bound, zero: isinstance(zero, str) and len(zero) < bound,
    "minProperties": lambda bound, zero: isinstance(zero, dict) and bound > 0,
    "not": lambda words, zero: zero in words.get("enum", ()),
    "pattern": lambda pattern, zero: isinstance(zero, str) and matches(pattern, zero) is False,
    "allOf": lambda parts, zero: any(refuses(part, zero) for part in parts),
}


def _non_zero(zero: Any) -> Keywords:
    if isinstance(zero, bool):
        return {"const": True}
    return _NON_EMPTY[type(zero)] if not zero and type(zero) in _NON_EMPTY else {"not": {"enum": [zero]}}


def _of(rules: Any, field: DescField) -> Keywords:
    kind, typed = _typed(rules)
    return {} if typed is None else keywords(kind, typed, _enum_of(field))


def _option(desc: DescField | DescMessage | DescOneof, extension: DescExtension | None) -> Any:
    options: Any = desc.proto.options
    if extension is None or options is None or extension.type not in options:
        return None
    return options[extension.type]


def _typed(rules: Any) -> tuple[str, Any]:
    kind = None if rules is None else rules.type
    return ("", None) if kind is None else (kind.field, kind.value)


def _enum_of(field: DescField) -> DescEnum | None:
    found = field_type(field)
    return found if isinstance(found, DescEnum) else None


def _implicit(field: DescField) -> bool:
    return int(field.presence) == FeatureSet.FieldPresence.IMPLICIT


def _cel(rules: Any) -> Iterator[str]:
    for rule in rules.cel:
        text = rule.message.removesuffix(".")
        yield f"{text[:1].upper()}{text[1:]}." if text else f"Rule: `{rule.expression}`."
    for expression in getattr(rules, "cel_expression", ()):
        yield f"Rule: `{expression}`."


def _remarks(kind: str, rules: Any) -> Iterator[str]:
    if kind == "string":
        yield from _text_remarks(rules)
    elif kind in {"duration", "timestamp"}:
        yield from _time_remarks(kind, rules)
    elif kind == "field_mask" and (allowed := listed(rules, "in")):
        yield f"It may name {', '.join(f'`{path}`' for path in allowed)}."


def _text_remarks(rules: Any) -> Iterator[str]:
    for name, words in (("len_bytes", "exactly"), ("min_bytes", "at least"), ("max_bytes", "at most")):
        if (number := given(rules, name)) is not None:
            yield f"In UTF-8 {words} {number} bytes."
    if (pattern := given(rules, "pattern")) is not None and ecma(pattern) is None:
        yield f"It matches `{pattern}` (RE2)."


def _time_remarks(kind: str, rules: Any) -> Iterator[str]:
    for bound in (rules.greater_than, rules.less_than):
        if bound is not None and bound.field in _BOUNDS:
            yield f"It is {_BOUNDS[bound.field]} {_time(bound.value)}."
        elif bound is not None and bound.value:
            yield f"It lies in the {'future' if bound.field == 'gt_now' else 'past'}."
    if kind == "timestamp" and (span := given(rules, "within")) is not None:
        yield f"It lies within {_time(span)} of now."


def _time(value: Any) -> str:
    return f"`{value.to_json().strip(chr(34))}`"
