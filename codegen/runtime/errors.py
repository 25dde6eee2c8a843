"""The one error type, its reasons, and its translation to `google.rpc.Status`.

Reasons come from enums of the schema (`idiom.v1.error_domain`); see AIP-193 for the error model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

HTTP_STATUS: Mapping[int, int] = {
    code_pb2.OK: 200,
    code_pb2.CANCELLED: 499,
    code_pb2.UNKNOWN: 500,
    code_pb2.INVALID_ARGUMENT: 400,
    code_pb2.DEADLINE_EXCEEDED: 504,
    code_pb2.NOT_FOUND: 404,
    code_pb2.ALREADY_EXISTS: 409,
    code_pb2.PERMISSION_DENIED: 403,
    code_pb2.UNAUTHENTICATED: 401,
    code_pb2.RESOURCE_EXHAUSTED: 429,
    code_pb2.FAILED_PRECONDITION: 400,
    code_pb2.ABORTED: 409,
    code_pb2.OUT_OF_RANGE: 400,
    code_pb2.UNIMPLEMENTED: 501,
    code_pb2.INTERNAL: 500,
    code_pb2.UNAVAILABLE: 503,
    code_pb2.DATA_LOSS: 500,
}
"""HTTP status of each canonical code, as documented in google/rpc/code.proto."""

Detail: TypeAlias = error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo


@dataclass(frozen=True, slots=True)
class Reason:
    """A typed reason: one value of an enum of the schema that has an error domain."""

    name: str
    """Value name without the enum's prefix, as in `google.rpc.ErrorInfo.reason`."""
    domain: str
    """As in `google.rpc.ErrorInfo.domain`."""
    code: int
    """Canonical code, `google.rpc.Code`."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One broken rule of one field; `google.rpc.BadRequest.FieldViolation`."""

    field: str
    """Path in proto names: `request.items[2].text`."""
    description: str


@dataclass(slots=True, eq=False)
class Error(Exception):
    """A refusal that a caller may see.

    Raise it anywhere inside a call; the call pipeline translates it for the wire in use.
    """

    reason: Reason
    message: str
    violations: Sequence[FieldViolation] = ()
    retry_after: float | None = None
    """Seconds after which a retry may succeed; `google.rpc.RetryInfo`."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """`google.rpc.ErrorInfo.metadata`."""

    def __str__(self) -> str:
        """Reason and message."""
        return f"{self.reason.name}: {self.message}"

    @property
    def code_name(self) -> str:
        """Name of the canonical code: `NOT_FOUND`."""
        return code_name(self.reason.code)

    @property
    def http_status(self) -> int:
        """HTTP status of the canonical code."""
        return HTTP_STATUS[self.reason.code]


def code_name(code: int) -> str:
    """Name of a canonical code; codes outside `google.rpc.Code` are `UNKNOWN`."""
    try:
        return code_pb2.Code.Name(code_pb2.Code.ValueType(code))
    except ValueError:
        return "UNKNOWN"


def to_status(error: Error) -> status_pb2.Status:
    """The error as `google.rpc.Status`, details included."""
    status = status_pb2.Status(code=error.reason.code, message=error.message)
    info = error_details_pb2.ErrorInfo(
        reason=error.reason.name, domain=error.reason.domain, metadata=error.metadata
    )
    status.details.append(_packed(info))
    if error.violations:
        bad = error_details_pb2.BadRequest()
        for violation in error.violations:
            bad.field_violations.add(field=violation.field, description=violation.description)
        status.details.append(_packed(bad))
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        status.details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status


def from_status(status: status_pb2.Status) -> Error:
    """The inverse of `to_status`. A status without ErrorInfo gets its code's name as reason.

    A detail that cannot be read counts as absent.
    """
    reason = Reason(code_name(status.code), "", _known_code(status.code))
    metadata: Mapping[str, str] = {}
    violations: list[FieldViolation] = []
    retry_after: float | None = None
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if _unpacked(detail, info):
            reason = Reason(info.reason, info.domain, _known_code(status.code))
            metadata = dict(info.metadata)
        elif _unpacked(detail, bad):
            violations.extend(FieldViolation(v.field, v.description) for v in bad.field_violations)
        elif _unpacked(detail, retry):
            retry_after = retry.retry_delay.ToMilliseconds() / 1000
    return Error(reason, status.message, tuple(violations), retry_after, metadata)


def _unpacked(packed: any_pb2.Any, detail: Detail) -> bool:
    try:
        return packed.Unpack(detail)
    except DecodeError:
        return False


def _packed(detail: Detail) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


def _known_code(code: int) -> int:
    return code if code in HTTP_STATUS else code_pb2.UNKNOWN
