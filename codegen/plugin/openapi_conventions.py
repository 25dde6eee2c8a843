"""What holds for every operation of a document, said once."""

from __future__ import annotations

from typing import Final

from codegen.plugin.openapi_scalars import Node

CONVENTIONS: Final = """\
Bodies are [ProtoJSON](https://protobuf.dev/programming-guides/json/), and the schemas show it as answers have it. \
Requests may also give 64 bits as numbers, enums by number, fields and parameters by their names in JSON as well as \
by those in the schema, bytes in either alphabet of base64, and `null` for what is absent. Fields and parameters \
that are not documented are refused.

`OPTIONS` is answered for every path, and `HEAD` wherever there is `GET`. Another verb is refused with status 405 \
and `Allow`. Every refusal is a `google.rpc.Status` as JSON.

Every operation takes the headers `X-Request-Timeout`, or `Grpc-Timeout` as gRPC writes it, and `X-Request-Id`, and \
answers with `X-Request-Id`.
"""  # noqa: E501 - paragraphs of Markdown
"""The description of a document."""

PARAMETERS: Final[Node] = {
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "description": "The `ETag` of what is to be changed as last seen, or `*`. If it has changed: 412.",
        "schema": {"type": "string", "pattern": r'^(?:\*|(?:W/)?"[!#-~]*")$'},
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "An `ETag` of an earlier answer. If nothing has changed since: 304.",
        "schema": {"type": "string"},
    },
    "Last-Event-ID": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "Id of the last event that came; the stream goes on behind it.",
        "schema": {"type": "string"},
    },
    "X-Request-Id": {
        "name": "X-Request-Id",
        "in": "header",
        "description": "Names the request: up to 128 letters, digits and `._:/+=@-`. Others are replaced.",
        "schema": {"type": "string"},
    },
    "X-Request-Timeout": {
        "name": "X-Request-Timeout",
        "in": "header",
        "description": "Seconds that the call may take; the operation's own deadline holds too.",
        "schema": {"type": "string", "pattern": r"^[0-9]{1,9}(?:\.[0-9]{1,9})?$"},
    },
}
"""`components.parameters`: headers of requests."""

EVERYWHERE: Final = [
    {"$ref": "#/components/parameters/X-Request-Id"},
    {"$ref": "#/components/parameters/X-Request-Timeout"},
]
"""Parameters of every path."""
