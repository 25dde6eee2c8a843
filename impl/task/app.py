"""Composition root of message processing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

from im.connect.v1.delivery_service_rpc import DELIVERY_SERVICE, DeliveryServiceClient
from im.stream.v1.conversation_event_stream import CONVERSATION_EVENT
from im.task.v1.conversation_consumer_consumer import CONVERSATION_CONSUMER
from redis.asyncio import Redis

from codegen.runtime.discovery import Etcd, Instance, Instances, register
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import Upstreams
from codegen.runtime.identity import ServiceTokens
from codegen.runtime.lifecycle import serve_until
from codegen.runtime.streams.consumer import ConsumerRunner
from impl.settings import Settings
from impl.storage.conversations import Conversations
from impl.storage.database import Database
from impl.storage.deployment import agreed_partitions
from impl.storage.generation import Recovery
from impl.storage.messages import Messages
from impl.storage.redis_client import connect_redis, translated
from impl.storage.room_instances import RoomInstances
from impl.storage.sessions import Sessions
from impl.task.consumer import ConversationTask
from impl.task.courier import Courier
from impl.task.deliveries import Deliveries
from impl.task.notices import Notices
from impl.task.outcome import transient
from impl.task.persist import Persist
from impl.task.push import Push

TARGET = "task"
PAUSES = (0.2, 0.4, 0.8, 1.6)
"""Seconds between attempts to reach a dependency at the start; the last one without end."""

T = TypeVar("T")
LOG = logging.getLogger(__name__)


async def run(settings: Settings, ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Consume until `stop` is set and the batches under way are done.

    Args:
        settings: of this process.
        ready: called once it consumes and is registered.
        stop: set from outside.
    """
    await serve_until(stop, ready, lambda begin: _work(settings, begin, stop))


async def _work(settings: Settings, ready: Callable[[], None], stop: asyncio.Event) -> None:
    async with AsyncExitStack() as stack:
        runner = await _start(stack, settings)
        await _consume(runner, ready, stop, settings.drain_seconds)


async def _start(stack: AsyncExitStack, settings: Settings) -> ConsumerRunner:
    etcd = await stack.enter_async_context(Etcd(settings.effective_etcd_endpoints, settings.etcd_prefix))
    partitions = await _reached(lambda: agreed_partitions(etcd, CONVERSATION_EVENT.partitions))
    database = await stack.enter_async_context(Database(settings.effective_database_url))
    messages = Messages(database)
    url = settings.effective_redis_url
    recovery = Recovery(url, etcd, partitions, messages.ordinal)
    redis = await stack.enter_async_context(connect_redis(url, recovery))
    await _reached(database.check)
    await _reached(lambda: _answering(redis))
    conversations = await stack.enter_async_context(
        Conversations(redis, partitions, messages.stored, recovery, stored=messages)
    )
    sessions, rooms = Sessions(redis), RoomInstances(redis, partitions)
    courier, notices = await _couriers(stack, await _gateways(stack, settings, etcd), sessions, rooms)
    push = Push(conversations, sessions, rooms, courier)
    here = Instance(TARGET, settings.instance or f"{TARGET}-1", secrets.token_hex(8), "")
    return ConsumerRunner(
        redis,
        etcd,
        CONVERSATION_CONSUMER,
        ConversationTask(push, Persist(messages, conversations, notices)),
        instance=here,
        instances=await stack.enter_async_context(Instances(etcd, TARGET)),
        lease=await stack.enter_async_context(register(etcd, here, settings.lease_seconds)),
        partitions=partitions,
    )


async def _gateways(stack: AsyncExitStack, settings: Settings, etcd: Etcd) -> DeliveryServiceClient:
    gateways = await stack.enter_async_context(Instances(etcd, DELIVERY_SERVICE.target))
    tokens = ServiceTokens(settings.service_key(), TARGET)
    upstreams = Upstreams((DELIVERY_SERVICE,), {DELIVERY_SERVICE.target: gateways}, tokens)
    return DeliveryServiceClient(await stack.enter_async_context(upstreams))


async def _couriers(
    stack: AsyncExitStack, client: DeliveryServiceClient, sessions: Sessions, rooms: RoomInstances
) -> tuple[Courier, Notices]:
    """Each has streams of its own to the gateways, so that notices hold up no message."""
    push, persist = [
        Courier(await stack.enter_async_context(Deliveries(client)), sessions, rooms) for _ in range(2)
    ]
    return push, await stack.enter_async_context(Notices(sessions, persist))


async def _consume(
    runner: ConsumerRunner, ready: Callable[[], None], stop: asyncio.Event, drain_seconds: float
) -> None:
    running = asyncio.create_task(runner.run(), name="consumer")
    try:
        ready()
        await _first_of(stop, running)
        runner.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_seconds):
                await running
    finally:
        running.cancel()
        await asyncio.wait([running])


async def _first_of(stop: asyncio.Event, running: asyncio.Task[None]) -> None:
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({stopped, running}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()


async def _reached(attempt: Callable[[], Awaitable[T]]) -> T:
    """The result of an attempt, made again while what it needs is away."""
    for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
        try:
            return await attempt()
        except Error as error:
            if not transient(error):
                raise
            LOG.warning("waiting to start: %s", error)
        await asyncio.sleep(pause)
    raise AssertionError  # not reached: the pauses do not end


async def _answering(redis: Redis) -> None:
    with translated():
        await redis.ping()
