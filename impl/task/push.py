"""Group *push*: brings events to the sessions of their recipients."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from idiom.v1.reason_errors import FENCED
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


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one parcel."""

    gone: tuple[SessionAddress, ...]
    """Sessions that are not there."""
    fenced: Error | None = None


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
        """Handle entries of one partition.

        Raises:
            Error: FENCED if a newer owner of the partition is known.
        """
        events = [delivery.event for delivery in batch]
        users = list(dict.fromkeys(user for event in events for user in recipients(event)))
        try:
            await self._conversations.touch(recency(events))
            sessions = await self._sessions.of(users)
        except Error as error:
            return [paused(error)] * len(batch)
        sent = await asyncio.gather(*(self._send(*to) for to in route(batch, sessions).items()))
        await self._forget([address for parcel in sent for address in parcel.gone])
        for parcel in sent:
            if parcel.fenced:
                raise parcel.fenced
        return [DONE] * len(batch)

    async def _send(self, to: Destination, parcel: Parcel) -> Sent:
        gone: dict[str, SessionAddress] = {}
        for request in requests(to, parcel.items):
            response = await self._deliveries.deliver(to.instance, request)
            if response is None:
                break
            if response.outcome == DeliverResponse.OUTCOME_FENCED:
                message = f"partition {to.partition} has a newer owner than {to.token}"
                return Sent((), Error(FENCED, message))
            if response.outcome == DeliverResponse.OUTCOME_WRONG_BOOT:
                return Sent(tuple(parcel.addresses.values()))
            gone |= {name: parcel.addresses[name] for name in response.unknown_session_ids}
        return Sent(tuple(gone.values()))

    async def _forget(self, gone: Sequence[SessionAddress]) -> None:
        try:
            if gone:
                await self._sessions.remove(gone)
        except Error as error:
            LOG.info("%d sessions stay in the map until they expire: %s", len(gone), error)
