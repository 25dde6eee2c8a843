"""Answers of HTTP that are refusals, as the one error type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson
from google.rpc import code_pb2
from idiom.v1 import reason_errors as reasons

from codegen.runtime.errors import HTTP_STATUS, Error, FieldViolation, Reason, code_name

_DETAILS: Final = "type.googleapis.com/google.rpc."
_ON_THE_WAY: Mapping[int, Reason] = {
    413: reasons.TOO_LARGE,
    429: reasons.OVERLOADED,
    502: reasons.DEPENDENCY_UNAVAILABLE,
    503: reasons.DEPENDENCY_UNAVAILABLE,
    504: reasons.DEADLINE_EXCEEDED,
}
"""What a status means that comes from something on the way, a proxy, and not from the service itself."""
_CODES: Mapping[int, int] = {
    400: code_pb2.INVALID_ARGUMENT,
    401: code_pb2.UNAUTHENTICATED,
    403: code_pb2.PERMISSION_DENIED,
    404: code_pb2.NOT_FOUND,
    409: code_pb2.ABORTED,
    501: code_pb2.UNIMPLEMENTED,
}


def error_of(status: int, body: bytes, retry_after: str | None) -> Error:
    """The error that an answer says: `google.rpc.Status` as JSON, or what the HTTP status alone tells.

    A reason that this program does not know keeps its name and its domain.

    Args:
        status: of HTTP, not a success.
        body: of any form.
        retry_after: the header of that name; only seconds count.
    """
    told = _object(_parsed(body))
    code = told.get("code")
    if not isinstance(code, int) or code not in HTTP_STATUS or code == code_pb2.OK:
        return _of_status(status, _seconds(retry_after))
    message = told.get("message")
    error = Error(Reason(code_name(code), "", code), message if isinstance(message, str) else "")
    for detail in map(_object, _list(told.get("details"))):
        _add(error, detail)
    if error.retry_after is None:
        error.retry_after = _seconds(retry_after)
    return error


def _of_status(status: int, retry_after: float | None) -> Error:
    code = _CODES.get(status, code_pb2.UNKNOWN)
    reason = _ON_THE_WAY.get(status) or Reason(code_name(code), "", code)
    return Error(reason, f"the server answered with status {status}", retry_after=retry_after)


def _add(error: Error, detail: Mapping[str, Any]) -> None:
    match str(detail.get("@type")).removeprefix(_DETAILS):
        case "ErrorInfo":
            reason, domain = detail.get("reason"), detail.get("domain", "")
            if isinstance(reason, str) and isinstance(domain, str):
                error.reason = Reason(reason, domain, error.reason.code)
            error.metadata = {key: str(value) for key, value in _object(detail.get("metadata")).items()}
        case "BadRequest":
            error.violations = tuple(_violations(detail))
        case "RetryInfo":
            error.retry_after = _seconds(str(detail.get("retryDelay", "")).removesuffix("s"))


def _violations(detail: Mapping[str, Any]) -> Iterator[FieldViolation]:
    for violation in map(_object, _list(detail.get("fieldViolations"))):
        yield FieldViolation(str(violation.get("field", "")), str(violation.get("description", "")))


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
