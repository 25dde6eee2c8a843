"""One HTTP binding as a client sees it: requests out, responses in.

The rules are those of google/api/http.proto: what the path takes comes out of the request first, then the
body, and all that is left is the query.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

import orjson
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import DecodeError, EncodeError, Message
from idiom.v1 import reason_errors as reasons
from protobuf import DescField, DescFieldValueMap, DescMessage

from codegen.runtime.client.expansion import expanded, leaves, literal, taken, text_of
from codegen.runtime.codec import JsonCodec
from codegen.runtime.errors import Error
from codegen.runtime.json_diagnosis import invalid
from codegen.runtime.json_shape import OPAQUE, JsonValue, element_of
from codegen.runtime.transcoding.http_body import is_http_body
from codegen.runtime.transcoding.negotiation import JSON
from codegen.runtime.transcoding.parameters import dotted, field_path
from codegen.runtime.transcoding.route import Route, Variable

WHOLE: Final = "*"
NDJSON: Final = "application/x-ndjson"
_ANY_VERB: Final = "*"
_ABSENT: Final = b"null"


class Written(NamedTuple):
    """A request as HTTP carries it."""

    target: str
    """Path and query."""
    body: bytes | None
    """JSON or raw content; None where there is none."""
    content_type: str = ""
    """Of the body; empty for none, and for raw content whose type nobody names."""


class ClientBinding:
    """A route with all that is worked out once.

    Raises:
        ValueError: the route names fields that do not exist.
    """

    def __init__(self, route: Route, codec: JsonCodec) -> None:
        self.route = route
        self.verb = "POST" if route.verb == _ANY_VERB else route.verb
        self._request = codec.type(route.method.request.DESCRIPTOR.full_name)
        self._response = codec.type(route.method.response.DESCRIPTOR.full_name)
        fields = self._request.description.fields
        self._fields = {field.json_name: field for field in fields}
        self._body = next((field for field in fields if field.name == route.body), None)
        answered = self._response.description.fields
        self._answer = next((field for field in answered if field.name == route.response_body), None)
        variables = sorted(route.variables, key=lambda variable: variable.start)
        self._variables = tuple((each, self._path(each)) for each in variables)
        self.sends_raw = bool(route.body) and is_http_body(self._request.description, self._body)
        """Whether the body is content of any type, a `google.api.HttpBody`."""
        self.reads_raw = is_http_body(self._response.description, self._answer)
        """Whether the answer is."""
        self.may_say_error = _may_have(self._response.description, self._answer, "error")
        """Whether one message of the answer may have a member called `error`."""

    @property
    def accept(self) -> str:
        """What the answer may be."""
        if self.reads_raw:
            return "*/*"
        return NDJSON if self.route.method.server_streaming else JSON

    def write(self, request: Message) -> Written:
        """The request as path, query and body; of a stream of requests, the first of them.

        Raises:
            Error: INVALID_FIELD: a field has a value that neither path, query, JSON nor raw content can say.
        """
        if self.sends_raw:
            return self._raw(request)
        told = self._json(request)
        if self.route.body == WHOLE and not self._variables:
            return Written(self._target({}), told, JSON)
        values: dict[str, JsonValue] = orjson.loads(told)
        target = self._target(values)
        if self.route.body == WHOLE:
            return Written(target, orjson.dumps(values), JSON)
        body = None
        if self._body is not None and self._body.json_name in values:
            body = orjson.dumps(values.pop(self._body.json_name))
        return Written(self._with_query(target, values), body, JSON if body is not None else "")

    def write_item(self, request: Message) -> bytes:
        """A later request of a stream: its part of the body, one line of NDJSON or raw content.

        Raises:
            Error: INVALID_FIELD: it says what only the first can say, in path and query, or what raw content
                cannot say.
        """
        if self._body is None:
            return self._content(request).data if self.sends_raw else self._json(request)
        values: dict[str, JsonValue] = orjson.loads(self._json(request))
        body = values.pop(self._body.json_name, None)
        for name in values:
            raise invalid(name, "of a stream only the first message can say it, in path and query")
        return self._content(request).data if self.sends_raw else orjson.dumps(body)

    def item(self, written: Written) -> bytes:
        """The body's part of the first request of a stream."""
        if self.sends_raw:
            return written.body or b""
        return _ABSENT if written.body is None else written.body

    def path(self, request: Message) -> str:
        """The path of a WebSocket, to which messages say everything, the path's fields too."""
        values: dict[str, JsonValue] = {}
        if self._variables:
            values = orjson.loads(self._json(request))
        return self._target(values)

    def read(self, body: bytes, content_type: str = "") -> bytes:
        """The binary form of the response that a body says, or of one of many, a line of NDJSON.

        Raises:
            Error: INTERNAL: it cannot be read.
        """
        if self.reads_raw:
            return self._raw_answer(body, content_type)
        try:
            if self._answer is None:
                return self._response.parse(body).to_binary()
            whole = {self._answer.json_name: orjson.loads(body)}
            return self._response.parse_value(whole).to_binary()
        except (Error, ValueError):
            name = self._response.description.type_name
            raise Error(reasons.INTERNAL, f"the answer is no {name}") from None

    def check(self, data: bytes) -> bytes:
        """A response in binary form, if it is one.

        Raises:
            Error: INTERNAL.
        """
        try:
            self.route.method.response.FromString(data)
        except DecodeError:
            name = self._response.description.type_name
            raise Error(reasons.INTERNAL, f"the answer is no {name}") from None
        return data

    def _json(self, request: Message) -> bytes:
        try:
            return self._request.to_json(request.SerializeToString())
        except (ValueError, EncodeError) as error:
            name = self._request.description.type_name
            raise Error(reasons.INVALID_FIELD, f"{name} has a value that JSON cannot say: {error}") from None

    def _raw_answer(self, body: bytes, content_type: str) -> bytes:
        content = HttpBody(content_type=content_type, data=body)
        if self._answer is None:
            return content.SerializeToString()
        response: Any = self.route.method.response()
        getattr(response, self._answer.name).CopyFrom(content)
        told: bytes = response.SerializeToString()
        return told

    def _raw(self, request: Message) -> Written:
        """Raw content is no part of path and query, but its type may be."""
        content = self._content(request)
        rest = type(request)()
        rest.CopyFrom(request)
        (rest if self._body is None else getattr(rest, self._body.name)).ClearField("data")
        values: dict[str, JsonValue] = orjson.loads(self._json(rest))
        target = self._target(values)
        if self._body is None:
            return Written(target, content.data, content.content_type)
        values.pop(self._body.json_name, None)
        data = content.data if request.HasField(self._body.name) else None
        return Written(self._with_query(target, values), data, content.content_type)

    def _content(self, request: Message) -> HttpBody:
        """The content of a request."""
        body = request if self._body is None else getattr(request, self._body.name)
        content = HttpBody.FromString(body.SerializeToString())
        if content.extensions:
            raise invalid("extensions", "raw content has none")
        return content

    def _path(self, variable: Variable) -> tuple[DescField, ...]:
        path = field_path(self._request.description, ".".join(variable.field))
        if path is None:
            name = self._request.description.type_name
            raise ValueError(f"{name} has no field {'.'.join(variable.field)}")
        return path

    def _target(self, values: dict[str, JsonValue]) -> str:
        """The path; what it takes is removed from the values."""
        pattern = self.route.segments
        parts: list[str] = []
        at = 0
        for variable, path in self._variables:
            end = variable.end if variable.end >= 0 else len(pattern) + 1 + variable.end
            parts += (literal(segment) for segment in pattern[at : variable.start])
            parts.append(expanded(text_of(taken(values, path)), pattern[variable.start : end], dotted(path)))
            at = end
        parts += (literal(segment) for segment in pattern[at:])
        custom = f":{literal(self.route.custom_verb)}" if self.route.custom_verb else ""
        return f"/{'/'.join(parts)}{custom}"

    def _with_query(self, target: str, values: dict[str, JsonValue]) -> str:
        query = urlencode(list(self._query(values)), quote_via=quote)
        return f"{target}?{query}" if query else target

    def _query(self, values: dict[str, JsonValue]) -> Iterator[tuple[str, str]]:
        for name, value in values.items():
            yield from leaves((self._fields[name],), value)


def _may_have(message: DescMessage, field: DescField | None, name: str) -> bool:
    """Whether JSON of a message, or of the one field of it that is sent, may have a member of a name."""
    if field is not None and isinstance(field.value, DescFieldValueMap):
        return True
    sent = message if field is None else element_of(field)
    if not isinstance(sent, DescMessage):
        return False
    return sent.type_name in OPAQUE or any(each.json_name == name for each in sent.fields)
