"""One HTTP binding, ready to run: requests in, responses out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from protobuf import DescField, DescFieldValueMessage, Message, Registry

from codegen.runtime.codec import JsonCodec, MessageJson
from codegen.runtime.json_diagnosis import invalid, malformed
from codegen.runtime.json_shape import JsonValue, element_of
from codegen.runtime.method import Method
from codegen.runtime.transcoding.field_mask import (
    bounded,
    fill_mask,
    mask_of,
    paths_in_json,
    paths_in_message,
)
from codegen.runtime.transcoding.http_body import fill, is_http_body
from codegen.runtime.transcoding.matcher import captured
from codegen.runtime.transcoding.negotiation import JSON
from codegen.runtime.transcoding.parameters import Parameter, Parameters, dotted, field_path, parameter
from codegen.runtime.transcoding.response_field import Answer
from codegen.runtime.transcoding.route import Route, Variable
from codegen.runtime.transcoding.settings import HttpSettings

WHOLE = "*"

_DEFAULT = HttpSettings()


def codec_of(registry: Registry, settings: HttpSettings) -> JsonCodec:
    """The codec that bindings under these settings share."""
    return JsonCodec(
        registry,
        always_print_fields_with_no_presence=settings.always_print_fields_with_no_presence,
        preserving_proto_field_name=settings.preserving_proto_field_name,
        ignore_unknown_fields=settings.ignore_unknown_fields,
    )


class Binding:
    """A route with all that is worked out once.

    Of a method that streams, `decode` or `decode_raw` reads the first message, `decode_item` or
    `decode_raw_item` each later one, and `encode` writes each message of the answer.

    Args:
        route: any.
        codec: of the same settings; see `codec_of`.
        settings: switches.

    Raises:
        ValueError: the route names fields that do not exist or that text cannot fill.
    """

    def __init__(self, route: Route, codec: JsonCodec, settings: HttpSettings = _DEFAULT) -> None:
        self.method: Method = route.method
        self.request = codec.type(route.method.request.DESCRIPTOR.full_name)
        self.response = codec.type(route.method.response.DESCRIPTOR.full_name)
        self.takes_body = bool(route.body)
        self._codec = codec
        self._whole = route.body == WHOLE
        self._body = None if self._whole else _field(self.request, route.body)
        self.takes_http_body = self.takes_body and is_http_body(self.request.description, self._body)
        """Whether the body is raw content of any type, for `decode_raw`."""
        self._answer = Answer(self.response, _field(self.response, route.response_body), codec)
        self.answers_http_body = self._answer.raw
        """Whether `encode` gives raw content of a type that the service chooses."""
        self._mask = mask_of(route, self.request.description, self._body)
        self._variables = tuple((each, _bound(self.request, route, each)) for each in route.variables)
        self._repeatable = tuple(target for _, target in self._variables if self._in_body(target))
        self._parameters = Parameters(
            self.request.description, self._taken(), ignore_unknown=settings.ignore_unknown_parameters
        )

    def decode(self, segments: Sequence[str], query: bytes, body: bytes, *, binary: bool) -> Message[Any]:
        """The request that path, query and body say together.

        Args:
            segments: of the path, raw.
            query: raw query string.
            body: as received; empty counts as an empty message.
            binary: whether the body is in binary form rather than JSON.

        Raises:
            Error: MALFORMED_PATH, MALFORMED_BODY, INVALID_FIELD or UNKNOWN_FIELD.
        """
        if body and not self.takes_body:
            raise malformed(f"{self.method.full_name} takes no body here")
        values = self._values(segments, query)
        if not body:
            message = self.request.parse_value(values)
            return self._masked(message, ())
        return self._with_binary(values, body) if binary else self._with_json(values, body)

    def decode_item(self, body: bytes, *, binary: bool) -> Message[Any]:
        """A later message of a client stream: what its body says, nothing of path and query.

        Raises:
            Error: MALFORMED_BODY, INVALID_FIELD or UNKNOWN_FIELD.
        """
        if self._body is None:
            return self.request.parse_binary(body) if binary else self.request.parse(body)
        return self._with_binary({}, body) if binary else self._with_json({}, body)

    def decode_frame(
        self, segments: Sequence[str], query: bytes, frame: bytes, *, binary: bool
    ) -> Message[Any]:
        """The first message of a WebSocket: a whole request, and what path and query say beside it.

        Raises:
            Error: as `decode`; INVALID_FIELD also for a frame that contradicts path or query.
        """
        values: dict[str, JsonValue] = {}
        targets = self._place(values, segments)
        targets += self._parameters.place(values, query).values()
        bound = self.request.parse_value(values)
        message = self.request.parse_binary(frame) if binary else self.request.parse(frame)
        for target in targets:
            _bind_binary(message, bound, target)
        return message

    def decode_raw(
        self, segments: Sequence[str], query: bytes, content: bytes, content_type: str | None
    ) -> Message[Any]:
        """As `decode`, where `takes_http_body`: the content goes into the request as it is.

        Raises:
            Error: MALFORMED_PATH, INVALID_FIELD or UNKNOWN_FIELD.
        """
        message = self.request.parse_value(self._values(segments, query))
        self._fill(message, content, content_type)
        return message

    def decode_raw_item(self, content: bytes, content_type: str | None) -> Message[Any]:
        """As `decode_item`, where `takes_http_body`."""
        message = self.request.message()
        self._fill(message, content, content_type)
        return message

    def encode(self, data: bytes, *, binary: bool) -> tuple[bytes, str]:
        """Body and content type of a response; of a stream, one message of it.

        Args:
            data: the response in binary form.
            binary: whether it goes out in binary form rather than JSON; does not matter where
                `answers_http_body`.
        """
        return self._answer.encode(data, binary=binary)

    def _values(self, segments: Sequence[str], query: bytes) -> dict[str, JsonValue]:
        """ProtoJSON of what path and query say."""
        values: dict[str, JsonValue] = {}
        self._place(values, segments)
        if query:
            self._parameters.place(values, query)
        return values

    def _place(self, values: dict[str, JsonValue], segments: Sequence[str]) -> list[Parameter]:
        for variable, target in self._variables:
            target.place(values, captured(segments, variable))
        return [target for _, target in self._variables]

    def _fill(self, message: Message[Any], content: bytes, content_type: str | None) -> None:
        field = self._body
        if field is None:
            return fill(message, content, content_type)
        if message[field] is None:
            _check_oneof(message, field, field.name)
            message[field] = self._codec.type(element_of(field).type_name).message()
        fill(message[field], content, content_type)
        return None

    def _with_json(self, values: dict[str, JsonValue], body: bytes) -> Message[Any]:
        if self._whole and not values:
            return self.request.parse(body)
        given = self._codec.loads(body)
        paths = self._mask_of_json(given)
        if self._body is not None:
            given = {**values, self._body.json_name: given}
        if not isinstance(given, dict):
            raise malformed("the body is not a JSON object")
        for target in self._repeatable:
            self._bind(given, values, target, len(body))
        return self._masked(self.request.parse_value(given, len(body)), paths)

    def _mask_of_json(self, body: JsonValue) -> Sequence[str] | None:
        if self._mask is None or self._body is None:
            return ()
        return bounded(paths_in_json(element_of(self._body), body))

    def _masked(self, message: Message[Any], paths: Sequence[str] | None) -> Message[Any]:
        if self._mask is not None:
            fill_mask(message, self._mask, paths)
        return message

    def _in_body(self, target: Parameter) -> bool:
        """Whether the body may say too what a variable says."""
        return self._whole or (self._body is not None and target.path[0].name == self._body.name)

    def _bind(
        self, given: dict[str, JsonValue], values: dict[str, JsonValue], target: Parameter, size: int
    ) -> None:
        """Puts a variable's value into the body's JSON; the body may repeat it, but not contradict it.

        Args:
            given: the body's.
            values: the path's.
            target: the variable.
            size: bytes of the body.
        """
        for depth, step in enumerate(target.path[:-1], 1):
            values = values[step.json_name]
            given = _descend(given, step, dotted(target.path[:depth]))
        field = target.path[-1]
        for name in _names_in(given, field, target.name):
            repeated = given.pop(name)
            if repeated is not None and not self._same(field, repeated, values[field.json_name], size):
                raise invalid(target.name, "the body contradicts the path")
        given[field.json_name] = values[field.json_name]

    def _same(self, field: DescField, left: JsonValue, right: JsonValue, size: int) -> bool:
        parent = self._codec.type(field.parent.type_name)
        messages = [parent.parse_value({field.json_name: value}, size) for value in (left, right)]
        return bool(messages[0][field] == messages[1][field])

    def _with_binary(self, values: dict[str, JsonValue], body: bytes) -> Message[Any]:
        paths: Sequence[str] | None = ()
        if self._body is not None:
            message = self._with_binary_field(values, self._body, body)
            if self._mask is not None:
                paths = bounded(paths_in_message(message[self._body]))
        else:
            message = self.request.parse_binary(body)
        bound = self.request.parse_value(values)
        for target in self._repeatable:
            _bind_binary(message, bound, target)
        return self._masked(message, paths)

    def _with_binary_field(self, values: dict[str, JsonValue], field: DescField, body: bytes) -> Message[Any]:
        beside = {name: value for name, value in values.items() if name != field.json_name}
        bound = self.request.parse_value(beside)
        value = field.value
        if not isinstance(value, DescFieldValueMessage):
            raise malformed(f"a body for {field.name} must be {JSON}")
        _check_oneof(bound, field, field.name)
        bound[field] = self._codec.type(value.message.type_name).parse_binary(body)
        return bound

    def _taken(self) -> dict[str, str]:
        taken = {target.name: "path" for _, target in self._variables}
        if self._whole:
            taken.setdefault("", "body")
        if self._body is not None:
            taken[self._body.name] = "body"
        return taken


def _field(message: MessageJson, name: str) -> DescField | None:
    if not name:
        return None
    for field in message.description.fields:
        if field.name == name:
            return field
    raise ValueError(f"{message.description.type_name} has no field {name}")


def _check_oneof(message: Message[Any], field: DescField, path: str) -> None:
    """Refuses a field beside another member of its oneof."""
    oneof = getattr(field.value, "oneof", None)
    if oneof is not None and any(message.has_field(other.name) for other in oneof.fields):
        raise invalid(path, f"only one member of oneof {oneof.name} may be given")


def _bound(request: MessageJson, route: Route, variable: Variable) -> Parameter:
    path = field_path(request.description, ".".join(variable.field))
    found = parameter(path) if path else None
    if found is None or found.repeated:
        raise ValueError(f"{route.method.full_name}: {route.template} binds {'.'.join(variable.field)}")
    return found


def _names_in(given: Mapping[str, JsonValue], field: DescField, path: str) -> set[str]:
    """The name under which a field is in an object, if it is."""
    found = {field.name, field.json_name} & given.keys()
    if len(found) > 1:
        raise invalid(path, "it is given under both its names")
    return found


def _descend(given: dict[str, JsonValue], step: DescField, path: str) -> dict[str, JsonValue]:
    """The object of a message field, made if it is missing."""
    for name in _names_in(given, step, path):
        nested = given[name]
        if isinstance(nested, dict):
            return nested
        if nested is not None:
            raise invalid(path, "an object is expected")
        del given[name]
    made: dict[str, JsonValue] = {}
    given[step.json_name] = made
    return made


def _bind_binary(message: Message[Any], bound: Message[Any], target: Parameter) -> None:
    """As `Binding._bind`, for a message."""
    given: Any = message
    wanted: Any = bound
    for depth, step in enumerate(target.path[:-1], 1):
        wanted = wanted[step]
        if given[step] is None:
            _check_oneof(given, step, dotted(target.path[:depth]))
            given[step] = type(wanted)()
        given = given[step]
    field = target.path[-1]
    if not given.has_field(field.name):
        _check_oneof(given, field, target.name)
    elif given[field] != wanted[field]:
        raise invalid(target.name, "the body contradicts path or query")
    given[field] = wanted[field]
