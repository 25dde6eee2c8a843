"""The service behind both transcoders: writes down what reaches it, and answers what is prepared."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc import aio

from codegen.runtime.errors import Error, Reason, to_status
from codegen.runtime.grpc_failure import DETAILS

REQUEST_ID = "x-request-id"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call is answered with."""

    messages: tuple[bytes, ...] = (b"",)
    code: int = 0
    """Canonical code with which the call ends instead, if it is not 0."""
    details: bool = False
    """Whether the error has them, as from a service of this make."""


@dataclass(slots=True)
class Heard:
    """A call that came."""

    method: str
    """Name without its service."""
    messages: list[bytes] = field(default_factory=list)


class Upstream:
    """Calls are told apart by their `x-request-id`."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.heard: dict[str, Heard] = {}
        self.port = 0

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Serves every method, whatever its kind, as a stream of bytes both ways."""
        name = str(details.method).rpartition("/")[2]
        metadata = {str(key): str(value) for key, value in details.invocation_metadata}
        return grpc.stream_stream_rpc_method_handler(self._behavior(name, metadata))

    def _behavior(self, name: str, metadata: Mapping[str, str]) -> Any:
        async def behave(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            key = metadata[REQUEST_ID]
            heard = self.heard[key] = Heard(name)
            async for request in requests:
                heard.messages.append(request)
            answer = self.answers[key]
            if answer.code:
                trailing = ((DETAILS, _status(answer.code)),) if answer.details else ()
                await context.abort(_CODES[answer.code], "as asked", trailing)
            for message in answer.messages:
                yield message

        return behave


def _status(code: int) -> bytes:
    return to_status(Error(Reason("ASKED", "tests", code), "as asked")).SerializeToString()


_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """Serves on a free port of loopback."""
    made = Upstream()
    server = aio.server()
    server.add_generic_rpc_handlers((_Handler(made),))
    made.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield made
    finally:
        await server.stop(None)


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, served: Upstream) -> None:
        self._served = served

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return self._served.service(handler_call_details)
