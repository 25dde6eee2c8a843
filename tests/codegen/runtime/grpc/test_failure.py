from __future__ import annotations

import grpc
import pytest
from google.rpc import code_pb2
from grpc import aio

from codegen.runtime.grpc_failure import error_of

NOTHING = aio.Metadata()


@pytest.mark.parametrize(
    "name",
    [
        *("INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED"),
        *("FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNAUTHENTICATED"),
    ],
)
def test_what_a_service_of_another_make_says_without_details_is_said_on(name: str) -> None:
    failure = aio.AioRpcError(grpc.StatusCode[name], NOTHING, NOTHING, "as asked")
    error = error_of(failure)
    assert (error.reason.name, error.reason.code, error.message) == (
        name,
        code_pb2.Code.Value(name),
        "as asked",
    )


@pytest.mark.parametrize("name", ["UNKNOWN", "INTERNAL", "DATA_LOSS"])
def test_what_may_be_a_defect_is_not_said_on(name: str) -> None:
    failure = aio.AioRpcError(
        grpc.StatusCode[name], NOTHING, NOTHING, "Unexpected <class 'KeyError'>: 'a secret'"
    )
    error = error_of(failure)
    assert (error.reason.code, error.message) == (code_pb2.INTERNAL, "the call failed")
