"""Delivery of events and progress to the sessions of this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from im.client.v1.frames_pb2 import ServerFrame
from im.connect.v1.delivery_service_pb2 import DeliverRequest, DeliverResponse

from codegen.runtime.context import Context
from codegen.runtime.sockets import Outgoing
from impl.connect.backlog import LiveFrame
from impl.connect.online import Online
from impl.connect.resume import place_of
from impl.connect.rooms import RoomIndex, arrivals, departures
from impl.connect.seen import Seen

_WRITES_AT_ONCE = 2000
"""Frames after which other work of the process has its turn."""


class Delivery:
    """Implements `im.connect.v1.DeliveryService`.

    Args:
        online: the sessions of this process.
        index: its rooms; learns who joins and leaves.
        seen: learns what was handed over.
        boot_id: of this process.
        broken: called when a stream has ended, with which something may be lost.
    """

    def __init__(
        self, online: Online, index: RoomIndex, seen: Seen, boot_id: str, broken: Callable[[], None]
    ) -> None:
        self._online = online
        self._index = index
        self._seen = seen
        self._boot_id = boot_id
        self._broken = broken
        self._tokens: dict[tuple[str, int], int] = {}
        self._written = 0

    async def deliver(
        self, requests: AsyncIterator[DeliverRequest], context: Context
    ) -> AsyncIterator[DeliverResponse]:
        """One response for each request, in order."""
        del context
        try:
            async for request in requests:
                yield await self._answer(request)
        finally:
            self._broken()

    async def _answer(self, request: DeliverRequest) -> DeliverResponse:
        response = DeliverResponse(batch=request.batch)
        owned = (request.group, request.partition)
        if request.boot_id != self._boot_id:
            response.outcome = DeliverResponse.OUTCOME_WRONG_BOOT
        elif request.token < self._tokens.get(owned, 0):
            response.outcome = DeliverResponse.OUTCOME_FENCED
        else:
            self._tokens[owned] = request.token
            response.outcome = DeliverResponse.OUTCOME_DELIVERED
            response.unknown_session_ids.extend(await self._hand_over(request))
        return response

    async def _hand_over(self, request: DeliverRequest) -> list[str]:
        unknown: dict[str, None] = {}
        for item in request.items:
            unknown |= dict.fromkeys(self._deliver(item))
            if self._written >= _WRITES_AT_ONCE:
                self._written = 0
                await asyncio.sleep(0)
        return list(unknown)

    def _deliver(self, item: DeliverRequest.Item) -> list[str]:
        """One item, and what it says of members; returns the sessions that are not here."""
        message = item.message
        for user in arrivals(message):
            self._index.came(user, message.conversation_id, message.seq)
        frame = _frame(item)
        unknown = [name for name in item.session_ids if not self._to_session(name, frame, item)]
        if item.to_room:
            self._to_room(frame, item)
        for user in departures(message):
            self._index.went(user, message.conversation_id, message.seq)
        return unknown

    def _to_session(self, session_id: str, frame: LiveFrame, item: DeliverRequest.Item) -> bool:
        peer = self._online.get(session_id)
        if peer is None or not (session_id == item.origin_session or peer.deliver(frame)):
            return False
        if frame.place is not None and not item.to_room:
            self._seen.note((session_id, frame.conversation_id), frame.place)
        self._written += 1
        return True

    def _to_room(self, frame: LiveFrame, item: DeliverRequest.Item) -> None:
        had = {item.origin_session, *item.session_ids}
        for peer in self._online.members(frame.conversation_id, item.message.seq):
            if peer.session_id not in had:
                peer.deliver(frame)
                self._written += 1
        self._seen.note(frame.conversation_id, place_of(item.message))


def _frame(item: DeliverRequest.Item) -> LiveFrame:
    if item.HasField("progress"):
        return LiveFrame(item.progress.conversation_id, None, Outgoing(ServerFrame(progress=item.progress)))
    return LiveFrame(
        item.message.conversation_id, place_of(item.message), Outgoing(ServerFrame(message=item.message))
    )
