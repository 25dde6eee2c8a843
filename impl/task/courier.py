"""Brings parcels to gateways, and forgets addresses under which nobody is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from im.connect.v1.delivery_service_pb2 import DeliverResponse

from codegen.runtime.errors import Error
from impl.storage.room_instances import RoomInstances
from impl.storage.sessions import SessionAddress, Sessions
from impl.task.deliveries import Deliveries
from impl.task.routing import Destination, Parcel, Parcels, requests

LOG = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds after which a gateway that cannot be reached is no longer told of rooms. If it lives, it registers
again, and comparing heads repairs what it missed."""


class Courier:
    """Never waits long for a gateway: what does not arrive is repaired by resuming and by comparing heads.

    Args:
        deliveries: to the connection gateways.
        sessions: the session map.
        instances: the gateways of rooms.
    """

    def __init__(self, deliveries: Deliveries, sessions: Sessions, instances: RoomInstances) -> None:
        self._deliveries = deliveries
        self._sessions = sessions
        self._instances = instances

    async def bring(self, parcels: Parcels) -> None:
        """Bring all, to different gateways at the same time."""
        await asyncio.gather(*(self._deliver(to, parcel) for to, parcel in parcels.items()))

    async def _deliver(self, to: Destination, parcel: Parcel) -> None:
        for request in requests(to, parcel.items):
            try:
                response = await self._deliveries.deliver(to.instance, request)
            except Error as error:
                LOG.info("delivery to %s failed: %s", to.instance, error)
                if self._deliveries.missed_for(to.instance, to.boot_id) > PATIENCE:
                    await self._forget(to, rooms=parcel.rooms)
                return
            if response is not None and not await self._heed(response, to, parcel):
                return

    async def _heed(self, response: DeliverResponse, to: Destination, parcel: Parcel) -> bool:
        """Act on an answer; False if more of the parcel is in vain."""
        match response.outcome:
            case DeliverResponse.OUTCOME_FENCED:
                # Not for a gateway to decide: the acknowledgement that follows is refused if this is true.
                LOG.warning("%s knows a newer owner of partition %d", to.instance, to.source.partition)
                return False
            case DeliverResponse.OUTCOME_WRONG_BOOT:
                await self._forget(to, parcel.addresses.values(), parcel.rooms)
                return False
            case _:
                await self._forget(to, [parcel.addresses[name] for name in response.unknown_session_ids])
                return True

    async def _forget(
        self, to: Destination, sessions: Collection[SessionAddress] = (), rooms: Collection[str] = ()
    ) -> None:
        try:
            if sessions:
                await self._sessions.remove(list(sessions))
            if rooms:
                await self._instances.remove(to.instance, to.boot_id, list(rooms))
        except Error as error:
            LOG.info("%s stays known until its entries expire: %s", to.instance, error)
