"""Errors as HTTP responses: `google.rpc.Status` in JSON, and what headers say beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from google.protobuf import json_format
from idiom.v1 import reason_errors as reasons

from codegen.runtime.errors import Error, Reason, to_status

STATUS: Mapping[Reason, int] = {
    reasons.METHOD_NOT_ALLOWED: 405,
    reasons.NOT_ACCEPTABLE: 406,
    reasons.PRECONDITION_FAILED: 412,
    reasons.TOO_LARGE: 413,
    reasons.UNSUPPORTED_MEDIA_TYPE: 415,
}
"""HTTP statuses that HTTP has for reasons more exactly than for their canonical codes."""

UNAUTHORIZED = 401
UNSUPPORTED = 415


def status_of(error: Error) -> int:
    """HTTP status of an error."""
    return STATUS.get(error.reason) or error.http_status


def headers_of(error: Error, status: int) -> list[tuple[bytes, bytes]]:
    """Headers beside content type and length."""
    headers = []
    if status == UNAUTHORIZED:
        headers.append((b"www-authenticate", _challenge(error)))
    if status == UNSUPPORTED:
        told = ((name, error.metadata.get(name)) for name in ("accept", "accept-encoding"))
        headers += [(name.encode(), value.encode()) for name, value in told if value]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(math.ceil(error.retry_after)).encode()))
    return headers


def body_of(error: Error) -> bytes:
    """`google.rpc.Status` as ProtoJSON."""
    return json_format.MessageToJson(to_status(error), indent=None, ensure_ascii=False).encode()


def _challenge(error: Error) -> bytes:
    """RFC 6750, section 3."""
    if error.reason in (reasons.TOKEN_INVALID, reasons.TOKEN_EXPIRED):
        return b'Bearer error="invalid_token"'
    return b"Bearer"
