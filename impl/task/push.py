"""Group *push*: brings events to the sessions of their recipients."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from idiom.v1.runtime_pb2 import Handled
from im.connect.v1.delivery_service_pb2 import DeliverResponse
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.errors import Error
from codegen.runtime.streams.delivery import Delivery
from impl.storage.conversations import Conversations
from impl.storage.sessions import SessionAddress, Sessions
from impl.task.deliveries import Deliveries
from impl.task.outcome import DONE, paused
from impl.task.routing import Destination, Parcel, recency, recipients, requests, route

LOG = logging.getLogger(__name__)


class Push:
    """Never waits long for a gateway: what does not arrive is repaired by resuming and by comparing heads.

    Args:
        conversations: gets the recency of conversations, before any session hears of an event.
        sessions: the session map.
        deliveries: to the connection gateways.
    """

    def __init__(self, conversations: Conversations, sessions: Sessions, deliveries: Deliveries) -> None:
        self._conversations = conversations
        self._sessions = sessions
        self._deliveries = deliveries

    async def handle(self, batch: Sequence[Delivery[ConversationEvent]]) -> Sequence[Handled]:
        """Handle entries of one partition."""
        events = [delivery.event for delivery in batch]
        users = list(dict.fromkeys(user for event in events for user in recipients(event)))
        try:
            await self._conversations.touch(recency(events))
            sessions = await self._sessions.of(users)
        except Error as error:
            return [paused(error)] * len(batch)
        gone = await asyncio.gather(*(self._send(*to) for to in route(batch, sessions).items()))
        await self._forget([address for addresses in gone for address in addresses])
        return [DONE] * len(batch)

    async def _send(self, to: Destination, parcel: Parcel) -> list[SessionAddress]:
        """Deliver one parcel; returns the sessions that are not there."""
        gone: dict[str, SessionAddress] = {}
        for request in requests(to, parcel.items):
            try:
                response = await self._deliveries.deliver(to.instance, request)
            except Error as error:
                LOG.info("delivery to %s failed: %s", to.instance, error)
                break
            if response is None:
                continue
            if response.outcome == DeliverResponse.OUTCOME_FENCED:
                # Not for a gateway to decide: the acknowledgement that follows is refused if this is true.
                LOG.warning("%s knows a newer owner of partition %d", to.instance, to.partition)
                break
            if response.outcome == DeliverResponse.OUTCOME_WRONG_BOOT:
                return list(parcel.addresses.values())
            gone |= {name: parcel.addresses[name] for name in response.unknown_session_ids}
        return list(gone.values())

    async def _forget(self, gone: Sequence[SessionAddress]) -> None:
        try:
            if gone:
                await self._sessions.remove(gone)
        except Error as error:
            LOG.info("%d sessions stay in the map until they expire: %s", len(gone), error)
