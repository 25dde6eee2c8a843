"""The gallery as connectrpc's own clients see it."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from connectrpc.client import ConnectClient, ConnectClientSync
from connectrpc.codec import proto_binary_codec, proto_json_codec
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.protocol import ProtocolType
from google.rpc import error_details_pb2
from protobuf import Registry

from tests.codegen.gallery.generated import generated

SERVICE = "gallery.v1.GalleryService"
WIRES = [
    (protocol, codec)
    for protocol in (ProtocolType.CONNECT, ProtocolType.GRPC_WEB)
    for codec in ("proto", "json")
]


@dataclass(frozen=True, slots=True)
class Peer:
    """One client of one protocol and codec."""

    url: str
    protocol: ProtocolType
    codec: str
    token: str = ""

    def client(self, **options: Any) -> ConnectClient:
        """Calls asynchronously."""
        return ConnectClient(self.url, codec=self._codec(), protocol=self.protocol, **options)

    def blocking(self, **options: Any) -> ConnectClientSync:
        """Calls from a thread."""
        return ConnectClientSync(self.url, codec=self._codec(), protocol=self.protocol, **options)

    async def unary(
        self, name: str, request: Any, headers: dict[str, str] | None = None, **options: Any
    ) -> Any:
        """One request, one response."""
        async with self.client() as client:
            return await client.execute_unary(
                request=request, method=method(name), headers=self.headers(headers), **options
            )

    async def server_stream(self, name: str, request: Any, **options: Any) -> list[Any]:
        """One request, all responses."""
        async with self.client() as client:
            stream = client.execute_server_stream(
                request=request, method=method(name), headers=self.headers(), **options
            )
            return [each async for each in stream]

    async def client_stream(self, name: str, requests: Iterable[Any], **options: Any) -> Any:
        """Many requests, one response."""
        async with self.client() as client:
            return await client.execute_client_stream(
                request=items(requests), method=method(name), headers=self.headers(), **options
            )

    async def bidi(self, name: str, requests: Iterable[Any], **options: Any) -> list[Any]:
        """Many requests, all responses."""
        async with self.client() as client:
            stream = client.execute_bidi_stream(
                request=items(requests), method=method(name), headers=self.headers(), **options
            )
            return [each async for each in stream]

    def headers(self, more: dict[str, str] | None = None) -> dict[str, str]:
        """Of a request."""
        known = {"authorization": f"Bearer {self.token}"} if self.token else {}
        return {**known, **(more or {})}

    def _codec(self) -> Any:
        return proto_json_codec(registry()) if self.codec == "json" else proto_binary_codec()


@functools.cache
def registry() -> Registry:
    """Types of the gallery."""
    known: Registry = generated().descriptors.registry()
    return known


def type_of(name: str) -> Any:
    """A message of the gallery."""
    found = registry().message(f"gallery.v1.{name}")
    assert found is not None
    return found.type


def message(name: str, /, **fields: Any) -> Any:
    """One of them."""
    return type_of(name)(**fields)


@functools.cache
def method(name: str) -> MethodInfo[Any, Any]:
    """A method, as generated code of connectrpc would describe it."""
    service = registry().service(SERVICE)
    assert service is not None
    found = next(each for each in service.methods if each.name == name)
    kinds = {"server_streaming": StreamType.SERVER_STREAM, "client_streaming": StreamType.CLIENT_STREAM}
    return MethodInfo(
        name=name,
        service_name=SERVICE,
        input=found.input.type,
        output=found.output.type,
        idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=kinds.get(found.method_kind, StreamType.UNARY),
    )


async def items(requests: Iterable[Any]) -> AsyncIterator[Any]:
    """Requests one after the other."""
    for each in requests:
        yield each


def reason(error: Any) -> error_details_pb2.ErrorInfo:
    """The ErrorInfo of a ConnectError."""
    info = error_details_pb2.ErrorInfo()
    packed = next(each for each in error.details if each.type_name == "google.rpc.ErrorInfo")
    info.ParseFromString(packed.message_bytes)
    return info
