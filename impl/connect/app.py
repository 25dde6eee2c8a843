"""Composition root of the connection gateway."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass

from idiom.v1 import reason_errors as reasons
from im.client.v1.session_service_socket import SESSION
from im.connect.v1.delivery_service_rpc import DELIVERY_SERVICE
from im.descriptors import registry
from im.errors.v1 import close_closes as closes
from im.logic.v1.conversation_service_rpc import CONVERSATION_SERVICE
from im.logic.v1.message_service_rpc import MESSAGE_SERVICE
from websockets.frames import CloseCode as ProtocolCode

from codegen.runtime.codec import JsonCodec
from codegen.runtime.discovery import Etcd, Instance, Instances, register
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import Upstreams
from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import Authenticator, ServiceTokens, UserTokens
from codegen.runtime.lifecycle import serve_until
from codegen.runtime.method import Socket
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.sockets import Endpoint, Failure
from impl.connect.address import socket_url
from impl.connect.delivery import Delivery
from impl.connect.gateway import Gateway, deadlines
from impl.connect.keeper import SessionKeeper
from impl.connect.peer import Hub
from impl.connect.session import Limits
from impl.settings import Settings
from impl.storage.redis_client import connect_redis
from impl.storage.sessions import Sessions

TARGET = "connect"
_BOOT_BYTES = 8
_MAX_BATCH_BYTES = 16 << 20

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tuning:
    """What tests turn."""

    socket: Socket = SESSION
    opening_seconds: float = 10.0
    """From hello to welcome."""
    closing_seconds: float = 3.0
    """Longest closing handshake."""
    refresh_seconds: float = 30.0
    """Interval in which the session map is refreshed."""
    expiry_seconds: float = 90.0
    """Life of an entry in the session map."""


async def run(
    settings: Settings, ready: Callable[[], None], stop: asyncio.Event, tuning: Tuning | None = None
) -> None:
    """Serve sockets and deliveries until `stop` is set and everything has drained.

    Args:
        settings: of this process.
        ready: called once it serves and is registered.
        stop: set from outside.
        tuning: limits that differ from the schema's.
    """
    await serve_until(stop, ready, lambda begin: _serve(settings, begin, stop, tuning or Tuning()))


async def _serve(settings: Settings, ready: Callable[[], None], stop: asyncio.Event, tuning: Tuning) -> None:
    async with AsyncExitStack() as stack:
        etcd = await stack.enter_async_context(Etcd(settings.effective_etcd_endpoints, settings.etcd_prefix))
        hub = await _hub(stack, settings, tuning, etcd)
        grpc_port = await stack.enter_async_context(_deliveries(settings, hub))
        port = await stack.enter_async_context(
            Gateway(hub, settings.drain_seconds).serving(settings.host, settings.connect_port)
        )
        url = settings.public_connect_url or socket_url(settings.host, port, tuning.socket.path)
        here = Instance(
            TARGET, hub.instance, hub.boot_id, f"{settings.internal_host}:{grpc_port}", {"url": url}
        )
        await stack.enter_async_context(register(etcd, here, settings.lease_seconds))
        log.info("sockets at %s", url)
        ready()
        await stop.wait()


async def _hub(stack: AsyncExitStack, settings: Settings, tuning: Tuning, etcd: Etcd) -> Hub:
    redis = await stack.enter_async_context(connect_redis(settings.effective_redis_url))
    logic = await stack.enter_async_context(Instances(etcd, MESSAGE_SERVICE.target))
    channel = await stack.enter_async_context(
        Upstreams(
            (MESSAGE_SERVICE, CONVERSATION_SERVICE),
            {MESSAGE_SERVICE.target: logic},
            ServiceTokens(settings.service_key(), TARGET),
        )
    )
    sessions = Sessions(redis, tuning.expiry_seconds)
    keeper = SessionKeeper(sessions, redis, refresh_seconds=tuning.refresh_seconds)
    limits = Limits.of(tuning.socket, tuning.opening_seconds, tuning.closing_seconds)
    return Hub(
        instance=settings.instance or f"{TARGET}-1",
        boot_id=secrets.token_hex(_BOOT_BYTES),
        endpoint=_endpoint(tuning),
        limits=limits,
        pipeline=Pipeline(Authenticator(_users(settings), None)),
        channel=channel,
        keeper=await stack.enter_async_context(keeper.running()),
        wheel=deadlines(limits),
    )


def _endpoint(tuning: Tuning) -> Endpoint:
    too_large = Error(reasons.TOO_LARGE, f"a frame has at most {tuning.socket.max_frame_bytes} bytes")
    no_text = Error(reasons.MALFORMED_BODY, "the text frame is not UTF-8")
    failures: dict[int, Failure] = {
        ProtocolCode.MESSAGE_TOO_BIG: Failure(closes.FRAME_TOO_LARGE, too_large),
        ProtocolCode.INVALID_DATA: Failure(closes.MALFORMED_FRAME, no_text),
    }
    return Endpoint(tuning.socket, _json(), failures, tuning.closing_seconds)


def _json() -> JsonCodec:
    """As the gateway writes it: a message has the same fields on every wire."""
    return JsonCodec(registry(), always_print_fields_with_no_presence=True)


def _deliveries(settings: Settings, hub: Hub) -> AbstractAsyncContextManager[int]:
    services = ServiceTokens(settings.service_key(), TARGET)
    return serve_grpc(
        f"{settings.internal_host}:{settings.connect_grpc_port}",
        [(DELIVERY_SERVICE, Delivery(hub.sessions, hub.boot_id))],
        Pipeline(Authenticator(_users(settings), services), max_request_bytes=_MAX_BATCH_BYTES),
        drain=settings.drain_seconds,
    )


def _users(settings: Settings) -> UserTokens:
    return UserTokens(settings.user_key(), settings.access_token_seconds)
