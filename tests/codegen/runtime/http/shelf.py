"""The service of these tests, reached without a network: a channel as the dispatcher sees one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from google.protobuf.message import Message
from google.rpc import code_pb2

from codegen.runtime.errors import Error, Reason, code_name
from codegen.runtime.grpc_client import CallOptions
from codegen.runtime.method import Method

R = TypeVar("R", bound=Message)


class Shelf:
    """Answers with the request, except where the schema says otherwise."""

    def __init__(self) -> None:
        self.calls: list[tuple[Method, CallOptions]] = []
        self.asleep = asyncio.Event()
        self.woken = asyncio.Event()

    async def unary_bytes(self, method: Method, request: bytes, options: CallOptions) -> bytes:
        """One call."""
        self.calls.append((method, options))
        if method.name == "Sleep":
            await self._sleep()
        if method.name == "Crash":
            raise ZeroDivisionError("a secret")
        if method.name == "Fail":
            _fail(method.request.FromString(request).int32_value)  # type: ignore[attr-defined]
        return request

    async def unary(self, method: Method, request: Message, response: type[R], options: CallOptions) -> R:
        """One call."""
        return response.FromString(await self.unary_bytes(method, request.SerializeToString(), options))

    def stream_stream(
        self, method: Method, requests: AsyncIterator[Message], response: type[R], options: CallOptions
    ) -> AsyncIterator[R]:
        """The schema has no streams."""
        raise NotImplementedError

    def stream_bytes(
        self, method: Method, requests: AsyncIterator[bytes], options: CallOptions
    ) -> AsyncIterator[bytes]:
        """The schema has no streams."""
        raise NotImplementedError

    async def _sleep(self) -> None:
        self.asleep.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.woken.set()


def _fail(code: int) -> None:
    retry = 1.2 if code == code_pb2.UNAVAILABLE else None
    raise Error(
        Reason(f"R_{code_name(code)}", "tests", code), "as asked", retry_after=retry, metadata={"k": "v"}
    )
