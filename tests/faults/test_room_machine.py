"""A room under random hands: every answer, every device and every list is as the simple model says."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.faults.devices import Device
from tests.faults.history import History, Send, record_of
from tests.faults.judge import violations
from tests.faults.model import ADMIN, MEMBER, OWNER, DeniedError, Room
from tests.faults.senders import SocketSender
from tests.faults.wire import Json, RefusedError, register

if TYPE_CHECKING:
    from tests.conftest import System

T = TypeVar("T")

_SECONDS = 20.0
_USERS = range(4)
_names = itertools.count()
users = st.sampled_from(_USERS)


class RoomMachine(RuleBasedStateMachine):
    """Four users on five devices: user 0 creates the room, user 1 has two devices."""

    loop: asyncio.Runner
    url: str

    def __init__(self) -> None:
        super().__init__()
        self._tasks: list[asyncio.Task[None]] = []

    @initialize()
    def begin(self) -> None:
        """New users, a new room, all devices connected."""
        self._run(self._begin())

    @rule(user=users, by_socket=st.booleans())
    def send(self, user: int, *, by_socket: bool) -> None:
        """A new message."""
        name = f"m{next(_names)}"
        sent = Send(self.conversation, self.accounts[user].user_id, name)
        self.history.sends.append(sent)
        expected = self._expected(lambda: self.room.send(user, name), sent)
        answer = self._run(self._deliver(user, name, by_socket=by_socket))
        self._compare(expected, answer, lambda record: record.seq)
        if not isinstance(answer, str):
            sent.record = answer
            self.accepted.append((user, name, answer))

    @precondition(lambda self: self.accepted)
    @rule(data=st.data(), by_socket=st.booleans())
    def retry(self, data: st.DataObject, *, by_socket: bool) -> None:
        """The same message again gives the same result, even to who has left since."""
        user, name, first = data.draw(st.sampled_from(self.accepted))
        assert self._run(self._deliver(user, name, by_socket=by_socket)) == first

    @precondition(lambda self: self.accepted)
    @rule(data=st.data())
    def reuse(self, data: st.DataObject) -> None:
        """Another message under the same id is refused."""
        user, name, _ = data.draw(st.sampled_from(self.accepted))
        answer = self._run(self._deliver(user, name, by_socket=False, text="something else"))
        assert answer == "CLIENT_MESSAGE_ID_REUSED"

    @rule(actor=users, other=users)
    def add(self, actor: int, other: int) -> None:
        """Somebody joins, or adds somebody."""
        body = {"userId": str(self.accounts[other].user_id)}
        self._change(lambda: self.room.add(actor, other), actor, "POST", "/members", body)

    @rule(actor=users, other=users)
    def remove(self, actor: int, other: int) -> None:
        """Somebody leaves, or removes somebody."""
        if actor == other and set(self.room.roles) == {actor}:
            return  # with its last member a room is gone, and at the end one reads what was said
        path = f"/members/{self.accounts[other].user_id}"
        self._change(lambda: self.room.remove(actor, other), actor, "DELETE", path)

    @rule(actor=users, other=users, role=st.sampled_from([MEMBER, ADMIN, OWNER]))
    def promote(self, actor: int, other: int, role: str) -> None:
        """Somebody gives a role."""
        path = f"/members/{self.accounts[other].user_id}"
        self._change(lambda: self.room.promote(actor, other, role), actor, "PATCH", path, {"role": role})

    @rule(actor=users, is_open=st.booleans())
    def configure(self, actor: int, *, is_open: bool) -> None:
        """Somebody opens or closes the room."""
        body = {"join": "JOIN_POLICY_OPEN" if is_open else "JOIN_POLICY_INVITE_ONLY"}
        self._change(lambda: self.room.configure(actor, is_open=is_open), actor, "PATCH", "", body)

    @rule(user=users, seq=st.integers(0, 30))
    def read(self, user: int, seq: int) -> None:
        """Somebody moves their read mark."""
        path = f"/v1/conversations/{self.conversation}:read"
        expected = self._expected(lambda: self.room.read(user, seq))
        answer = self._run(self._call(user, "POST", path, {"seq": str(seq)}))
        self._compare(expected, answer, lambda body: (int(body["readSeq"]), int(body["unreadCount"])))

    @rule(user=users)
    def look(self, user: int) -> None:
        """The list of conversations has the room while the user is in it."""
        answer = self._run(self._call(user, "GET", "/v1/conversations"))
        assert not isinstance(answer, str)
        found = [c for c in answer["conversations"] if c["id"] == self.conversation]
        assert len(found) == (user in self.room.roles)
        if found:
            entry = found[0]
            assert int(entry["unreadCount"]) == self.room.unread(user)
            assert int(entry["lastMessage"]["seq"]) == self.room.head
            assert entry["room"]["role"] == self.room.roles[user]
            assert int(entry["room"]["memberCount"]) == len(self.room.roles)

    @rule(user=users, backwards=st.booleans())
    def page(self, user: int, *, backwards: bool) -> None:
        """The history has what the user may read, in either direction."""
        answer = self._run(self._history(user, backwards=backwards))
        if user in self.room.stays:
            assert answer == list(self.room.visible(user))
        else:
            assert answer == "NOT_A_MEMBER"

    @rule(data=st.data())
    def reconnect(self, data: st.DataObject) -> None:
        """A device loses its connection, and comes back."""
        device = data.draw(st.sampled_from(self.devices))
        self._run(device.cut())

    def teardown(self) -> None:
        """Every device has shown what the model says, and nobody can tell another story."""
        if not hasattr(self, "room"):
            return
        try:
            self._run(self._end())
            assert violations(self.history) == []
        finally:
            self._run(self._close())

    async def _begin(self) -> None:
        self._http = httpx.AsyncClient(base_url=self.url)
        self.history = History()
        self.accepted: list[tuple[int, str, Any]] = []
        self.accounts = [await register(self._http, f"machine-{next(_names)}") for _ in _USERS]
        owners = [0, 1, 1, 2, 3]
        self.devices = [
            Device(self.accounts[user], f"{user}-{n}", self.history, "proto" if n % 2 else "json")
            for n, user in enumerate(owners)
        ]
        self._sockets = [
            SocketSender(account, {}, "", self.history, 0.0, codec="proto" if n % 2 else "json")
            for n, account in enumerate(self.accounts)
        ]
        self._tasks = [asyncio.create_task(device.run()) for device in self.devices]
        await asyncio.gather(*(device.connected() for device in self.devices))
        body = {"name": "a room", "join": "JOIN_POLICY_OPEN", "memberIds": [str(self.accounts[1].user_id)]}
        room = (await self.accounts[0].call("POST", "/v1/rooms", body))["room"]
        self.path, self.conversation = f"/v1/rooms/{room['id']}", room["conversationId"]
        self.room = Room(0, frozenset({1}))

    async def _deliver(self, user: int, name: str, *, by_socket: bool, text: str = "") -> Any:
        room_id = self.path.rpartition("/")[2]
        body = {"roomId": room_id, "clientMessageId": name, "text": text or name}
        sender = self._sockets[user]
        try:
            if by_socket:
                return await sender._attempt(body)
            return record_of((await self.accounts[user].call("POST", "/v1/messages", body))["message"])
        except RefusedError as error:
            return error.reason

    async def _call(self, user: int, verb: str, path: str, body: Json | None = None) -> Json | str:
        try:
            return await self.accounts[user].call(verb, path, body)
        except RefusedError as error:
            return error.reason

    async def _history(self, user: int, *, backwards: bool) -> list[int] | str:
        path = f"/v1/conversations/{self.conversation}/messages"
        seqs: list[int] = []
        more = True
        while more:
            query = (
                {"before_seq": seqs[0] if seqs else 1 << 40}
                if backwards
                else {"after_seq": max(seqs, default=0)}
            )
            try:
                page = await self.accounts[user].call("GET", path, page_size=3, **query)
            except RefusedError as error:
                return error.reason
            found = [int(message["seq"]) for message in page["messages"]]
            seqs = found + seqs if backwards else seqs + found
            more = page["more"]
        return seqs

    def _change(
        self, model: Callable[[], None], actor: int, verb: str, path: str, body: Json | None = None
    ) -> None:
        expected = self._expected(model)
        answer = self._run(self._call(actor, verb, f"{self.path}{path}", body))
        self._compare(expected, answer, lambda _: None)

    def _expected(self, model: Callable[[], T], sent: Send | None = None) -> T | DeniedError:
        try:
            return model()
        except DeniedError as error:
            if sent is not None:
                sent.refused = str(error)
            return error

    def _compare(self, expected: Any, answer: Any, seen: Callable[[Any], Any]) -> None:
        if isinstance(expected, DeniedError):
            assert answer == str(expected)
        else:
            assert not isinstance(answer, str), answer
            assert seen(answer) == expected

    async def _end(self) -> None:
        await self._shown()
        owner = next(user for user, role in self.room.roles.items() if role == OWNER)
        await self.accounts[owner].call("PATCH", self.path, {"history": "HISTORY_POLICY_EVERYTHING"})
        self.room.reveal()
        path = f"/v1/conversations/{self.conversation}/messages"
        page = await self.accounts[owner].call("GET", path, page_size=200, after_seq=0)
        assert not page["more"]
        self.history.final = [record_of(message) for message in page["messages"]]
        await self._shown()

    async def _shown(self) -> None:
        for device in self.devices:
            user = self.accounts.index(device.account)
            if user in self.room.stays:
                last = self.room.visible(user)[-1]
                try:
                    async with asyncio.timeout(_SECONDS / 2):
                        await device.shows(self.conversation, last)
                except TimeoutError:
                    shown = device.view.records[self.conversation]
                    self.history.complaints.append(f"{device.name} shows {shown}, not up to {last}")

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for sender in self._sockets:
            await sender._broken()
        await self._http.aclose()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(_SECONDS):
                return await work

        return self.loop.run(bounded())


@pytest.mark.timeout(400)
def test_a_room_is_what_the_model_says(system: System) -> None:
    with asyncio.Runner() as loop:
        run_state_machine_as_test(
            type("Machine", (RoomMachine,), {"loop": loop, "url": system.url}),
            settings=settings(
                max_examples=20,
                stateful_step_count=40,
                deadline=None,
                # To find the shortest run that fails takes longer than to read one that does.
                phases=[Phase.explicit, Phase.reuse, Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
