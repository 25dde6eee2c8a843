"""People who come to rooms and leave them, and owners who add and remove them, while everybody talks."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass

from tests.faults.wire import Account, RefusedError

NO_MEMBER = frozenset({"NOT_A_MEMBER"})
_RACES = frozenset({"NOT_A_MEMBER", "MEMBER_NOT_FOUND", "INVITE_ONLY"})


@dataclass(frozen=True)
class Room:
    """A room with its owner, who never leaves."""

    owner: Account
    room_id: str
    conversation_id: str

    @property
    def members(self) -> str:
        """Path of its members."""
        return f"/v1/rooms/{self.room_id}/members"


async def created(owner: Account, name: str, members: list[Account]) -> Room:
    """A new open room."""
    body = {
        "clientRequestId": name,
        "name": name,
        "join": "JOIN_POLICY_OPEN",
        "memberIds": [str(member.user_id) for member in members],
    }
    room = (await owner.insist("POST", "/v1/rooms", body))["room"]
    return Room(owner, room["id"], room["conversationId"])


@dataclass
class Wanderer:
    """Leaves a room and comes back, by themselves and by the owner's hand in turn."""

    account: Account
    room: Room
    pause: float
    stays: int = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Goes and comes until `stop`; is a member in the end."""
        for number in itertools.count():
            actor = self.room.owner if number % 2 else self.account
            await self._change(actor, "DELETE", f"{self.room.members}/{self.account.user_id}")
            await self._pause(stop)
            await self._change(actor, "POST", self.room.members)
            self.stays += 1
            await self._pause(stop)
            if stop.is_set():
                return

    async def _change(self, actor: Account, verb: str, path: str) -> None:
        """An answer may be lost: the repetition then finds the work done, which is no complaint."""
        body = {"userId": str(self.account.user_id)} if verb == "POST" else None
        try:
            await actor.insist(verb, path, body)
        except RefusedError as error:
            if error.reason not in _RACES:
                raise

    async def _pause(self, stop: asyncio.Event) -> None:
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait([waiting], timeout=self.pause)
        waiting.cancel()
