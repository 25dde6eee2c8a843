"""Many people in one room: accounts made at once, sockets that only count."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import websockets
from im.client.v1.frames_pb2 import ClientFrame, Hello, ServerFrame
from im.logic.v1.room_pb2 import HISTORY_POLICY_SINCE_JOIN, JOIN_POLICY_OPEN, RoomSettings
from sqlalchemy import insert
from websockets.typing import Subprotocol

from codegen.runtime.identity import UserTokens
from impl.logic.permissions import Action
from impl.logic.room_changes import Cause
from impl.settings import read_secret
from impl.storage.conversations import Conversations
from impl.storage.database import Database
from impl.storage.envelope import room_conversation
from impl.storage.messages import Messages
from impl.storage.redis_client import connect_redis
from impl.storage.tables import UserRow
from tests.conftest import System

PARTITIONS: Final = 16
MOST_MEMBERS: Final = 100_000
FIRST_MEMBERS: Final = 500
"""With whom a room is created; the others are added, as a client would have to."""
ADDED_AT_ONCE: Final = 1000
_SECONDS: Final = 60.0
_OPENED_AT_ONCE: Final = 32
_PROTO: Final = Subprotocol("idiom.v1.proto")
_numbers = iter(range(1, 1 << 20))


class Registrar:
    """Makes accounts and rooms as logic does, without a call for each."""

    def __init__(self, system: System, database: Database, conversations: Conversations) -> None:
        self._database = database
        self._tokens = UserTokens(read_secret(system.data_dir / "secrets" / "user"), 3600.0)
        self.conversations = conversations

    async def enrol(self, count: int) -> list[int]:
        """New users, by id. None of them can log in."""
        users = [1_000_000 + next(_numbers) for _ in range(count)]
        rows = [
            {
                "id": user,
                "username": f"crowd-{user}",
                "username_key": f"crowd-{user}",
                "password_hash": "",
                "created_at": 0,
            }
            for user in users
        ]
        async with self._database.writing() as connection:
            await connection.execute(insert(UserRow), rows)
        return users

    def token(self, user: int) -> str:
        """An access token."""
        return self._tokens.issue(str(user), "0")[0]

    async def room(self, owner: int, members: Sequence[int]) -> int:
        """A new room, once everybody in it is pushed and stored."""
        room = 2_000_000 + next(_numbers)
        settings = RoomSettings(
            name=f"Room {room}", description="", join=JOIN_POLICY_OPEN, history=HISTORY_POLICY_SINCE_JOIN
        )
        create = Cause(room, owner, self._event()).creates(settings, members[:FIRST_MEMBERS])
        await self.conversations.change(create)
        for start in range(FIRST_MEMBERS, len(members), ADDED_AT_ONCE):
            added = members[start : start + ADDED_AT_ONCE]
            await asyncio.gather(*(self._add(room, owner, user) for user in added))
        async with asyncio.timeout(_SECONDS):
            while not await self._is_settled(room_conversation(room), members[-1]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # nothing tells of it
        return room

    async def _add(self, room: int, owner: int, user: int) -> None:
        cause = Cause(room, owner, self._event())
        await self.conversations.change(cause.admits(Action.ADD, user, MOST_MEMBERS))

    def _event(self) -> int:
        return 3_000_000 + next(_numbers)

    async def _is_settled(self, conversation: str, last: int) -> bool:
        heads = await self.conversations.heads([conversation])
        stored = await self.conversations.durable([conversation])
        pushed = conversation in await self.conversations.rooms_of(last)
        return pushed and stored.get(conversation) == heads[conversation].seq


@asynccontextmanager
async def registrar(system: System) -> AsyncIterator[Registrar]:
    """Works on the system's own Redis and database."""
    async with AsyncExitStack() as stack:
        url = f"sqlite+aiosqlite:///{system.data_dir / 'idiom.sqlite3'}"
        database = await stack.enter_async_context(Database(url))
        redis = await stack.enter_async_context(connect_redis(system.redis_url))
        messages = Messages(database)
        conversations = Conversations(redis, PARTITIONS, messages.stored, stored=messages, patience=_SECONDS)
        yield Registrar(system, database, await stack.enter_async_context(conversations))


class Ears:
    """What all listeners together have heard."""

    def __init__(self, listeners: int) -> None:
        self.listeners = listeners
        self._heard: Counter[int] = Counter()
        self._changed = asyncio.Event()

    def hear(self, data: str | bytes) -> None:
        """A frame has come to one of them."""
        assert isinstance(data, bytes)
        frame = ServerFrame.FromString(data)
        if frame.HasField("message"):
            self._heard[frame.message.id] += 1
            self._changed.set()

    def times(self, message_id: int) -> int:
        """How often a message was heard."""
        return self._heard[message_id]

    async def until(self, message_id: int, times: int) -> None:
        """Until a message was heard as often as this."""
        async with asyncio.timeout(_SECONDS):
            while self._heard[message_id] < times:
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def listening(urls: Sequence[str], tokens: Sequence[str]) -> AsyncIterator[Ears]:
    """Sockets of users, in turn at each address, which hear everything from here on."""
    ears, opening = Ears(len(tokens)), asyncio.Semaphore(_OPENED_AT_ONCE)
    async with AsyncExitStack() as stack:

        async def open_one(url: str, token: str) -> websockets.ClientConnection:
            async with opening:
                socket = await websockets.connect(
                    url, subprotocols=[_PROTO], compression=None, ping_interval=None, open_timeout=_SECONDS
                )
                stack.push_async_callback(socket.close)
                await socket.send(ClientFrame(hello=Hello(access_token=token)).SerializeToString())
                while not (data := await socket.recv()) or not _resumed(data):
                    pass
                return socket

        async def listen(socket: websockets.ClientConnection) -> None:
            async for data in socket:
                ears.hear(data)

        opened = (open_one(urls[n % len(urls)], token) for n, token in enumerate(tokens))
        sockets = await asyncio.gather(*opened)
        listeners = [asyncio.create_task(listen(socket)) for socket in sockets]
        try:
            yield ears
        finally:
            for listener in listeners:
                listener.cancel()
            await asyncio.wait(listeners)


def _resumed(data: str | bytes) -> bool:
    assert isinstance(data, bytes)
    return ServerFrame.FromString(data).HasField("resumed")
