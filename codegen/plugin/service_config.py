"""HTTP rules from outside the schema: `http.rules` of a `google.api.Service` in YAML.

Parameter: `service_config=<path>`, relative to the working directory. See google/api/service.proto and
google/api/http.proto; grpc-gateway reads the same form, with or without `type`. A rule goes before what the
method itself says, and the last one that selects a method wins. A selector is a full name, or several with
commas between; one that ends in `.*`, or is `*`, means everything below (google/api/documentation.proto).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from codegen.plugin.ir import Position
from codegen.plugin.parameters import ParameterError, selects
from codegen.plugin.vocabulary import HttpRule

TYPE: Final = "google.api.Service"

_BESIDE: Final = frozenset(
    {
        *("name", "title", "producer_project_id", "id", "apis", "types", "enums", "documentation", "backend"),
        *("quota", "authentication", "context", "usage", "endpoints", "control", "logs", "metrics"),
        *("monitored_resources", "billing", "logging", "monitoring", "system_parameters", "source_info"),
        *("publishing", "config_version"),
    }
)
"""Fields of `google.api.Service` that say nothing of HTTP."""

_PATTERNS: Final = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 6, "custom": 8}
_TEXTS: Final = {"selector": 1, "body": 7, "response_body": 12}
_ADDITIONAL: Final = 11
_STRING: Final = "tag:yaml.org,2002:str"
_NULL: Final = "tag:yaml.org,2002:null"

Report = Callable[[Position, str], None]
"""Takes a mistake."""


@dataclass(frozen=True, slots=True)
class Selected:
    """One rule and what it selects."""

    patterns: tuple[str, ...]
    rule: HttpRule


def configured(path: str, methods: Iterable[str], report: Report) -> dict[str, HttpRule]:
    """The rules of a file by full name of the method.

    Args:
        path: of the file.
        methods: full names of those that there are.
        report: takes what is wrong with the file.

    Raises:
        ParameterError: the file cannot be read.
    """
    known = list(methods)
    rules: dict[str, HttpRule] = {}
    for selected in _read(path, report):
        for pattern in selected.patterns:
            found = [name for name in known if selects(pattern, name)]
            if not found:
                position = selected.rule.marks[_TEXTS["selector"]]
                report(position, f"selector '{pattern}': there is no such method.")
            rules |= dict.fromkeys(found, selected.rule)
    return rules


def _read(path: str, report: Report) -> list[Selected]:
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"service_config={path}: {error}.") from None
    reader = _Reader(path, report)
    try:
        document = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        report((path, mark.line + 1, mark.column + 1) if mark else (path, 0, 0), f"{error.problem}.")
        return []
    except RecursionError:
        report((path, 0, 0), "it is nested too deeply.")
        return []
    except yaml.YAMLError as error:  # a character that YAML does not have
        report((path, 0, 0), f"{error}.".replace("\n", " "))
        return []
    return list(reader.document(document)) if document is not None else []


class _Reader:
    """Walks the nodes of one file, which know where they stand."""

    def __init__(self, path: str, report: Report) -> None:
        self._path = path
        self._report = report
        self._mistakes = 0

    def document(self, node: yaml.Node) -> Iterator[Selected]:
        fields = self._fields(node, TYPE, {"type", "http", *_BESIDE})
        kind = fields.get("type")
        if kind is not None and self._text(kind, "type") not in {TYPE, ""}:
            self._mistake(kind, f"type is to be {TYPE}.")
        http = self._fields(fields.get("http"), "http", {"rules", "fully_decode_reserved_expansion"})
        expansion = http.get("fully_decode_reserved_expansion")
        if expansion is not None and getattr(expansion, "value", "") != "false":
            self._mistake(expansion, "fully_decode_reserved_expansion can only be false: %2F always stays.")
        for rule in self._items(http.get("rules"), "rules"):
            yield from self._selected(rule)

    def _selected(self, node: yaml.Node) -> Iterator[Selected]:
        """The rule, unless something is wrong with it: one mistake is not to be followed by others."""
        before = self._mistakes
        fields = self._fields(node, "a rule", {*_PATTERNS, *_TEXTS, "additional_bindings"})
        if "selector" in fields:
            selected = Selected(self._patterns(fields["selector"]), self._rule(node, fields))
            if self._mistakes == before:
                yield selected
        elif self._mistakes == before:
            self._mistake(node, "a rule without selector.")

    def _patterns(self, node: yaml.Node) -> tuple[str, ...]:
        patterns = tuple(part.strip() for part in self._text(node, "selector").split(","))
        for pattern in patterns:
            plain = "" if pattern == "*" else pattern.removesuffix(".*")
            if not pattern or "*" in plain:
                self._mistake(node, f"selector '{pattern}': * is everything, alone or after a last dot.")
        return patterns

    def _rule(self, node: yaml.Node, fields: Mapping[str, yaml.Node]) -> HttpRule:
        numbers = _PATTERNS | _TEXTS | {"additional_bindings": _ADDITIONAL}
        marks = {numbers[name]: self._position(field) for name, field in fields.items()}
        verb, template, pattern = self._pattern(fields)
        texts = {name: self._text(fields[name], name) for name in _TEXTS if name in fields}
        return HttpRule(
            verb=verb,
            template=template,
            pattern=pattern,
            body=texts.get("body", ""),
            response_body=texts.get("response_body", ""),
            additional=tuple(self._additional(fields.get("additional_bindings"))),
            marks={0: self._position(node), **marks},
        )

    def _additional(self, node: yaml.Node | None) -> Iterator[HttpRule]:
        for item in self._items(node, "additional_bindings"):
            fields = self._fields(item, "an additional binding", {*_PATTERNS, *_TEXTS, "additional_bindings"})
            if "additional_bindings" in fields:
                nested = fields.pop("additional_bindings")
                self._mistake(nested, "additional_bindings within additional_bindings are not allowed.")
            if "selector" in fields:
                self._mistake(fields.pop("selector"), "an additional binding has the selector of its rule.")
            yield self._rule(item, fields)

    def _pattern(self, fields: Mapping[str, yaml.Node]) -> tuple[str, str, int]:
        """Verb, template, and number of the field that has them."""
        found = [name for name in _PATTERNS if name in fields]
        if not found:
            return "", "", 0
        for name in found[1:]:
            self._mistake(fields[name], f"a rule has one pattern; this one has {found[0]} already.")
        name = found[0]
        if name != "custom":
            return name.upper(), self._text(fields[name], name), _PATTERNS[name]
        custom = self._fields(fields[name], name, {"kind", "path"})
        kind, path = (self._text(custom[key], key) if key in custom else "" for key in ("kind", "path"))
        return kind, path, _PATTERNS[name]

    def _fields(self, node: yaml.Node | None, what: str, allowed: set[str]) -> dict[str, yaml.Node]:
        """Values of a mapping by proto name; those without a value are left out."""
        if node is None or node.tag == _NULL:
            return {}
        if not isinstance(node, yaml.MappingNode):
            self._mistake(node, f"{what} is to be a mapping.")
            return {}
        fields: dict[str, yaml.Node] = {}
        seen: set[str] = set()
        for key, value in node.value:
            said = str(key.value) if isinstance(key, yaml.ScalarNode) else "…"
            name = _proto_name(said)
            if name not in allowed:
                self._mistake(key, f"{what} has no field '{said}'.")
            elif name in seen:
                self._mistake(key, f"'{name}' is there twice.")
            elif value.tag != _NULL:
                fields[name] = value
            seen.add(name)
        return fields

    def _items(self, node: yaml.Node | None, what: str) -> list[yaml.Node]:
        if node is None or node.tag == _NULL:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self._mistake(node, f"{what} is to be a list.")
            return []
        return list(node.value)

    def _text(self, node: yaml.Node, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode) or node.tag != _STRING:
            self._mistake(node, f"{what} is to be text.")
            return ""
        return str(node.value)

    def _position(self, node: yaml.Node) -> Position:
        return self._path, node.start_mark.line + 1, node.start_mark.column + 1

    def _mistake(self, node: yaml.Node, sentence: str) -> None:
        self._mistakes += 1
        self._report(self._position(node), sentence)


def _proto_name(key: str) -> str:
    """`additionalBindings` → `additional_bindings`: both are JSON names of a field."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)
