"""Errors in the form that Connect's library writes to every protocol it speaks."""

from __future__ import annotations

import base64
import functools
from collections.abc import Mapping

from connectrpc.code import Code
from connectrpc.errors import ConnectError, ErrorDetail
from google.protobuf import any_pb2, descriptor_pb2, duration_pb2
from google.protobuf.descriptor import Descriptor
from google.rpc import code_pb2, error_details_pb2
from idiom.v1 import reason_errors as reasons
from protobuf import Registry, message_to_json_value
from protobuf.wkt import Any, FileDescriptorSet

from codegen.runtime.errors import Error, Reason, to_status
from codegen.runtime.json_shape import JsonValue

CODES: Mapping[int, Code] = {
    code: Code[name if name != "CANCELLED" else "CANCELED"]
    for name, code in code_pb2.Code.items()
    if code != code_pb2.OK
}
"""Connect's codes by `google.rpc.Code`."""

_REASONS: Mapping[Code, Reason] = {
    Code.CANCELED: reasons.CANCELLED,
    Code.DEADLINE_EXCEEDED: reasons.DEADLINE_EXCEEDED,
    Code.RESOURCE_EXHAUSTED: reasons.TOO_LARGE,
    Code.UNIMPLEMENTED: reasons.UNIMPLEMENTED,
}
"""Reasons of what the library itself refuses; all else it refuses is a malformed body."""


class RefusalError(ConnectError):
    """An Error on its way through the library."""

    def __init__(self, error: Error) -> None:
        code = CODES.get(error.reason.code, Code.UNKNOWN)
        super().__init__(code, error.message, [_detail(each) for each in to_status(error).details])

    def told(self) -> dict[str, JsonValue]:
        """As the body of a response (Connect protocol, "Error end-stream")."""
        details: list[JsonValue] = [_told(each) for each in self.details]
        return {"code": self.code.value, "message": self.message, "details": details}


def own(error: ConnectError) -> Error:
    """A refusal of the library itself as the one error type."""
    return Error(_REASONS.get(error.code, reasons.MALFORMED_BODY), error.message)


def _told(detail: ErrorDetail) -> JsonValue:
    told: JsonValue = {
        "type": detail.type_name,
        "value": base64.b64encode(detail.message_bytes).decode().rstrip("="),
    }
    if (message := detail.value()) is not None:
        told["debug"] = message_to_json_value(message)
    return told


def _detail(packed: any_pb2.Any) -> ErrorDetail:
    """A detail that Connect can also show in JSON, where its type is one of `google.rpc`."""
    known = _details().message(packed.TypeName())
    if known is None:
        return ErrorDetail(Any(type_url=packed.type_url, value=packed.value))
    return ErrorDetail(known.type.from_binary(packed.value))


@functools.cache
def _details() -> Registry:
    """The types of details that google.rpc defines."""
    files = descriptor_pb2.FileDescriptorSet()
    for module in (duration_pb2, error_details_pb2):
        module.DESCRIPTOR.CopyToProto(files.file.add())
        for described in files.file[-1].message_type:
            _name_in_json(described, module.DESCRIPTOR.message_types_by_name[described.name])
    return FileDescriptorSet.from_binary(files.SerializeToString()).to_registry()


def _name_in_json(described: descriptor_pb2.DescriptorProto, known: Descriptor) -> None:
    """Fills in the names of fields in JSON, which copies of descriptors lack."""
    for field in described.field:
        field.json_name = known.fields_by_name[field.name].json_name
    for nested in described.nested_type:
        _name_in_json(nested, known.nested_types_by_name[nested.name])
