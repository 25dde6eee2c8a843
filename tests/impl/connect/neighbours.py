"""Logic and task, as the connection gateway knows them: the real ones, on a database of their own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from google.protobuf.message import Message
from im.errors.v1.reason_errors import HISTORY_INCOMPLETE
from im.logic.v1.auth_service_rpc import AUTH_SERVICE
from im.logic.v1.conversation_service_rpc import CONVERSATION_SERVICE
from im.logic.v1.message_service_rpc import MESSAGE_SERVICE
from im.logic.v1.room_service_rpc import ROOM_SERVICE

from codegen.runtime.context import Context
from codegen.runtime.discovery import Etcd, Instance, Instances, register
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import CallOptions, Channel, Upstreams
from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import Authenticator, ServiceTokens, UserTokens
from codegen.runtime.method import Method, Service
from codegen.runtime.pipeline import Pipeline
from impl.logic import app as logic_app
from impl.settings import Settings
from impl.storage.migration import migrate
from impl.task import app as task_app
from tests.servers import free_port

_SECONDS = 30.0
_SERVICES = (AUTH_SERVICE, MESSAGE_SERVICE, CONVERSATION_SERVICE, ROOM_SERVICE)

Run = Callable[[Settings, Callable[[], None], asyncio.Event], Coroutine[Any, Any, None]]


@asynccontextmanager
async def running_logic(settings: Settings) -> AsyncIterator[None]:
    """Logic in this process; its tables are made if need be."""
    await asyncio.to_thread(migrate, settings.effective_database_url)
    async with _running(logic_app.run, settings):
        yield


@asynccontextmanager
async def running_task(settings: Settings) -> AsyncIterator[None]:
    """Message processing in this process, beside a running logic."""
    async with _running(task_app.run, settings):
        yield


@asynccontextmanager
async def _running(run: Run, settings: Settings) -> AsyncIterator[None]:
    ready, stop = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(run(settings, ready.set, stop))
    try:
        async with asyncio.timeout(_SECONDS):
            await ready.wait()
        yield
    finally:
        stop.set()
        async with asyncio.timeout(_SECONDS):
            await running


class Gate:
    """Passes calls on to logic, and keeps the answers of a method for as long as it is told to."""

    def __init__(self, channel: Channel) -> None:
        self.calls: Counter[str] = Counter()
        self._channel = channel
        self._shut: dict[str, asyncio.Event] = {}
        self._waiting: Counter[str] = Counter()
        self._left: dict[str, int] = {}
        self._changed = asyncio.Condition()

    def hold(self, method: str) -> None:
        """Keep answers from now on."""
        self._shut[method] = asyncio.Event()

    def free(self, method: str) -> None:
        """Give the answers out."""
        self._shut.pop(method).set()

    def fail(self, method: str, after: int) -> None:
        """Refuse calls as a logic does that cannot read the history, all but the next ones."""
        self._left[method] = after

    async def held(self, method: str, count: int = 1) -> None:
        """Wait until so many answers are there and kept."""
        async with asyncio.timeout(_SECONDS), self._changed:
            await self._changed.wait_for(lambda: self._waiting[method] >= count)

    async def pass_on(self, method: Method, request: Message, context: Context) -> Message:
        self.calls[method.attribute] += 1
        if method.attribute in self._left:
            if self._left[method.attribute] == 0:
                raise Error(HISTORY_INCOMPLETE, "a part of the history cannot be read now")
            self._left[method.attribute] -= 1
        options = CallOptions(identity=context.identity, timeout=context.remaining)
        response = await self._channel.unary(method, request, method.response, options)
        if (shut := self._shut.get(method.attribute)) is not None:
            self._waiting[method.attribute] += 1
            async with self._changed:
                self._changed.notify_all()
            await shut.wait()
            self._waiting[method.attribute] -= 1
        return response


class _Passage:
    """A service whose methods are all passed on."""

    def __init__(self, service: Service, gate: Gate) -> None:
        self._methods = {method.attribute: method for method in service.methods}
        self._gate = gate

    def __getattr__(self, attribute: str) -> Callable[[Message, Context], Awaitable[Message]]:
        return partial(self._gate.pass_on, self._methods[attribute])


@asynccontextmanager
async def gated_logic(settings: Settings) -> AsyncIterator[Gate]:
    """Logic behind a gate: the real one is registered elsewhere, under its place is the gate."""
    behind = settings.model_copy(
        update={"etcd_prefix": f"{settings.etcd_prefix}-behind", "logic_grpc_port": free_port()}
    )
    tokens = ServiceTokens(settings.service_key(), "gate")
    pipeline = Pipeline(Authenticator(UserTokens(settings.user_key(), 60.0), tokens))
    async with (
        running_logic(behind),
        Etcd(behind.effective_etcd_endpoints, behind.etcd_prefix) as etcd_behind,
        Instances(etcd_behind, "logic") as instances,
        Upstreams(_SERVICES, {"logic": instances}, tokens) as channel,
    ):
        gate = Gate(channel)
        handlers = [(service, _Passage(service, gate)) for service in _SERVICES]
        async with (
            serve_grpc("127.0.0.1:0", handlers, pipeline) as port,
            Etcd(settings.effective_etcd_endpoints, settings.etcd_prefix) as etcd,
            register(etcd, Instance("logic", "gate", "boot", f"127.0.0.1:{port}"), settings.lease_seconds),
        ):
            yield gate


async def until(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds; for what tells nobody. While a server is away it does not hold."""
    async with asyncio.timeout(_SECONDS):
        while not await _holds(condition):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)


async def _holds(condition: Callable[[], Any]) -> bool:
    with suppress(Error, ConnectionError):
        result = condition()
        return bool(await result if isinstance(result, Awaitable) else result)
    return False
