"""Plain HTTP and plain sockets, as any client could speak them; frames are shown as ProtoJSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import websockets
from google.protobuf import json_format
from im.client.v1 import frames_pb2
from websockets.typing import Subprotocol

Codec = Literal["json", "proto"]
Json = dict[str, Any]

ATTEMPT_SECONDS = 5.0
TRANSIENT_CODES = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CANCELLED"})
_TRANSIENT_STATUS = frozenset({429, 499, 502, 503, 504})
_PASSWORD = "correct horse"


class NotNowError(Exception):
    """The system cannot answer at the moment."""


class RefusedError(Exception):
    """The system has answered, and will not do it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


DISCONNECTED = (OSError, websockets.WebSocketException, httpx.HTTPError, TimeoutError, NotNowError)


@dataclass(frozen=True)
class Account:
    """A registered user at one gateway."""

    http: httpx.AsyncClient
    name: str
    user_id: int
    token: str

    async def call(self, verb: str, path: str, body: Json | None = None, /, **query: object) -> Json:
        """The JSON of a success; NotNowError if it may work later, RefusedError if it will not."""
        answer = await self.http.request(
            verb,
            path,
            json=body,
            params={name: str(value) for name, value in query.items()},
            headers={"authorization": f"Bearer {self.token}"},
            timeout=ATTEMPT_SECONDS,
        )
        if answer.status_code == 200:
            found: Json = answer.json()
            return found
        if answer.status_code in _TRANSIENT_STATUS:
            raise NotNowError
        raise RefusedError(_reason(answer))

    async def insist(self, verb: str, path: str, body: Json | None = None, /, **query: object) -> Json:
        """The same, repeated until it has worked or is refused."""
        while True:
            try:
                return await self.call(verb, path, body, **query)
            except DISCONNECTED:
                await asyncio.sleep(0.1)


async def register(http: httpx.AsyncClient, name: str) -> Account:
    """A new user."""
    answer = await http.post("/v1/auth/register", json={"username": name, "password": _PASSWORD})
    answer.raise_for_status()
    body = answer.json()
    return Account(http, name, int(body["user"]["id"]), body["accessToken"])


class Socket:
    """One socket in either subprotocol."""

    def __init__(self, connection: websockets.ClientConnection, codec: Codec) -> None:
        self._connection = connection
        self._codec = codec

    async def say(self, frame: Json) -> None:
        """Sends a client frame."""
        if self._codec == "json":
            await self._connection.send(json.dumps(frame))
        else:
            message = json_format.ParseDict(frame, frames_pb2.ClientFrame())
            await self._connection.send(message.SerializeToString())

    async def __aiter__(self) -> AsyncIterator[Json]:
        """Server frames until the socket is closed."""
        async for data in self._connection:
            if isinstance(data, str):
                yield json.loads(data)
            else:
                yield json_format.MessageToDict(
                    frames_pb2.ServerFrame.FromString(data), always_print_fields_with_no_presence=True
                )

    async def drop(self) -> None:
        """Cuts the connection."""
        self._connection.transport.abort()
        await self._connection.wait_closed()


async def opened(account: Account, codec: Codec, cursors: list[Json] | None = None) -> Socket:
    """A socket that has said hello."""
    where = await account.call("GET", "/v1/connection")
    connection = await websockets.connect(
        where["url"], subprotocols=[Subprotocol(f"idiom.v1.{codec}")], open_timeout=ATTEMPT_SECONDS
    )
    socket = Socket(connection, codec)
    try:
        await socket.say({"hello": {"accessToken": account.token, "cursors": cursors or []}})
    except BaseException:
        connection.transport.abort()
        raise
    return socket


def _reason(answer: httpx.Response) -> str:
    try:
        details = answer.json()["details"]
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.text[:100]}"
    return next((d["reason"] for d in details if "reason" in d), f"{answer.status_code} {answer.text[:100]}")
