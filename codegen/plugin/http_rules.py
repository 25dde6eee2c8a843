"""HTTP rules: `google.api.http`, see google/api/http.proto."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescMessage,
    DescMethod,
    DescOneof,
    ScalarType,
)

from codegen.plugin import vocabulary
from codegen.plugin.ir import Binding, Position, QueryParameter, Variable
from codegen.plugin.scope import Scope, field_named, is_enum, message_of, scalar_of
from codegen.plugin.template import TemplateError, TemplateVariable, parse
from codegen.plugin.vocabulary import HttpRule

SCALAR_MESSAGES: Final = frozenset(
    f"google.protobuf.{name}"
    for name in (
        "Timestamp",
        "Duration",
        "FieldMask",
        "DoubleValue",
        "FloatValue",
        "Int64Value",
        "UInt64Value",
        "Int32Value",
        "UInt32Value",
        "BoolValue",
        "StringValue",
        "BytesValue",
    )
)
"""Well-known types that JSON writes as one scalar: they may stand in a path or in a query."""

_OPAQUE: Final = frozenset(
    {"google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue", "google.protobuf.Any"}
)
_ONE_VALUE: Final = SCALAR_MESSAGES | _OPAQUE
_RAW: Final = "google.api.HttpBody"
MAX_LISTED: Final = 1000
"""Most fields, messages among them, that are looked at for the query parameters of a binding."""
MAX_LEVELS: Final = 32
"""Deepest parameter name, `a.b.c`; what a gateway takes."""
_TOKEN: Final = re.compile(r"\*|[A-Za-z0-9!#$%&'*+\-.^_`|~]+")  # RFC 9110 section 5.6.2
_ADDITIONAL: Final = 11
_BODY: Final = 7
_RESPONSE_BODY: Final = 12


@dataclass(frozen=True, slots=True)
class _Rule:
    """One rule and where it stands."""

    scope: Scope
    method: DescMethod
    rule: HttpRule
    place: tuple[int, ...]
    """Within the options of the method, unless the rule itself knows better."""

    def mistake(self, sentence: str, *option: int) -> None:
        method = f"{self.method.parent.type_name}.{self.method.name}"
        rule = f"{self.rule.verb} {self.rule.template}".strip() if self.rule.pattern else "the HTTP rule"
        mistakes = self.scope.mistakes
        add = mistakes.add_beside if self.rule.marks else mistakes.add_at
        add(self.position(*option), f"{rule} of {method}: {sentence}")

    def position(self, *option: int) -> Position:
        """Of the rule, or of its field of that number."""
        if self.rule.marks:
            return self.rule.marks.get(option[0] if option else 0, self.rule.marks[0])
        return self.scope.mistakes.position(self.method, (*self.place, *option))


def bindings(scope: Scope, method: DescMethod, *, websocket: bool, foreign: bool) -> tuple[Binding, ...]:
    """The HTTP bindings of a method, the main rule first.

    Args:
        scope: of the run.
        method: of a service that is called.
        websocket: as `idiom.v1.http` says it.
        foreign: whether the schema knows nothing of this toolkit. Rules that would need `websocket` are
            left out then.
    """
    rule = scope.vocabulary.http_rule(method)
    if rule is None:
        return ()
    main = _Rule(scope, method, rule, (vocabulary.GOOGLE_HTTP,))
    rules = [main]
    for index, additional in enumerate(rule.additional):
        here = _Rule(scope, method, additional, (vocabulary.GOOGLE_HTTP, _ADDITIONAL, index))
        rules.append(here)
        if additional.additional:
            here.mistake("additional_bindings within additional_bindings are not allowed.", _ADDITIONAL)
    if method.method_kind == "bidi_streaming":
        if foreign and not websocket:
            return ()
        _check_socket(rules, websocket=websocket)
    return tuple(binding for each in rules if (binding := _binding(each)) is not None)


def _check_socket(rules: list[_Rule], *, websocket: bool) -> None:
    """A WebSocket begins with GET, and all that a client says comes in messages."""
    for rule in rules:
        if not websocket:
            rule.mistake(
                "a method that streams both ways is carried by HTTP only as a WebSocket: "
                "(idiom.v1.http).websocket."
            )
        elif rule.rule.verb != "GET" or rule.rule.response_body:
            rule.mistake("a WebSocket needs a plain GET rule.")


def _binding(here: _Rule) -> Binding | None:
    rule = here.rule
    if not rule.pattern:
        here.mistake("there is no path.")
        return None
    if not _TOKEN.fullmatch(rule.verb):
        here.mistake(f"'{rule.verb}' is not an HTTP method.", rule.pattern)
    try:
        template = parse(rule.template)
    except TemplateError as error:
        here.mistake(f"{error}.", rule.pattern)
        return None
    resolved = [_variable(here, variable) for variable in template.variables]
    variables = tuple(variable for variable in resolved if variable is not None)
    body_field = _body(here, variables)
    _check_oneofs(
        here, [*(variable.path for variable in variables), *([(body_field,)] if body_field else [])]
    )
    return Binding(
        verb=rule.verb,
        template=template,
        variables=variables,
        body=rule.body,
        body_field=body_field,
        response_body=rule.response_body,
        response_field=_response_body(here),
        query=_query(here, variables) if rule.body != "*" else (),
        position=partial(here.position, rule.pattern),
    )


def _variable(here: _Rule, variable: TemplateVariable) -> Variable | None:
    name = ".".join(variable.field_path)
    path = _walk(here, variable.field_path, name)
    if path is None:
        return None
    if not _fits_in_path(path[-1]):
        here.mistake(
            f"variable '{name}' is {_kind(path[-1])}; "
            "only scalars, enums and well-known scalar types fit in a path.",
            here.rule.pattern,
        )
        return None
    return Variable(path, variable.start, variable.end)


def _walk(here: _Rule, names: tuple[str, ...], whole: str) -> tuple[DescField, ...] | None:
    message: DescMessage | None = here.method.input
    path: list[DescField] = []
    for name in names:
        if message is None:
            here.mistake(f"variable '{whole}': '{path[-1].name}' is {_kind(path[-1])}.", here.rule.pattern)
            return None
        field = field_named(message, name)
        if field is None:
            here.mistake(
                f"variable '{whole}' names '{name}', which {message.name} does not have.", here.rule.pattern
            )
            return None
        path.append(field)
        message = message_of(field)
        if message is not None and message.type_name in _ONE_VALUE:
            message = None
    return tuple(path)


def _check_oneofs(here: _Rule, paths: list[tuple[DescField, ...]]) -> None:
    """Of a oneof a request has one member, so the rule may bind one only, or no request would be right."""
    members: dict[tuple[tuple[DescField, ...], DescOneof], DescField] = {}
    for path in paths:
        for depth, step in enumerate(path):
            if (oneof := _oneof(step)) is not None:
                first = members.setdefault((path[:depth], oneof), step)
                if first is not step:
                    here.mistake(
                        f"'{first.name}' and '{step.name}' are both bound, but of oneof {oneof.name} "
                        "only one member can be given.",
                        here.rule.pattern,
                    )


def _oneof(field: DescField) -> DescOneof | None:
    value = field.value
    return None if isinstance(value, DescFieldValueList | DescFieldValueMap) else value.oneof


def _fits_in_path(field: DescField) -> bool:
    message = message_of(field)
    if message is not None:
        return message.type_name in SCALAR_MESSAGES
    return scalar_of(field) is not None or is_enum(field)


def _kind(field: DescField) -> str:
    if isinstance(field.value, DescFieldValueMap):
        return "a map"
    if isinstance(field.value, DescFieldValueList):
        return "repeated"
    message = message_of(field)
    if message is None:
        return "no message"
    return "a message" + (", which JSON writes as one value" if message.type_name in _ONE_VALUE else "")


def _body(here: _Rule, variables: tuple[Variable, ...]) -> DescField | None:
    body = here.rule.body
    if not body:
        return None
    if here.rule.verb in {"GET", "HEAD"}:
        here.mistake(f"{here.rule.verb} has no body.", _BODY)
    if body == "*":
        return None
    field = _top_level(here, "body", body, here.method.input, _BODY)
    # A field within the body may be bound by the path: the name of what a PATCH changes (AIP-134).
    if field is not None and any(variable.path == (field,) for variable in variables):
        here.mistake(f"field '{body}' is bound by the path and by the body.", _BODY)
    return field


def _response_body(here: _Rule) -> DescField | None:
    if not here.rule.response_body:
        return None
    return _top_level(here, "response_body", here.rule.response_body, here.method.output, _RESPONSE_BODY)


def _top_level(here: _Rule, option: str, name: str, message: DescMessage, number: int) -> DescField | None:
    if "." in name:
        here.mistake(f"{option} '{name}' is nested; it names a field of {message.name} itself.", number)
        return None
    field = field_named(message, name)
    if field is None:
        here.mistake(f"{option} names '{name}', which {message.name} does not have.", number)
    return field


def _query(here: _Rule, variables: tuple[Variable, ...]) -> tuple[QueryParameter, ...]:
    bound = {variable.path for variable in variables}
    asked = [field for field in here.method.input.fields if field.name != here.rule.body]
    for field in asked:
        needed = _cannot_be_asked(here, field)
        if needed:
            here.mistake(f"field '{field.name}' of {here.method.input.name} is {needed} the query.")
    return tuple(QueryParameter(path) for path in _leaves(asked) if path not in bound)


def _cannot_be_asked(here: _Rule, field: DescField) -> str:
    """Why no query can do for a field that neither path nor body has; empty if one can, or need not."""
    if field.parent.type_name == _RAW:
        return ""  # its extensions are for bodies
    if _is_repeated_message(field):
        return "a repeated message, which cannot stand in"
    if isinstance(field.value, DescFieldValueMap) and here.scope.vocabulary.required(field):
        return "required, and a map, which cannot stand in"
    return ""


def _leaves(fields: Iterable[DescField]) -> list[tuple[DescField, ...]]:
    """Paths to all that a query can carry, as declared. Recursion ends where a type comes again.

    Between types that refer to each other there are more paths than anybody can list. So levels are listed
    from the top, each whole, while they have no more than MAX_LISTED fields together. A gateway takes
    parameters from below them too.
    """
    found: list[tuple[DescField, ...]] = []
    level: list[tuple[DescField, ...]] = [(field,) for field in fields]
    left = MAX_LISTED - len(level)
    while level:
        found += filter(_is_leaf, level)
        below = ((*path, field) for path in level for field in _within(path))
        level = list(islice(below, max(0, left) + 1))
        left -= len(level)
        if left < 0:
            break
    return sorted(found, key=lambda path: [step.parent.fields.index(step) for step in path])


def _is_leaf(path: tuple[DescField, ...]) -> bool:
    value = path[-1].value
    if isinstance(value, DescFieldValueList):
        return isinstance(value.element, ScalarType | DescEnum) or value.element.type_name in SCALAR_MESSAGES
    message = message_of(path[-1])
    single = message is None or message.type_name in SCALAR_MESSAGES
    return single and not isinstance(value, DescFieldValueMap)


def _within(path: tuple[DescField, ...]) -> Iterable[DescField]:
    """Fields of a message that a query reaches into."""
    message = message_of(path[-1])
    if message is None or message.type_name in _ONE_VALUE or len(path) == MAX_LEVELS:
        return ()
    return () if message in {step.parent for step in path} else message.fields


def _is_repeated_message(field: DescField) -> bool:
    value = field.value
    return (
        isinstance(value, DescFieldValueList)
        and isinstance(value.element, DescMessage)
        and value.element.type_name not in SCALAR_MESSAGES
    )
