"""What a failed gRPC call means to its caller."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

import grpc
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from grpc import aio
from idiom.v1 import reason_errors as reasons

from codegen.runtime.errors import Error, Reason, from_status
from codegen.runtime.method import Retry

DETAILS = "grpc-status-details-bin"
"""Trailing metadata that carries google.rpc.Status; gRFC A66 and the richer error model."""
CODES: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
LOST = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})
"""What gRPC itself says when a connection or a server ends during a call."""
REASONS: Mapping[grpc.StatusCode, tuple[Reason, str]] = {
    grpc.StatusCode.UNAVAILABLE: (reasons.DEPENDENCY_UNAVAILABLE, "the connection was lost during the call"),
    grpc.StatusCode.CANCELLED: (reasons.DEPENDENCY_UNAVAILABLE, "the call was ended by the server"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (reasons.DEADLINE_EXCEEDED, "the deadline has passed"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (reasons.OVERLOADED, "the server is overloaded"),
    grpc.StatusCode.UNIMPLEMENTED: (reasons.UNIMPLEMENTED, "the method is not served there"),
}
"""Errors of calls whose status came from gRPC, not from a service."""
TOLD = frozenset(
    (
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAUTHENTICATED,
    )
)
"""Codes that a service says, whatever it was written with, and gRPC itself never. Others may be defects."""


class Verdict(Enum):
    """What may be done after a failure."""

    FINAL = auto()
    ELSEWHERE = auto()
    """The request surely had no effect: any other instance may take it."""
    AGAIN = auto()
    """It may have had its effect, but the method allows repetition."""


def verdict_of(failure: aio.AioRpcError, retry: Retry) -> Verdict:
    """Whether the call may be made again."""
    if retry is Retry.NEVER or not _lost(failure):
        return Verdict.FINAL
    if unsent(failure):
        return Verdict.ELSEWHERE
    return Verdict.AGAIN if retry is Retry.SAFE else Verdict.FINAL


def _lost(failure: aio.AioRpcError) -> bool:
    """Whether the connection or the server ended, rather than that the service refused the call."""
    status = status_of(failure)
    return code_of(failure) in LOST if status is None else from_status(status).reason == reasons.DRAINING


def code_of(failure: aio.AioRpcError) -> grpc.StatusCode:
    """The code of a failure.

    A request that is written while the connection ends makes `grpc.aio` say so instead of why the call ended.
    """
    code: grpc.StatusCode = failure.code()
    if code is grpc.StatusCode.INTERNAL and (failure.details() or "").startswith("Internal error from Core"):
        return grpc.StatusCode.UNAVAILABLE
    return code


def unsent(failure: aio.AioRpcError) -> bool:
    """Whether no connection could be made, so that the request surely did not leave."""
    return failure.code() is grpc.StatusCode.UNAVAILABLE and "failed to connect" in (failure.details() or "")


def status_of(failure: aio.AioRpcError) -> status_pb2.Status | None:
    """The status as the service gave it; None if it came from gRPC itself."""
    for key, value in failure.trailing_metadata() or ():
        if key == DETAILS and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def error_of(failure: aio.AioRpcError) -> Error:
    """The failure as the one error type."""
    if (status := status_of(failure)) is not None:
        return from_status(status)
    if unsent(failure):
        return Error(reasons.NO_INSTANCE, "no instance can be reached now")
    if "larger than max" in (failure.details() or ""):
        return Error(reasons.TOO_LARGE, "the request or response is too large")
    if failure.code() in TOLD:
        code: int = failure.code().value[0]
        return from_status(status_pb2.Status(code=code, message=failure.details() or ""))
    reason, message = REASONS.get(code_of(failure), (reasons.INTERNAL, "the call failed"))
    return Error(reason, message)


def unreachable() -> aio.AioRpcError:
    """The failure of a call that did not leave, for there is no connection."""
    nothing = aio.Metadata()
    return aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, "failed to connect")


def lost() -> aio.AioRpcError:
    """The failure of a call that ended because its channel was closed here."""
    nothing = aio.Metadata()
    return aio.AioRpcError(grpc.StatusCode.CANCELLED, nothing, nothing, "the channel was closed")


def refused(status: status_pb2.Status) -> aio.AioRpcError:
    """The failure of a call whose status came with others in one message."""
    trailing = aio.Metadata((DETAILS, status.SerializeToString())) if status.details else aio.Metadata()
    code = CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    return aio.AioRpcError(code, aio.Metadata(), trailing, status.message)
