"""Devices that show what arrives: they come back, drop repetitions, and fill what is missing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tests.faults.history import History, Page, Record, View, record_of
from tests.faults.wire import DISCONNECTED, Account, Codec, Json, RefusedError, Socket, opened

_PAUSE_SECONDS = 0.1
_PAGE = 200


@dataclass
class Device:
    """One device of a user.

    Args:
        account: whose it is.
        name: of the device, unique in the history.
        history: where its view is noted.
        codec: of its sockets.
        resumes: whether it says in `hello` where it stands, and so is sent what it missed.
    """

    account: Account
    name: str
    history: History
    codec: Codec = "json"
    resumes: bool = True
    sessions: int = 0
    live: int = 0
    """Messages that came over a socket."""
    resumed: int = 0
    """Of these, before `resumed`."""
    rungs: dict[tuple[str, str], int] = field(default_factory=dict)
    """Highest number reported, by rung and conversation."""
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _catching_up: bool = False
    _socket: Socket | None = None

    @property
    def view(self) -> View:
        """What it has shown."""
        return self.history.view(self.name, self.account.user_id)

    async def run(self) -> None:
        """Connects and reads until cancelled."""
        while True:
            try:
                await self._session()
            except DISCONNECTED:
                await asyncio.sleep(_PAUSE_SECONDS)

    async def connected(self) -> None:
        """Waits until it has been welcomed, and what it missed has come."""
        while self.sessions == 0 or self._catching_up:
            self._arrived.clear()
            await self._arrived.wait()

    async def cut(self) -> None:
        """Cuts its connection; it comes back by itself."""
        self.sessions = 0
        if self._socket is not None:
            await self._socket.drop()

    def last(self, conversation_id: str) -> Record | None:
        """What it showed last of a conversation."""
        records = self.view.records.get(conversation_id)
        return records[-1] if records else None

    async def shows(self, conversation_id: str, seq: int) -> None:
        """Waits until it has come as far as a number."""
        while (last := self.last(conversation_id)) is None or last.seq < seq:
            self._arrived.clear()
            await self._arrived.wait()

    async def reports(self, rung: str, conversation_id: str, seq: int) -> None:
        """Waits until it was told that everything up to a number has reached a rung."""
        while self.rungs.get((rung, conversation_id), 0) < seq:
            self._arrived.clear()
            await self._arrived.wait()

    async def _session(self) -> None:
        socket = await opened(self.account, self.codec, self._cursors() if self.resumes else None)
        self._socket = socket
        try:
            async for frame in socket:
                await self._frame(socket, frame)
        finally:
            self._socket = None
            await socket.drop()

    def _cursors(self) -> list[Json]:
        records = self.view.records.values()
        return [
            {"conversationId": last.conversation_id, "epoch": str(last.epoch), "seq": str(last.seq)}
            for last in (of_one[-1] for of_one in records if of_one)
        ]

    async def _frame(self, socket: Socket, frame: Json) -> None:
        kind = next(iter(frame))
        match kind:
            case "welcome":
                await self._welcome(frame[kind].get("heads", []))
            case "message":
                await self._message(socket, record_of(frame[kind]))
            case "heads":
                for head in frame[kind]["heads"]:
                    await self._fill(head["conversationId"])
            case "incomplete":
                await self._fill(frame[kind]["head"]["conversationId"])
            case "progress":
                self._progress(frame[kind])
            case "heartbeat":
                await socket.say({"heartbeat": {}})
            case "resumed":
                self._catching_up = False
                self._arrived.set()
            case _:
                self.history.complaints.append(f"{self.name} was sent {str(frame)[:200]}")

    async def _welcome(self, heads: list[Json]) -> None:
        """What the server will send by itself is not asked for."""
        self.sessions += 1
        self._catching_up = True
        for head in heads:
            if not self.resumes or self.last(head["conversationId"]) is None:
                await self._fill(head["conversationId"])

    async def _message(self, socket: Socket, record: Record) -> None:
        self.live += 1
        self.resumed += self._catching_up
        last = self.last(record.conversation_id)
        if last is not None and record.position <= last.position:
            known = self.view.records[record.conversation_id]
            if any(other.position == record.position and other != record for other in known):
                self.history.complaints.append(f"{self.name} met {record} where something else was")
            return
        follows = last is not None and (record.epoch, record.seq) == (last.epoch, last.seq + 1)
        if not follows:
            await self._fill(record.conversation_id)
        if (now := self.last(record.conversation_id)) is None or now.position < record.position:
            self._show(record)
        await self._acknowledge(socket, record)

    async def _acknowledge(self, socket: Socket, record: Record) -> None:
        if record.conversation_id.startswith("dm."):
            position = {"epoch": str(record.epoch), "seq": str(record.seq)}
            await socket.say({"ack": {"conversationId": record.conversation_id, **position}})

    async def _fill(self, conversation_id: str) -> None:
        """Reads on from what was shown last, to the end."""
        more = True
        while more:
            last = self.last(conversation_id)
            try:
                page = await self.account.call(
                    "GET",
                    f"/v1/conversations/{conversation_id}/messages",
                    after_seq=last.seq if last else 0,
                    page_size=_PAGE,
                )
            except RefusedError as error:
                self.history.complaints.append(f"{self.name} may not read {conversation_id}: {error}")
                return
            records = tuple(record_of(message) for message in page.get("messages", []))
            head = page.get("head", {})
            self.view.pages.append(
                Page(conversation_id, records, (int(head.get("epoch", 0)), int(head.get("seq", 0))))
            )
            for record in records:
                self._show(record)
            more = page.get("more", False)

    def _show(self, record: Record) -> None:
        self.view.records[record.conversation_id].append(record)
        self._arrived.set()

    def _progress(self, body: Json) -> None:
        name = body["conversationId"]
        self.rungs[body["state"], name] = max(int(body["seq"]), self.rungs.get((body["state"], name), 0))
        self._arrived.set()
        self.view.progress[name] = max(int(body["seq"]), self.view.progress.get(name, 0))
