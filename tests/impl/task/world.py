"""What the task tier works with: real etcd, Redis and SQLite, and gateways that serve the delivery rpc."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from im.connect.v1.delivery_service_pb2 import DeliverRequest, DeliverResponse
from im.connect.v1.delivery_service_rpc import DELIVERY_SERVICE, DeliveryServiceClient
from im.logic.v1.room_pb2 import HISTORY_POLICY_SINCE_JOIN, JOIN_POLICY_OPEN, RoomSettings
from im.logic.v1.rung_pb2 import DURABLE
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.context import Context
from codegen.runtime.discovery import Etcd, Instance, Instances, register
from codegen.runtime.grpc_client import Upstreams
from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import Authenticator, ServiceTokens, UserTokens
from codegen.runtime.pipeline import Pipeline
from impl.logic.room_changes import Cause
from impl.settings import Settings
from impl.storage.accept import Accepted, Send
from impl.storage.conversations import Conversations
from impl.storage.database import Database
from impl.storage.envelope import payload_hash, private_members, room_of
from impl.storage.generation import Recovery
from impl.storage.messages import Messages
from impl.storage.migration import migrate
from impl.storage.redis_client import connect_redis
from impl.storage.room_instances import RoomInstances
from impl.storage.sessions import SessionAddress, Sessions
from impl.task.courier import Courier
from impl.task.deliveries import Deliveries
from tests import servers
from tests.impl.task.events import event

PARTITIONS = 16
KEY = "k" * 32
SECONDS = 20.0


class Gateway:
    """A gateway that notes what it is told, and misbehaves on demand."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.boot_id = f"boot-{name}"
        self.heard: list[DeliverRequest] = []
        self.changed = asyncio.Condition()
        self.open = asyncio.Event()
        self.open.set()
        self.break_next = False
        self.outcome = DeliverResponse.OUTCOME_DELIVERED
        self.unknown: Sequence[str] = ()
        self.streams = 0

    async def deliver(
        self, requests: AsyncIterator[DeliverRequest], _: Context
    ) -> AsyncIterator[DeliverResponse]:
        self.streams += 1
        async for request in requests:
            await self.open.wait()
            if self.break_next:
                self.break_next = False
                return
            self.heard.append(request)
            async with self.changed:
                self.changed.notify_all()
            yield DeliverResponse(batch=request.batch, outcome=self.outcome, unknown_session_ids=self.unknown)

    @property
    def items(self) -> list[DeliverRequest.Item]:
        return [item for request in self.heard for item in request.items]

    @property
    def ids(self) -> list[int]:
        return [item.message.id for item in self.items if item.HasField("message")]

    @property
    def stored(self) -> list[tuple[str, int, list[str]]]:
        """Conversation, number and sessions of what was said to be durable."""
        return [
            (item.progress.conversation_id, item.progress.seq, list(item.session_ids))
            for item in self.items
            if item.progress.state == DURABLE
        ]

    async def hears(self, *ids: int) -> None:
        await self.until(lambda: self.ids == list(ids))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS), self.changed:
            await self.changed.wait_for(condition)

    def session(self, user: int, session_id: str) -> SessionAddress:
        return SessionAddress(user, session_id, self.name, self.boot_id)


class World:
    def __init__(self, etcd: servers.Etcd, redis: servers.Redis, directory: Path) -> None:
        self.etcd_server, self.redis_server = etcd, redis
        self.url = f"sqlite+aiosqlite:///{directory / 'idiom.sqlite3'}"
        self._stack = AsyncExitStack()
        self.settings = Settings(
            data_dir=directory,
            redis_url=redis.url,
            etcd_endpoints=(etcd.endpoint,),
            database_url=self.url,
            user_secret=KEY,
            service_secret=KEY,
            lease_seconds=2,
            drain_seconds=2,
        )

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(migrate, self.url)
        enter = self._stack.enter_async_context
        self.etcd = await enter(Etcd(self.settings.etcd_endpoints, self.settings.etcd_prefix))
        self.database = await enter(Database(self.url))
        self.messages = Messages(self.database)
        recovery = Recovery(self.redis_server.url, self.etcd, PARTITIONS, self.messages.ordinal)
        self.redis = await enter(connect_redis(self.redis_server.url, recovery))
        self.conversations = await enter(
            Conversations(
                self.redis,
                PARTITIONS,
                self.messages.stored,
                recovery,
                stored=self.messages,
            )
        )
        self.sessions = Sessions(self.redis)
        self.instances = RoomInstances(self.redis, PARTITIONS)
        gateways = await enter(Instances(self.etcd, "connect"))
        self.gateways = gateways
        services = ServiceTokens(KEY.encode(), "task")
        upstreams = await enter(Upstreams((DELIVERY_SERVICE,), {"connect": gateways}, services))
        self.deliveries = await enter(Deliveries(DeliveryServiceClient(upstreams)))
        self.courier = Courier(self.deliveries, self.sessions, self.instances)
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stack.aclose()

    @contextlib.asynccontextmanager
    async def gateway(self, name: str) -> AsyncIterator[Gateway]:
        gateway = Gateway(name)
        tokens = Authenticator(UserTokens(KEY.encode(), 60), ServiceTokens(KEY.encode(), "connect"))
        served = [(DELIVERY_SERVICE, gateway)]
        async with serve_grpc("127.0.0.1:0", served, Pipeline(tokens), drain=0.2) as port:
            here = Instance("connect", name, gateway.boot_id, f"127.0.0.1:{port}")
            async with register(self.etcd, here, 5):
                await self._sees(name)
                yield gateway

    async def _sees(self, name: str) -> None:
        async with asyncio.timeout(SECONDS):
            while self.gateways.get(name) is None:
                await self.gateways.changed()

    async def send(self, number: int, *, sender: int = 1, to: int = 2) -> Accepted:
        """Accept a message, as logic does."""
        said = event(number, sender=sender, to=to)
        said.ClearField("seq")
        said.ClearField("epoch")
        conversation = said.conversation_id
        return await self.conversations.accept(
            Send(
                conversation_id=conversation,
                sender_id=sender,
                members=private_members(conversation) or (),
                client_message_id=said.message.client_message_id or secrets.token_hex(8),
                payload_hash=payload_hash(conversation, said.message.text),
                message_id=number,
                created_ms=1_700_000_000_000,
                event=said.SerializeToString(),
            )
        )

    async def room(self, conversation_id: str, owner: int, *members: int) -> None:
        """Create a room, as logic does."""
        number = room_of(conversation_id)
        assert number is not None
        settings = RoomSettings(
            name="Bridge", description="", join=JOIN_POLICY_OPEN, history=HISTORY_POLICY_SINCE_JOIN
        )
        await self.conversations.change(Cause(number, owner, event_id=number).creates(settings, members))

    async def stored_ids(self, conversation_id: str) -> list[int]:
        envelopes = await self.messages.page(conversation_id, None, None, 1000)
        return [ConversationEvent.FromString(envelope).id for envelope in envelopes]
