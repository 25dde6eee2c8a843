"""Examples of schemas: made of types and rules, so they are what the schema allows."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from codegen.plugin.openapi_patterns import matches, sample
from codegen.plugin.openapi_scalars import Node

NONE: Final = object()
"""No example was found."""

_DEPTH: Final = 4
_MOST: Final = 200
"""Most values of one example, but for required ones."""
_FORMATS: Final = {
    "date-time": "2026-01-31T12:00:00Z",
    "email": "person@example.com",
    "hostname": "example.com",
    "int64": "1",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uint64": "1",
    "uri": "https://example.com/",
    "uri-reference": "/example",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
}
_TEXTS: Final = ("example", "EXAMPLE", "shelves/1", "en-US", "1")
_BYTES: Final = 65
"""Lengths tried for an example of bytes."""
_BASE64: Final = "ZXhhbXBsZQ=="


class Examples:
    """Examples of the schemas of one document.

    Args:
        components: its schemas by name.
        skipped: `readOnly` for examples of requests, `writeOnly` for those of answers.
    """

    def __init__(self, components: Mapping[str, Node], skipped: str = "") -> None:
        self._components = components
        self._skipped = skipped
        self._within: list[str] = []
        self._left = 0

    def of(self, node: Node) -> Any:
        """An example; `NONE` if none was found."""
        self._left = _MOST
        return self._of(node, 0)

    def _of(self, node: Node, depth: int) -> Any:
        self._left -= 1
        if "$ref" in node:
            return self._referred(node, depth)
        if "const" in node:
            return node["const"]
        for given in ("examples", "enum"):
            if node.get(given) and (found := self._allowed(node, node[given], given)) is not NONE:
                return found
        if "type" not in node and "anyOf" in node:
            rest = {name: value for name, value in node.items() if name not in ("anyOf", "description")}
            return self._of(node["anyOf"][0] | rest, depth)
        return self._of_type(node, depth)

    def _referred(self, node: Node, depth: int) -> Any:
        name = node["$ref"].rpartition("/")[2]
        if name in self._within:
            return NONE  # a type within itself
        rest = {key: value for key, value in node.items() if key != "$ref"}
        self._within.append(name)
        try:
            return self._of(self._components.get(name, {}) | rest, depth)
        finally:
            self._within.pop()

    def _allowed(self, node: Node, values: list[Any], given: str) -> Any:
        refused = node.get("not", {}).get("enum", ())
        allowed = [value for value in values if value not in refused]
        if given == "enum" and len(allowed) > 1 and str(allowed[0]).endswith("_UNSPECIFIED"):
            return allowed[1]
        return allowed[0] if allowed else NONE

    def _of_type(self, node: Node, depth: int) -> Any:
        kind = node.get("type")
        kind = str(kind[0] if isinstance(kind, list) else kind)
        if kind in {"array", "object"}:
            return (self._array if kind == "array" else self._object)(node, depth)
        if kind in _PLAIN:
            return _PLAIN[kind](node)
        return NONE if node.keys() - {"description"} else "example"

    def _array(self, node: Node, depth: int) -> Any:
        least = node.get("minItems", 0)
        if self._spent(depth) or node.get("maxItems") == 0:
            return [] if not least else NONE
        item = self._of(node.get("items", {}), depth + 1)
        if item is NONE or (node.get("uniqueItems") and least > 1):
            return [] if not least else NONE
        return [item] * max(1, least)

    def _object(self, node: Node, depth: int) -> Any:
        needed = set(node.get("required", ()))
        wanted, unwanted = _chosen(node)
        needed |= wanted
        made: dict[str, Any] = {}
        for name, schema in node.get("properties", {}).items():
            if name in unwanted or schema.get(self._skipped) or (self._spent(depth) and name not in needed):
                continue
            value = self._of(schema, depth + 1)
            if value is not NONE:
                made[name] = value
            elif name in needed:
                return NONE
        return made if "properties" in node else self._map(node, depth)

    def _spent(self, depth: int) -> bool:
        return depth >= _DEPTH or self._left <= 0

    def _map(self, node: Node, depth: int) -> Any:
        values = node.get("additionalProperties")
        if not isinstance(values, dict) or self._spent(depth):
            return {} if not node.get("minProperties") else NONE
        key = self._of({"type": "string", **node.get("propertyNames", {})}, depth + 1)
        value = self._of(values, depth + 1)
        if NONE in (key, value) or node.get("minProperties", 0) > 1:
            return {} if not node.get("minProperties") else NONE
        return {key: value} if node.get("maxProperties") != 0 else {}


def _chosen(node: Node) -> tuple[set[str], set[str]]:
    """Of each choice of an object: required members of the first, and those of the others."""
    wanted: set[str] = set()
    unwanted: set[str] = set()
    for each in [node, *node.get("allOf", ())]:
        first, *others = each.get("oneOf") or [{}]
        wanted |= set(first.get("required", ())) if "not" not in others[-1:] else set()
        unwanted |= {name for other in others for name in other.get("required", ())}
    return wanted, unwanted


def _string(node: Node) -> Any:
    shortest, longest = node.get("minLength", 0), node.get("maxLength")
    patterns = [each["pattern"] for each in [node, *node.get("allOf", ())] if "pattern" in each]
    for text in _candidates(node, patterns, shortest, longest):
        fits = len(text) >= shortest and (longest is None or len(text) <= longest)
        if fits and all(matches(pattern, text) for pattern in patterns) and not _refused(node, text):
            return text
    return NONE


def _candidates(node: Node, patterns: list[str], shortest: int, longest: int | None) -> list[str]:
    if node.get("format") in _FORMATS:
        found = [_FORMATS[node["format"]]]
    elif "contentEncoding" in node:
        found = [_BASE64, *(base64.b64encode(bytes(length)).decode() for length in range(_BYTES))]
    else:
        found = [*_TEXTS, "example " * (shortest // 8 + 1)]
        found += [text[: max(shortest, longest or 0)] for text in found if longest is not None]
    for pattern in patterns:
        if (text := sample(pattern, shortest, longest)) is not None:
            found.append(text)
    return found


def _refused(node: Node, text: str) -> bool:
    refused = node.get("not", {})
    return any(_is_in(part, text) for part in refused.get("anyOf", [refused]))


def _is_in(part: Node, text: str) -> bool:
    return text in part.get("enum", ()) or ("pattern" in part and bool(matches(part["pattern"], text)))


def _number(node: Node) -> Any:
    if "anyOf" in node:
        node = node | node["anyOf"][0]
    step = 1 if "integer" in node["type"] else 0.5
    low = node.get("minimum", -math.inf)
    high = node.get("maximum", math.inf)
    if "exclusiveMinimum" in node:
        low = max(low, node["exclusiveMinimum"] + step)
    if "exclusiveMaximum" in node:
        high = min(high, node["exclusiveMaximum"] - step)
    refused = node.get("not", {}).get("enum", ())
    for value in (1 if step == 1 else 1.5, 0, low, high, low + step):
        if low <= value <= high and value not in refused and not math.isinf(value):
            return value
    return NONE


_PLAIN: Final[Mapping[str, Callable[[Node], Any]]] = {
    "boolean": lambda _: True,
    "integer": _number,
    "null": lambda _: None,
    "number": _number,
    "string": _string,
}
