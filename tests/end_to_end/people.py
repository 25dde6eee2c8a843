"""People who talk through the running system, with plain HTTP and plain sockets only."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import websockets
from google.protobuf import json_format
from im.client.v1 import frames_pb2
from websockets.typing import Subprotocol

Codec = Literal["json", "proto"]
Json = dict[str, Any]

PASSWORD = "correct horse battery"
MESSAGE_FIELDS = {
    "id",
    "conversationId",
    "epoch",
    "seq",
    "senderId",
    "clientMessageId",
    "text",
    "createdAt",
}
_SECONDS = 15.0
_numbers = itertools.count()


def fresh(prefix: str) -> str:
    """A name nobody has used in this run."""
    return f"{prefix}-{next(_numbers)}"


@dataclass(frozen=True)
class Person:
    """A registered user at one gateway."""

    http: httpx.AsyncClient
    name: str
    id: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    async def get(self, path: str, **query: object) -> Json:
        return answered(await self.http.get(path, params=_texts(query), headers=self.headers))

    async def send(self, to: Person, text: str, *, path: str = "/v1/messages", cmid: str = "") -> Json:
        """Sends over HTTP and returns the whole answer."""
        body = {"clientMessageId": cmid or fresh("m"), "toUserId": to.id, "text": text}
        return answered(await self.http.post(path, json=body, headers=self.headers))

    async def history(self, conversation: str, **query: object) -> list[Json]:
        page = await self.get(f"/v1/conversations/{conversation}/messages", **query)
        messages: list[Json] = page.get("messages", [])
        return messages


async def register(http: httpx.AsyncClient, prefix: str) -> Person:
    """A new user."""
    name = fresh(prefix)
    body = answered(await http.post("/v1/auth/register", json={"username": name, "password": PASSWORD}))
    return Person(http, name, body["user"]["id"], body["accessToken"])


def answered(response: httpx.Response) -> Json:
    """The JSON of a success."""
    assert response.status_code == 200, response.text
    body: Json = response.json()
    return body


def _texts(query: dict[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in query.items()}


class Phone:
    """One socket session, in either subprotocol; frames are shown as ProtoJSON."""

    def __init__(self, socket: websockets.ClientConnection, codec: Codec) -> None:
        self.codec = codec
        self.welcome: Json = {}
        self._socket = socket
        self._aside: list[Json] = []

    async def say(self, frame: Json) -> None:
        if self.codec == "json":
            await self._socket.send(json.dumps(frame))
        else:
            message = json_format.ParseDict(frame, frames_pb2.ClientFrame())
            await self._socket.send(message.SerializeToString())

    async def expect(self, member: str) -> Json:
        """The next frame of a kind; others are kept for later."""
        for frame in self._aside:
            if member in frame:
                self._aside.remove(frame)
                return _member(frame, member)
        async with asyncio.timeout(_SECONDS):
            while member not in (frame := self._read(await self._socket.recv())):
                self._aside.append(frame)
        return _member(frame, member)

    async def send(self, to: Person, text: str, cmid: str = "") -> Json:
        """Sends over the socket and returns the accepted message."""
        request_id = fresh("r")
        request = {"clientMessageId": cmid or fresh("m"), "toUserId": to.id, "text": text}
        await self.say({"send": {"requestId": request_id, "request": request}})
        sent = await self.expect("sent")
        assert sent["requestId"] == request_id
        assert sent["response"]["state"] == "ACCEPTED"
        message: Json = sent["response"]["message"]
        return message

    async def expect_message(self, message_id: str) -> Json:
        """A certain message; what was delivered before may come again after a crash, and is dropped."""
        while (message := await self.expect("message"))["id"] != message_id:
            pass
        return message

    async def messages(self, count: int) -> list[Json]:
        return [await self.expect("message") for _ in range(count)]

    async def quiet(self, member: str) -> bool:
        """Whether nothing of a kind has come before the answer to a heartbeat."""
        await self.say({"heartbeat": {}})
        await self.expect("heartbeat")
        return not any(member in frame for frame in self._aside)

    def _read(self, data: str | bytes) -> Json:
        if isinstance(data, str):
            assert self.codec == "json"
            frame: Json = json.loads(data)
            return frame
        assert self.codec == "proto"
        return json_format.MessageToDict(frames_pb2.ServerFrame.FromString(data))


def _member(frame: Json, member: str) -> Json:
    found: Json = frame[member]
    return found


@asynccontextmanager
async def phone(person: Person, codec: Codec = "json", url: str = "") -> AsyncIterator[Phone]:
    """A session that has been welcomed, at the address the gateway names or the given one."""
    url = url or (await person.get("/v1/connection"))["url"]
    async with websockets.connect(url, subprotocols=[Subprotocol(f"idiom.v1.{codec}")]) as socket:
        session = Phone(socket, codec)
        await session.say({"hello": {"accessToken": person.token}})
        session.welcome = await session.expect("welcome")
        yield session
