"""Senders and recipients that do what a good client does: retry, come back, drop repetitions, fill gaps."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import websockets
from websockets.typing import Subprotocol

from tests.faults.checker import Record

_ATTEMPT_SECONDS = 5.0
_PAUSE_SECONDS = 0.1
_BACKLOG_SECONDS = 20.0
_PAGE = 200
_TRANSIENT_CODES = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CANCELLED"}
_TRANSIENT_STATUS = {429, 499, 503, 504}


class _NotNowError(Exception):
    """The system cannot answer at the moment."""


_DISCONNECTED = (OSError, websockets.WebSocketException, httpx.HTTPError, TimeoutError, _NotNowError)


def record_of(message: dict[str, Any]) -> Record:
    """The record of a message as HTTP and sockets show it."""
    return Record(
        int(message["id"]),
        message["conversationId"],
        int(message["epoch"]),
        int(message["seq"]),
        int(message["senderId"]),
        message["clientMessageId"],
    )


@dataclass
class Account:
    """A registered user."""

    name: str
    user_id: int
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}


async def register(http: httpx.AsyncClient, name: str) -> Account:
    answer = await http.post("/v1/auth/register", json={"username": name, "password": "correct horse"})
    answer.raise_for_status()
    body = answer.json()
    return Account(name, int(body["user"]["id"]), body["accessToken"])


async def opened(http: httpx.AsyncClient, account: Account) -> websockets.ClientConnection:
    """A socket that has said hello."""
    answer = await http.get("/v1/connection", headers=account.headers, timeout=_ATTEMPT_SECONDS)
    if answer.status_code != 200:
        raise _NotNowError
    socket = await websockets.connect(
        answer.json()["url"], subprotocols=[Subprotocol("idiom.v1.json")], open_timeout=_ATTEMPT_SECONDS
    )
    try:
        await socket.send(json.dumps({"hello": {"accessToken": account.token}}))
    except BaseException:
        socket.transport.abort()
        raise
    return socket


@dataclass
class Sender:
    """Sends one message after the other at a steady rate, each until it is accepted."""

    http: httpx.AsyncClient
    account: Account
    to: Account
    interval: float
    accepted: list[Record] = field(default_factory=list)
    attempts: int = 0
    unexpected: list[str] = field(default_factory=list)

    async def run(self, stop: asyncio.Event, note: Callable[[float], None]) -> None:
        """Sends until `stop`; a message begun is finished.

        Args:
            stop: ends the sending.
            note: told the start (`time.monotonic()`) of each attempt that was accepted.
        """
        due = time.monotonic()
        for number in itertools.count(1):
            if stop.is_set():
                return
            self.accepted.append(await self._until_accepted(f"{self.account.name}-{number}", note))
            due = max(due + self.interval, time.monotonic() - _BACKLOG_SECONDS)
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _until_accepted(self, client_message_id: str, note: Callable[[float], None]) -> Record:
        body = {
            "clientMessageId": client_message_id,
            "toUserId": str(self.to.user_id),
            "text": client_message_id,
        }
        while True:
            self.attempts += 1
            started = time.monotonic()
            record = await self._attempt(body)
            if record is not None:
                note(started)
                return record
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _attempt(self, body: dict[str, str]) -> Record | None:
        try:
            answer = await self.http.post(
                "/v1/messages", json=body, headers=self.account.headers, timeout=_ATTEMPT_SECONDS
            )
        except httpx.TransportError:
            return None
        if answer.status_code == 200:
            return record_of(answer.json()["message"])
        if answer.status_code not in _TRANSIENT_STATUS:
            self.unexpected.append(f"{answer.status_code} {answer.text[:200]}")
        return None


@dataclass
class SocketSender(Sender):
    """Sends through a socket that is opened again whenever it breaks."""

    _socket: websockets.ClientConnection | None = None

    async def run(self, stop: asyncio.Event, note: Callable[[float], None]) -> None:
        """Sends until `stop`, then closes the socket."""
        try:
            await super().run(stop, note)
        finally:
            await self._drop()

    async def _attempt(self, body: dict[str, str]) -> Record | None:
        try:
            socket = self._socket or await self._open()
            async with asyncio.timeout(_ATTEMPT_SECONDS):
                return await self._exchange(socket, body)
        except _DISCONNECTED:
            await self._drop()
            return None

    async def _open(self) -> websockets.ClientConnection:
        self._socket = await opened(self.http, self.account)
        return self._socket

    async def _drop(self) -> None:
        if self._socket is not None:
            self._socket.transport.abort()
            await self._socket.wait_closed()
            self._socket = None

    async def _exchange(self, socket: websockets.ClientConnection, body: dict[str, str]) -> Record | None:
        await socket.send(json.dumps({"send": {"requestId": body["clientMessageId"], "request": body}}))
        async for data in socket:
            frame = json.loads(data)
            if "sent" in frame and frame["sent"]["requestId"] == body["clientMessageId"]:
                return record_of(frame["sent"]["response"]["message"])
            if "error" in frame:
                if frame["error"]["code"] not in _TRANSIENT_CODES:
                    self.unexpected.append(json.dumps(frame))
                return None
        raise _NotNowError


@dataclass
class Recipient:
    """A socket that comes back for ever, and a view without holes."""

    http: httpx.AsyncClient
    account: Account
    seen: dict[str, dict[int, Record]] = field(default_factory=lambda: defaultdict(dict))
    unexpected: list[str] = field(default_factory=list)
    live: int = 0
    sessions: int = 0
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Connects and reads until cancelled."""
        while True:
            try:
                await self._session()
            except _DISCONNECTED:
                await asyncio.sleep(_PAUSE_SECONDS)

    def view(self) -> list[Record]:
        """What was seen, per conversation in the order of seq."""
        return [self.seen[c][seq] for c in sorted(self.seen) for seq in sorted(self.seen[c])]

    async def wait_for(self, count: int, seconds: float) -> None:
        """Waits until `count` messages are in view."""
        async with asyncio.timeout(seconds):
            while sum(map(len, self.seen.values())) < count:
                self._arrived.clear()
                await self._arrived.wait()

    async def _session(self) -> None:
        async with await opened(self.http, self.account) as socket:
            async for data in socket:
                await self._frame(socket, json.loads(data))

    async def _frame(self, socket: websockets.ClientConnection, frame: dict[str, Any]) -> None:
        if "welcome" in frame:
            self.sessions += 1
            for head in frame["welcome"].get("heads", []):
                await self._fill(head["conversationId"], int(head["seq"]))
        elif "message" in frame:
            record = record_of(frame["message"])
            self.live += 1
            await self._fill(record.conversation_id, record.seq - 1)
            self._see(record)
        elif "heartbeat" in frame:
            await socket.send(json.dumps({"heartbeat": {}}))
        else:
            self.unexpected.append(json.dumps(frame)[:200])

    async def _fill(self, conversation: str, upto: int) -> None:
        while (known := max(self.seen[conversation], default=0)) < upto:
            answer = await self.http.get(
                f"/v1/conversations/{conversation}/messages",
                params={"after_seq": known, "page_size": _PAGE},
                headers=self.account.headers,
                timeout=_ATTEMPT_SECONDS,
            )
            if answer.status_code != 200:
                raise _NotNowError
            messages = answer.json().get("messages", [])
            for message in messages:
                self._see(record_of(message))
            if not messages:
                return

    def _see(self, record: Record) -> None:
        known = self.seen[record.conversation_id].setdefault(record.seq, record)
        if known != record:
            self.unexpected.append(f"{record} and {known} at one position")
        self._arrived.set()
