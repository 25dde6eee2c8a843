"""A small schema with a socket, that has nothing to do with any application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from protobuf.wkt import FileDescriptorSet

from codegen.runtime.codec import JsonCodec
from codegen.runtime.method import Auth, FrameCall, Method, Policy, Socket

_PACKAGE = "port.v1"
_STRING = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
_INT64 = descriptor_pb2.FieldDescriptorProto.TYPE_INT64
_MESSAGES: dict[str, dict[str, int | str]] = {
    "Order": {"ship": _STRING, "crates": _INT64},
    "Receipt": {"number": _INT64},
    "OrderFrame": {"request_id": _STRING, "request": "Order"},
    "ReceiptFrame": {"request_id": _STRING, "response": "Receipt"},
    "Trouble": {"request_id": _STRING, "code": _STRING, "reason": _STRING, "message": _STRING},
    "Bell": {"from": _STRING},
}
_ONEOFS: dict[str, dict[str, int | str]] = {
    "FromShip": {"bell": "Bell", "order": "OrderFrame"},
    "FromShore": {"bell": "Bell", "receipt": "ReceiptFrame", "trouble": "Trouble"},
    "Mooring": {"pier": _INT64, "buoy": _INT64},
}


class Port:
    """The schema's messages and the table of its socket."""

    def __init__(self) -> None:
        file = _file()
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        for name in (*_MESSAGES, *_ONEOFS):
            descriptor = pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
            setattr(self, name, message_factory.GetMessageClass(descriptor))
        files = descriptor_pb2.FileDescriptorSet(file=[file])
        self.json = JsonCodec(FileDescriptorSet.from_binary(files.SerializeToString()).to_registry())
        self.order = self._method("PlaceOrder", "Order", "Receipt", Policy(auth=Auth.USER, affinity="ship"))
        self.moor = self._method("Moor", "Mooring", "Receipt", Policy(auth=Auth.USER, affinity="pier"))
        self.socket = Socket(
            method=self._method("Talk", "FromShip", "FromShore", Policy(auth=Auth.USER)),
            path="/talk",
            subprotocol="port.v1",
            oneof="frame",
            calls=(FrameCall(frame="order", request="request", method=self.order, reply="receipt"),),
            max_frame_bytes=1024,
            send_queue_bytes=65536,
        )

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def _method(self, name: str, request: str, response: str, policy: Policy) -> Method:
        return Method(
            service=f"{_PACKAGE}.Harbour",
            name=name,
            attribute=name,
            request=getattr(self, request),
            response=getattr(self, response),
            policy=policy,
        )


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="port/v1/port.proto", package=_PACKAGE, syntax="proto3")
    shapes: dict[str, Mapping[str, int | str]] = {**_MESSAGES, **_ONEOFS}
    for name, fields in shapes.items():
        message = file.message_type.add(name=name)
        if name in _ONEOFS:
            message.oneof_decl.add(name="frame")
        for number, (field, kind) in enumerate(fields.items(), 1):
            _add_field(message, field, number, kind)
    return file


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: int | str) -> None:
    head, *tail = name.split("_")
    json_name = head + "".join(map(str.title, tail))
    field = message.field.add(name=name, json_name=json_name, number=number, label=1)
    if isinstance(kind, str):
        field.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"
    else:
        field.type = descriptor_pb2.FieldDescriptorProto.Type.ValueType(kind)
    if message.oneof_decl:
        field.oneof_index = 0


@pytest.fixture(scope="session")
def port() -> Port:
    return Port()
