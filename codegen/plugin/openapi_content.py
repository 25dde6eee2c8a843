"""What requests and answers carry: the media types of an operation."""

from __future__ import annotations

from typing import Final

from protobuf import DescField, DescMessage

from codegen.plugin.ir import Binding, Method
from codegen.plugin.openapi_errors import STREAM_ERROR, header
from codegen.plugin.openapi_scalars import Node, nullable
from codegen.plugin.openapi_schemas import Schemas
from codegen.plugin.scope import message_of

JSON: Final = "application/json"
LINES: Final = "application/x-ndjson"
EVENTS: Final = "text/event-stream"
BINARY: Final = "application/x-protobuf"
_HTTP_BODY: Final = "google.api.HttpBody"
_RAW: Final[Node] = {"*/*": {"schema": {"contentMediaType": "application/octet-stream"}}}
"""Content of any type, as it is. OpenAPI 3.1 describes binary content by no type."""


class Contents:
    """Bodies and answers of the operations of a document."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def body(self, method: Method, binding: Binding) -> Node:
        """`requestBody`, or nothing."""
        if not binding.body:
            return {}
        field = binding.body_field
        message = method.input if field is None else message_of(field)
        if message is not None and message.type_name == _HTTP_BODY:
            text = "Content of any type, as it is."
            return {"requestBody": {"description": text, "required": False, "content": _RAW}}
        node = self._body_schema(method, binding, message)
        if method.client_streaming:
            content = {JSON: {"schema": {"type": "array", "items": node}}, LINES: _lines(node)}
            return {"requestBody": {"description": _STREAM, "required": False, "content": content}}
        # No body is an empty message.
        required = self._schemas.required(field) if field is not None else self._schemas.needs_fields(node)
        return {"requestBody": {"required": required, "content": _content(node, message)}}

    def answers(self, method: Method, binding: Binding) -> Node:
        """Responses that are no failures, by status."""
        if method.http.websocket:
            return {"101": self._socket(method)}
        field = binding.response_field
        message = method.output if field is None else message_of(field)
        text = self._schemas.text(method.output) or "The answer."
        etag = ["ETag"] if method.http.etag else []
        response: Node = {
            "description": text,
            "headers": header("X-Request-Id", *etag),
            "content": self._answer(method, field, message),
        }
        answers: Node = {"200": response}
        if etag and binding.verb in {"GET", "HEAD", "*"}:
            answers["304"] = {
                "description": "It is as `If-None-Match` says.",
                "headers": header("X-Request-Id", *etag),
            }
        return answers

    def _body_schema(self, method: Method, binding: Binding, message: DescMessage | None) -> Node:
        field = binding.body_field
        # A field of the path below these stays optional in the body: OpenAPI has no word for "without a.b".
        within = () if field is None else (field,)
        bound = [v.names[-1] for v in binding.variables if v.path[:-1] == within]
        if bound and message is not None:
            return self._schemas.message(message, bound)
        return self._schemas.reference(method.input) if field is None else self._schemas.value(field)

    def _answer(self, method: Method, field: DescField | None, message: DescMessage | None) -> Node:
        if message is not None and message.type_name == _HTTP_BODY:
            return _RAW
        node = self._schemas.reference(method.output) if field is None else self._schemas.value(field)
        if field is not None and message is not None:
            node = nullable(node)
        if not method.server_streaming:
            return _content(node, message)
        item = {"anyOf": [node, {"$ref": f"#/components/schemas/{STREAM_ERROR}"}]}
        return {
            JSON: {"schema": {"type": "array", "items": item}},
            LINES: _lines(item),
            EVENTS: {"schema": {"type": "string", "description": _EVENTS}, "x-itemSchema": node},
        }

    def _socket(self, method: Method) -> Node:
        return {
            "description": _SOCKET,
            "x-websocket": {
                "send": self._schemas.reference(method.input),
                "receive": self._schemas.reference(method.output),
            },
        }


_SOCKET: Final = (
    "The connection is a WebSocket now. Each of its messages is one of the stream: as JSON in text, in its "
    "binary form otherwise."
)
_STREAM: Final = "The items of the stream, in order. What path and query say counts for the first one."
_LINES: Final = "One item a line, as `x-itemSchema` describes it."
_EVENTS: Final = (
    "Server-Sent Events. The data of each is one item, as `x-itemSchema` describes it; that of an event "
    "`error`, which is the last one, is a `google.rpc.Status`."
)


def _lines(item: Node) -> Node:
    # `itemSchema` comes with OpenAPI 3.2; here the schema of such a body is that of a text.
    return {"schema": {"type": "string", "description": _LINES}, "x-itemSchema": item}


def _content(node: Node, message: DescMessage | None) -> Node:
    content: Node = {JSON: {"schema": node}}
    if message is not None:
        text = f"The binary form of `{message.type_name}`."
        content[BINARY] = {"schema": {"contentMediaType": BINARY, "description": text}}
    return content
