# ruff: noqa: E501 - a row is a line
"""`google.api.HttpBody`: content as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.codegen.runtime.http.table.row import ENVOY, GATEWAY

PROTO = "google/api/httpbody.proto"
SENDING = f"{ENVOY} docs: Sending arbitrary content"
MARSHALER = f"{GATEWAY} runtime/marshal_httpbodyproto.go"
JPEG = b"\xff\xd8\xff\xe0\0\n\xff"


@dataclass(frozen=True, slots=True)
class Raw:
    """A POST and its answer."""

    source: str
    target: str
    content: bytes
    content_type: str | None
    answer: bytes | Any
    """Content, or JSON where the type of the answer is JSON and the target's is not raw."""
    answer_type: str


RAWS = [
    Raw(SENDING, "/v1/raw", JPEG, "image/jpeg", JPEG, "image/jpeg"),
    Raw(SENDING, "/v1/raw", b"", "image/jpeg", b"", "image/jpeg"),
    Raw(SENDING, "/v1/raw", b"{not json", "application/json", b"{not json", "application/json"),
    Raw(SENDING, "/v1/raw", b"\x01", "application/x-protobuf", b"\x01", "application/x-protobuf"),
    Raw(SENDING, "/v1/raw", b"a,b", "text/csv; charset=utf-8", b"a,b", "text/csv; charset=utf-8"),
    Raw("RFC 9110, 8.3: no type", "/v1/raw", b"x", None, b"x", "application/octet-stream"),
    Raw(f"{PROTO}: content_type", "/v1/raw/typed/text%2Fplain", b"x", None, b"x", "text/plain"),
    Raw(f"{PROTO}: the path says the type", "/v1/raw/typed/text%2Fplain", b"x", "image/png", b"x", "text/plain"),
    Raw("RFC 9110, 5.5: field values have no line breaks", "/v1/raw/typed/a%0D%0Ax:y", b"x", None, b"x", "application/octet-stream"),
    Raw("RFC 9110, 5.5: field values have no bytes beyond ASCII", "/v1/raw/typed/%E2%82%AC", b"x", None, b"x", "application/octet-stream"),
    Raw(f"{PROTO}: as a field", "/v1/attach/a", JPEG, "image/jpeg", {"name": "a", "content": {"contentType": "image/jpeg", "data": "/9j/4AAK/w=="}}, "application/json"),
    Raw(f"{PROTO}: as a field", "/v1/attach/a", b"", None, {"name": "a", "content": {}}, "application/json"),
    Raw(f"{PROTO}: parameters beside it", "/v1/attach/a?offset=5", b"x", "text/plain", {"name": "a", "offset": "5", "content": {"contentType": "text/plain", "data": "eA=="}}, "application/json"),
    Raw(f"{PROTO}: a variable within it", "/v1/attach/a/typed/text%2Fcss", b"x", "text/plain", {"name": "a", "content": {"contentType": "text/css", "data": "eA=="}}, "application/json"),
    Raw(f"{PROTO}: within JSON it is a message", "/v1/attach", b'{"content": {"contentType": "text/plain", "data": "eA=="}}', "application/json", {"content": {"contentType": "text/plain", "data": "eA=="}}, "application/json"),
    Raw(MARSHALER, "/v1/attach/a/echo", JPEG, "image/jpeg", JPEG, "image/jpeg"),
    Raw(MARSHALER, "/v1/attach/content", b'{"content": {"contentType": "text/plain", "data": "eA=="}}', "application/json", b"x", "text/plain"),
    Raw(f"{MARSHALER}: absent", "/v1/attach/content", b"{}", "application/json", b"", "application/octet-stream"),
]  # fmt: skip
