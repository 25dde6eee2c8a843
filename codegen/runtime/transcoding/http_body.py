"""`google.api.HttpBody`: content of any type, as it is (google/api/httpbody.proto)."""

from __future__ import annotations

import re
from typing import Any

from protobuf import DescField, DescFieldValueMessage, DescMessage

HTTP_BODY = "google.api.HttpBody"
UNTYPED = "application/octet-stream"
"""Content type of content whose service names none (RFC 9110, section 8.3)."""

_FIELD_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")


def is_http_body(description: DescMessage, field: DescField | None) -> bool:
    """Whether a message, or the one field of it that counts, is raw content."""
    if field is None:
        return description.type_name == HTTP_BODY
    value = field.value
    return isinstance(value, DescFieldValueMessage) and value.message.type_name == HTTP_BODY


def fill(body: Any, content: bytes, content_type: str | None) -> None:
    """Puts content into a message of that type; a type that it has already stays."""
    body.data = content
    if content_type and not body.content_type:
        body.content_type = content_type


def content_of(body: Any) -> tuple[bytes, str]:
    """Content and its type of a message of that type, or of none; the type is fit for a header."""
    if body is None:
        return b"", UNTYPED
    content: bytes = body.data
    named: str = body.content_type
    return content, named if _FIELD_VALUE.fullmatch(named) else UNTYPED
