"""A service of the tests' own, with a rule, all four kinds of calls, and every way to fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from buf.validate import validate_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from idiom.v1 import reason_errors as reasons

from codegen.runtime.context import Context
from codegen.runtime.errors import Error, FieldViolation
from codegen.runtime.method import Auth, Discovery, Method, Policy, Retry, Service


def _schema() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="echo/v1/echo.proto",
        package="echo.v1",
        syntax="proto3",
        dependency=["buf/validate/validate.proto"],
    )
    message = file.message_type.add(name="Text")
    field = message.field.add(name="text", number=1, type="TYPE_STRING", label="LABEL_OPTIONAL")
    field.options.Extensions[validate_pb2.field].string.min_len = 1
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("echo.v1.Text"))


Text = _schema()


def _method(name: str, policy: Policy, *, streams: tuple[bool, bool] = (False, False)) -> Method:
    return Method("echo.v1.EchoService", name, name.lower(), Text, Text, *streams, policy=policy)


OPEN = Policy(auth=Auth.NONE, deadline=20.0)
USER = Policy(auth=Auth.USER)
SERVICE_ONLY = Policy(auth=Auth.SERVICE)
SAFE = Policy(auth=Auth.NONE, deadline=20.0, retry=Retry.SAFE)

SAY = _method("Say", SAFE)
ONCE = _method("Once", OPEN)
WHO = _method("Who", USER)
INNER = _method("Inner", SERVICE_ONLY)
CHAT = _method("Chat", OPEN, streams=(True, True))
COUNT = _method("Count", OPEN, streams=(False, True))
JOIN = _method("Join", OPEN, streams=(True, False))
SMALL = _method("Small", Policy(auth=Auth.NONE, max_request_bytes=10))
ECHO = Service(
    "echo.v1.EchoService", "echo", Discovery.ROUND_ROBIN, (SAY, ONCE, WHO, INNER, CHAT, COUNT, JOIN, SMALL)
)


class Echo:
    def __init__(self, name: str = "") -> None:
        self.name = name
        self.called = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.contexts: list[Context] = []

    async def say(self, request: Any, context: Context) -> Any:
        self.contexts.append(context)
        self.called.set()
        match request.text:
            case "wait":
                return await self._wait()
            case "pause":
                await asyncio.sleep(0.3)
            case "fail":
                raise Error(reasons.FENCED, "über alt", metadata={"k": "v"}, retry_after=1.5)
            case "bug":
                raise ZeroDivisionError("secret")
            case str(text) if text.startswith("long "):
                raise Error(reasons.FENCED, text[-1] * 100_000)
            case "many":
                violations = [FieldViolation(f"items[{n}].text", "is too long") for n in range(1000)]
                raise Error(reasons.FENCED, "many rules", violations)
            case "draining":
                raise Error(reasons.DRAINING, "going away")
            case "name":
                return Text(text=self.name)
            case "wrong":
                return None
        return request

    once = who = inner = small = say

    async def _wait(self) -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def chat(self, requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        self.contexts.append(context)
        try:
            async for request in requests:
                yield await self.say(request, context)
        finally:
            self.cancelled.set()

    async def count(self, request: Any, _: Context) -> AsyncIterator[Any]:
        for number in range(int(request.text)):
            yield Text(text=str(number))

    async def join(self, requests: AsyncIterator[Any], _: Context) -> Any:
        return Text(text="".join([request.text async for request in requests]))
