"""Composition root of the connection gateway."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, replace

from idiom.v1 import reason_errors as reasons
from im.client.v1.session_service_socket import SESSION
from im.connect.v1.delivery_service_rpc import DELIVERY_SERVICE
from im.descriptors import registry
from im.errors.v1 import close_closes as closes
from im.logic.v1.conversation_service_rpc import CONVERSATION_SERVICE, ConversationServiceClient
from im.logic.v1.message_service_rpc import MESSAGE_SERVICE
from im.stream.v1.conversation_event_stream import CONVERSATION_EVENT
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
from impl.connect.acks import PACE_SECONDS, Acks
from impl.connect.address import require_free, socket_url
from impl.connect.alarm import Alarm
from impl.connect.delivery import Delivery
from impl.connect.gateway import Gateway, deadlines
from impl.connect.heads import RHYTHM, HeadWatch, Rhythm
from impl.connect.hub import Hub
from impl.connect.keeper import EXPIRY_SECONDS, REFRESH_SECONDS, SessionKeeper
from impl.connect.memberships import Memberships
from impl.connect.online import Online
from impl.connect.registry import LINGER_SECONDS, RoomRegistry
from impl.connect.resume import BOUNDS, Bounds
from impl.connect.rooms import RoomIndex
from impl.connect.seen import Seen
from impl.connect.session import Limits
from impl.settings import Settings
from impl.storage.conversations import Conversations
from impl.storage.deployment import agreed_partitions
from impl.storage.membership import Stored
from impl.storage.redis_client import connect_redis
from impl.storage.room_instances import RoomInstances
from impl.storage.sessions import Sessions

TARGET = "connect"
_BOOT_BYTES = 8
_MAX_BATCH_BYTES = 16 << 20
_RESUMING_CALLS = 64
"""Calls to logic at the same time for sessions that resume."""
_RETRY_SECONDS = 0.5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tuning:
    """What tests turn."""

    socket: Socket = SESSION
    opening_seconds: float = 10.0
    """From hello to welcome."""
    closing_seconds: float = 3.0
    """Longest closing handshake."""
    refresh_seconds: float = REFRESH_SECONDS
    """Interval in which the maps of sessions and rooms are refreshed."""
    expiry_seconds: float = EXPIRY_SECONDS
    """Life of an entry in these maps."""
    linger_seconds: float = LINGER_SECONDS
    """For which a room stays in its map after its last member has gone."""
    ack_seconds: float = PACE_SECONDS
    """Longest wait of an ack."""
    bounds: Bounds = BOUNDS
    """What a session is sent of what it missed."""
    rhythm: Rhythm = RHYTHM
    """In which heads are compared."""


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
    require_free(settings.host, settings.connect_port)
    require_free(settings.internal_host, settings.connect_grpc_port)
    async with AsyncExitStack() as stack:
        etcd = await stack.enter_async_context(Etcd(settings.effective_etcd_endpoints, settings.etcd_prefix))
        hub, delivery = await _parts(stack, settings, tuning, etcd)
        grpc_port = await stack.enter_async_context(_deliveries(settings, delivery))
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


async def _parts(
    stack: AsyncExitStack, settings: Settings, tuning: Tuning, etcd: Etcd
) -> tuple[Hub, Delivery]:
    instance, boot_id = settings.instance or f"{TARGET}-1", secrets.token_hex(_BOOT_BYTES)
    partitions = await _partitions(etcd)
    redis = await stack.enter_async_context(connect_redis(settings.effective_redis_url))
    channel = await stack.enter_async_context(await _logic(stack, settings, etcd))
    logic = ConversationServiceClient(channel)
    index, seen, alarm = RoomIndex(), Seen(), Alarm()
    instances = RoomInstances(redis, partitions, tuning.expiry_seconds)
    registry = RoomRegistry(instances, index, instance, boot_id, tuning.linger_seconds)
    sessions = Sessions(redis, tuning.expiry_seconds)
    keeper = SessionKeeper(sessions, registry, redis, alarm.sound, refresh_seconds=tuning.refresh_seconds)
    online, memberships = Online(index), Memberships(logic, index, registry)
    heads = Conversations(redis, partitions, _not_asked)
    watch = HeadWatch(
        heads, online, index, seen, memberships, alarm=alarm, found=keeper.doubt, rhythm=tuning.rhythm
    )
    limits = Limits.of(tuning.socket, tuning.opening_seconds, tuning.closing_seconds)
    hub = Hub(
        instance=instance,
        boot_id=boot_id,
        endpoint=_endpoint(tuning),
        limits=limits,
        bounds=replace(tuning.bounds, size=min(tuning.bounds.size, tuning.socket.send_queue_bytes // 2)),
        pipeline=Pipeline(Authenticator(_users(settings), None)),
        channel=channel,
        keeper=await stack.enter_async_context(keeper.running()),
        memberships=memberships,
        acks=await stack.enter_async_context(Acks(logic, pace_seconds=tuning.ack_seconds).running()),
        online=online,
        seen=seen,
        wheel=deadlines(limits),
        resuming=asyncio.Semaphore(_RESUMING_CALLS),
    )
    await stack.enter_async_context(watch.running())
    return hub, Delivery(online, index, seen, boot_id, alarm.sound)


async def _logic(stack: AsyncExitStack, settings: Settings, etcd: Etcd) -> Upstreams:
    services = (MESSAGE_SERVICE, CONVERSATION_SERVICE)
    instances = await stack.enter_async_context(Instances(etcd, MESSAGE_SERVICE.target))
    tokens = ServiceTokens(settings.service_key(), TARGET)
    return Upstreams(services, {MESSAGE_SERVICE.target: instances}, tokens)


async def _partitions(etcd: Etcd) -> int:
    """As the deployment agreed; waits for etcd."""
    while True:
        try:
            return await agreed_partitions(etcd, CONVERSATION_EVENT.partitions)
        except Error as error:
            if error.reason is not reasons.DEPENDENCY_UNAVAILABLE:
                raise
            log.warning("waiting for etcd: %s", error.message)
        await asyncio.sleep(_RETRY_SECONDS)


async def _not_asked(_conversation_id: str) -> Stored | None:
    """There is no database here: heads are read where Redis has them."""
    return None


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


def _deliveries(settings: Settings, delivery: Delivery) -> AbstractAsyncContextManager[int]:
    services = ServiceTokens(settings.service_key(), TARGET)
    return serve_grpc(
        f"{settings.internal_host}:{settings.connect_grpc_port}",
        [(DELIVERY_SERVICE, delivery)],
        Pipeline(Authenticator(_users(settings), services), max_request_bytes=_MAX_BATCH_BYTES),
        drain=settings.drain_seconds,
    )


def _users(settings: Settings) -> UserTokens:
    return UserTokens(settings.user_key(), settings.access_token_seconds)
