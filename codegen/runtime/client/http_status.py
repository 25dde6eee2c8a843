"""Answers of HTTP that are refusals, as the one error type."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import Any, Final, TypeAlias

import orjson
from google.protobuf import any_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2
from idiom.v1 import reason_errors as reasons
from protobuf import Registry

from codegen.runtime.codec import JsonCodec
from codegen.runtime.errors import HTTP_STATUS, Error, FieldViolation, Reason, code_name

NOT_MODIFIED: Final = Reason("NOT_MODIFIED", "", code_pb2.UNKNOWN)
"""What the caller has still holds: the answer to `HttpOptions.if_none_match`. RFC 9110, section 15.4.5."""
MAX_DETAILS: Final = 64
"""Most details of an error that are read."""

Detail: TypeAlias = Message | Mapping[str, Any]
"""A detail of an error: the generated message where its module is imported; a `google.protobuf.Any` where
only the registry knows its type; JSON as it came where nobody does."""

_ANY: Final = "google.protobuf.Any"
_ON_THE_WAY: Mapping[int, Reason] = {
    304: NOT_MODIFIED,
    405: reasons.METHOD_NOT_ALLOWED,
    406: reasons.NOT_ACCEPTABLE,
    412: reasons.PRECONDITION_FAILED,
    413: reasons.TOO_LARGE,
    415: reasons.UNSUPPORTED_MEDIA_TYPE,
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
_UNREADABLE: Final = (
    *(json_format.Error, DecodeError, Error),
    *(AttributeError, KeyError, TypeError, ValueError, RecursionError),
)
"""What json_format raises for JSON that is no message, beside its own errors."""


@dataclass(slots=True, eq=False)
class RefusalError(Error):
    """An Error that a server said, with all that it said."""

    details: Sequence[Detail] = ()
    """Of the `google.rpc.Status`, in its order, those that `Error` has fields for included."""
    status: int = 0
    """Of HTTP; 200 for an error in the middle of a stream."""
    request_id: str = ""
    """What the server calls the request, in its log too."""


def _reasons(known: Iterable[Reason | ModuleType]) -> Iterator[Reason]:
    for each in known:
        if isinstance(each, Reason):
            yield each
        else:
            yield from (value for value in vars(each).values() if isinstance(value, Reason))


class Refusals:
    """Reads refusals.

    Args:
        known: reasons of the schema, or generated modules that have them. Those of the runtime are known
            always; one that is not known keeps its name and its domain.
        registry: types of details whose modules are not imported.
    """

    def __init__(self, known: Iterable[Reason | ModuleType] = (), registry: Registry | None = None) -> None:
        self._known = {(reason.domain, reason.name): reason for reason in _reasons((reasons, *known))}
        codec = JsonCodec(registry, ignore_unknown_fields=True) if registry else None
        self._any = codec.type(_ANY) if codec and codec.registry.message(_ANY) else None

    def of(self, status: int, headers: Mapping[str, str], body: bytes) -> RefusalError:
        """The error that an answer says: `google.rpc.Status` as JSON, or what the HTTP status alone tells.

        Args:
            status: of HTTP, not a success.
            headers: lower-case.
            body: of any form.
        """
        later = _delay(headers.get("retry-after"))
        told = _parsed(body)
        error = _of_status(status) if _code(told) is None else self.told(told)
        error.status, error.request_id = status, headers.get("x-request-id", "")
        if error.retry_after is None:
            error.retry_after = later
        return error

    def told(self, status: Any) -> RefusalError:
        """The error of a `google.rpc.Status` as parsed JSON; its code must be one."""
        code = _code(status) or code_pb2.UNKNOWN
        message = status.get("message")
        error = RefusalError(Reason(code_name(code), "", code), message if isinstance(message, str) else "")
        details = status.get("details")
        told = details[:MAX_DETAILS] if isinstance(details, list) else []
        error.details = tuple(self._detail(each) for each in told if isinstance(each, dict))
        for detail in error.details:
            self._add(error, detail)
        return error

    def _add(self, error: RefusalError, detail: Detail) -> None:
        match detail:
            case error_details_pb2.ErrorInfo():
                said = Reason(detail.reason, detail.domain, error.reason.code)
                error.reason = self._known.get((said.domain, said.name), said)
                error.metadata = dict(detail.metadata)
            case error_details_pb2.BadRequest():
                error.violations = tuple(
                    FieldViolation(each.field, each.description) for each in detail.field_violations
                )
            case error_details_pb2.RetryInfo():
                seconds = detail.retry_delay.ToMilliseconds() / 1000
                error.retry_after = seconds if seconds >= 0 else None

    def _detail(self, told: Mapping[str, Any]) -> Detail:
        try:
            packed = json_format.ParseDict(dict(told), any_pb2.Any(), ignore_unknown_fields=True)
        except _UNREADABLE:
            return self._registered(told)
        return _unpacked(packed)

    def _registered(self, told: Mapping[str, Any]) -> Detail:
        if self._any is None:
            return told
        try:
            return any_pb2.Any.FromString(self._any.parse(orjson.dumps(told)).to_binary())
        except _UNREADABLE:
            return told


_RUNTIME: Final = Refusals()


def error_of(status: int, body: bytes, retry_after: str | None) -> RefusalError:
    """`Refusals.of` for an answer of which nothing else counts."""
    return _RUNTIME.of(status, {} if retry_after is None else {"retry-after": retry_after}, body)


def is_status(value: Any) -> bool:
    """Whether parsed JSON is a `google.rpc.Status` of an error."""
    return _code(value) is not None


def _of_status(status: int) -> RefusalError:
    code = _CODES.get(status, code_pb2.UNKNOWN)
    reason = _ON_THE_WAY.get(status) or Reason(code_name(code), "", code)
    return RefusalError(reason, f"the server answered with status {status}")


def _unpacked(packed: any_pb2.Any) -> Message:
    name = packed.type_url.rpartition("/")[2]
    kind = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))
    return kind.FromString(packed.value)


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _code(told: Any) -> int | None:
    code = told.get("code") if isinstance(told, dict) else None
    is_code = isinstance(code, int) and not isinstance(code, bool)
    return code if is_code and code in HTTP_STATUS and code != code_pb2.OK else None


def _delay(text: str | None) -> float | None:
    """Seconds of a `Retry-After`: a number, or a date. RFC 9110, section 10.2.3."""
    try:
        seconds = float(text or "")
    except ValueError:
        return _until(text or "")
    return seconds if 0 <= seconds < float("inf") else None


def _until(date: str) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
