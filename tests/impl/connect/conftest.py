"""A running connection gateway with its real neighbours."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format
from im.client.v1.frames_pb2 import ClientFrame, Cursor, ServerFrame
from im.connect.v1.delivery_service_pb2 import DeliverRequest, DeliverResponse
from im.connect.v1.delivery_service_rpc import DELIVERY_SERVICE, DeliveryServiceClient
from im.logic.v1.auth_service_pb2 import RegisterRequest
from im.logic.v1.auth_service_rpc import AUTH_SERVICE, AuthServiceClient
from im.logic.v1.conversation_service_rpc import CONVERSATION_SERVICE, ConversationServiceClient
from im.logic.v1.message_pb2 import Message
from im.logic.v1.message_service_pb2 import SendMessageRequest
from im.logic.v1.message_service_rpc import MESSAGE_SERVICE, MessageServiceClient
from im.logic.v1.room_service_pb2 import AddMemberRequest, CreateRoomRequest, RemoveMemberRequest
from im.logic.v1.room_service_rpc import ROOM_SERVICE, RoomServiceClient
from im.logic.v1.rung_pb2 import Progress
from redis.asyncio import Redis as RedisClient
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from codegen.runtime.context import Identity
from codegen.runtime.discovery import Etcd as EtcdClient
from codegen.runtime.discovery import Instance, Instances
from codegen.runtime.grpc_client import CallOptions, Upstreams
from codegen.runtime.identity import ServiceTokens, UserTokens
from impl.connect import app
from impl.settings import Settings
from impl.storage.envelope import private_id
from impl.storage.redis_client import connect_redis
from impl.storage.sessions import SessionAddress, Sessions
from tests.impl.connect.neighbours import running_logic
from tests.servers import Etcd, Redis, etcd_server, free_port, redis_server

JSON, BINARY = Subprotocol("idiom.v1.json"), Subprotocol("idiom.v1.proto")
SECONDS = 20.0
KEY = "k" * 32
_ECHO_SECONDS = 1.1
"""More often than that heartbeats are not answered."""


class Client:
    """One client of the socket, on either subprotocol; frames are messages of the schema or JSON."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._aside: deque[ServerFrame] = deque()

    async def say(self, **members: Any) -> None:
        """Send a frame; members as JSON has them."""
        if self.connection.subprotocol == JSON:
            await self.connection.send(json.dumps(members))
        else:
            frame = json_format.ParseDict(members, ClientFrame())
            await self.connection.send(frame.SerializeToString())

    async def hear(self) -> ServerFrame:
        """The next frame."""
        if self._aside:
            return self._aside.popleft()
        async with asyncio.timeout(SECONDS):
            data = await self.connection.recv()
        if isinstance(data, str):
            return json_format.Parse(data, ServerFrame())
        return ServerFrame.FromString(data)

    async def open(self, token: str, *cursors: Cursor) -> ServerFrame:
        """Say hello; the answer. Without cursors also awaits `resumed`; what came before is heard next."""
        await self.greet(token, *cursors)
        answer = await self.hear()
        if answer.HasField("welcome") and not cursors:
            self._aside.extend(await self.caught_up())
        return answer

    async def greet(self, token: str, *cursors: Cursor) -> None:
        """Say hello."""
        await self.say(
            hello={"accessToken": token, "cursors": [json_format.MessageToDict(one) for one in cursors]}
        )

    async def caught_up(self) -> list[ServerFrame]:
        """The frames before `resumed`."""
        frames = []
        while not (frame := await self.hear()).HasField("resumed"):
            frames.append(frame)
        return frames

    async def silent(self) -> None:
        """Hear nothing but the answer to a heartbeat."""
        await asyncio.sleep(_ECHO_SECONDS)
        await self.say(heartbeat={})
        frame = await self.hear()
        assert frame.HasField("heartbeat"), frame

    async def closed(self) -> tuple[int | None, str | None]:
        """Close code and reason, once the server has closed."""
        with suppress(ConnectionClosed):
            async with asyncio.timeout(SECONDS):
                while True:
                    await self.connection.recv()
        return self.connection.close_code, self.connection.close_reason


@dataclass(frozen=True, slots=True)
class Person:
    """A registered user."""

    id: int
    token: str

    @property
    def calls(self) -> CallOptions:
        """Calls as this user."""
        return CallOptions(identity=Identity(subject=str(self.id)), timeout=SECONDS)

    def with_(self, other: Person) -> str:
        """The private conversation of both."""
        return private_id(self.id, other.id)

    def token_for(self, seconds: float) -> tuple[str, float]:
        """Another token, that lives for so long, and its expiry in unix time."""
        return UserTokens(KEY.encode(), seconds).issue(str(self.id), "login")


class Town:
    """What the tests talk to and look into."""

    def __init__(self, settings: Settings, redis: RedisClient) -> None:
        self.settings = settings
        self.redis = redis
        self.sessions = Sessions(redis)
        self.instances: Instances
        self.logic: Instances
        self.deliveries: DeliveryServiceClient
        self.accounts: AuthServiceClient
        self.messages: MessageServiceClient
        self.conversations: ConversationServiceClient
        self.rooms: RoomServiceClient
        self.stop = asyncio.Event()
        self.running: asyncio.Task[None]

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.settings.connect_port}/v1/ws"

    @property
    def instance(self) -> Instance:
        return self.instances.all()[0]

    async def person(self) -> Person:
        """A new user."""
        request = RegisterRequest(username=f"u-{secrets.token_hex(6)}", password="correct horse")
        registered = await self.accounts.register(request)
        return Person(registered.user.id, registered.access_token)

    @asynccontextmanager
    async def client(self, subprotocol: Subprotocol = JSON, **options: Any) -> AsyncIterator[Client]:
        options = {"max_queue": None, "close_timeout": 1, "ping_interval": None, **options}
        async with connect(self.url, subprotocols=[subprotocol], **options) as connection:
            yield Client(connection)

    @asynccontextmanager
    async def session(
        self, person: Person, subprotocol: Subprotocol = JSON, **options: Any
    ) -> AsyncIterator[tuple[Client, str]]:
        """A client that has been welcomed, and its session id."""
        async with self.client(subprotocol, **options) as client:
            frame = await client.open(person.token)
            assert frame.WhichOneof("frame") == "welcome", frame
            yield client, frame.welcome.session_id

    async def send(self, sender: Person, to: Person | int, *texts: str) -> list[Message]:
        """Messages to a user or a room, accepted by logic."""
        sent = []
        for text in texts:
            request = SendMessageRequest(client_message_id=secrets.token_hex(8), text=text)
            if isinstance(to, Person):
                request.to_user_id = to.id
            else:
                request.room_id = to
            sent.append((await self.messages.send_message(request, sender.calls)).message)
        return sent

    async def room(self, owner: Person, *others: Person) -> int:
        """A new room; its id."""
        request = CreateRoomRequest(name="room", member_ids=[person.id for person in others])
        return (await self.rooms.create_room(request, owner.calls)).room.id

    async def join(self, room: int, owner: Person, person: Person) -> int:
        """The owner adds a person; the number of that."""
        request = AddMemberRequest(room_id=room, user_id=person.id)
        return (await self.rooms.add_member(request, owner.calls)).member.joined_seq

    async def leave(self, room: int, person: Person) -> None:
        request = RemoveMemberRequest(room_id=room, user_id=person.id)
        await self.rooms.remove_member(request, person.calls)

    async def deliver(self, *requests: DeliverRequest) -> list[DeliverResponse]:
        async def each() -> AsyncIterator[DeliverRequest]:
            for request in requests:
                yield request

        options = CallOptions(instance=self.instance.name, timeout=SECONDS)
        return [response async for response in self.deliveries.deliver(each(), options)]

    def batch(self, *items: tuple[Message, list[str]], **changes: Any) -> DeliverRequest:
        made = [DeliverRequest.Item(message=message, session_ids=ids) for message, ids in items]
        values = {"batch": 1, "partition": 3, "token": 10, "boot_id": self.instance.boot_id, **changes}
        return DeliverRequest(items=made, **values)

    def to_room(self, *messages: Message, ids: Sequence[str] = (), origin: str = "") -> DeliverRequest:
        """Events for all members of their room who are here."""
        items = [
            DeliverRequest.Item(message=message, session_ids=ids, to_room=True, origin_session=origin)
            for message in messages
        ]
        return DeliverRequest(batch=1, partition=3, token=10, boot_id=self.instance.boot_id, items=items)

    def progress(self, progress: Progress, *session_ids: str) -> DeliverRequest:
        item = DeliverRequest.Item(progress=progress, session_ids=session_ids)
        return DeliverRequest(
            batch=1, group="persist", partition=3, token=10, boot_id=self.instance.boot_id, items=[item]
        )

    async def mapped(self, user_id: int) -> list[SessionAddress]:
        return list((await self.sessions.of([user_id])).get(user_id, []))

    async def end(self) -> None:
        self.stop.set()
        async with asyncio.timeout(SECONDS):
            await self.running


def message(number: int, text: str = "hi", conversation: str = "dm.1.2") -> Message:
    return Message(
        id=1000 + number, conversation_id=conversation, epoch=1, seq=number, sender_id=1, text=text
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_redis() -> AsyncIterator[Redis]:
    async with redis_server() as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_etcd() -> AsyncIterator[Etcd]:
    async with etcd_server() as server:
        yield server


@pytest.fixture
async def settings(tmp_path: Path, shared_redis: Redis, shared_etcd: Etcd) -> Settings:
    async with connect_redis(shared_redis.url) as client:
        await client.flushall()
    return made(tmp_path, shared_redis, shared_etcd)


def made(data_dir: Path, redis: Redis, etcd: Etcd) -> Settings:
    return Settings(
        data_dir=data_dir,
        connect_port=free_port(),
        connect_grpc_port=free_port(),
        logic_grpc_port=free_port(),
        redis_url=redis.url,
        etcd_endpoints=(etcd.endpoint,),
        etcd_prefix=f"/{secrets.token_hex(4)}",
        user_secret=KEY,
        service_secret=KEY,
        drain_seconds=2.0,
    )


@asynccontextmanager
async def running(settings: Settings, tuning: app.Tuning | None = None) -> AsyncIterator[Town]:
    """The gateway, running in this process, and eyes on its neighbours."""
    async with (
        connect_redis(settings.effective_redis_url) as redis,
        EtcdClient(settings.effective_etcd_endpoints, settings.etcd_prefix) as etcd,
        Instances(etcd, "connect") as instances,
        Instances(etcd, "logic") as logic,
        Upstreams(
            [DELIVERY_SERVICE, AUTH_SERVICE, MESSAGE_SERVICE, CONVERSATION_SERVICE, ROOM_SERVICE],
            {"connect": instances, "logic": logic},
            ServiceTokens(KEY.encode(), "task"),
        ) as upstreams,
    ):
        town = Town(settings, redis)
        town.instances, town.deliveries = instances, DeliveryServiceClient(upstreams)
        town.logic, town.accounts = logic, AuthServiceClient(upstreams)
        town.messages, town.rooms = MessageServiceClient(upstreams), RoomServiceClient(upstreams)
        town.conversations = ConversationServiceClient(upstreams)
        ready = asyncio.Event()
        town.running = asyncio.create_task(app.run(settings, ready.set, town.stop, tuning))
        try:
            async with asyncio.timeout(SECONDS):
                await ready.wait()
                while not instances.all():
                    await instances.changed()
            yield town
        finally:
            await town.end()


@pytest.fixture
async def town(settings: Settings) -> AsyncIterator[Town]:
    """The gateway beside a running logic."""
    async with running_logic(settings), running(settings) as made_town:
        yield made_town
