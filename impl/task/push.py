"""Group *push*: brings events to the sessions of their audience."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from idiom.v1.runtime_pb2 import Handled
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.errors import Error
from codegen.runtime.streams.delivery import Delivery
from impl.storage.conversations import Conversations
from impl.storage.room_instances import RoomInstances
from impl.storage.sessions import Sessions
from impl.storage.user_index import SMALL_ROOM
from impl.task.audience import notices, recency, turnover
from impl.task.courier import Courier
from impl.task.outcome import DONE, paused
from impl.task.routing import Parcels, Rooms, Source, newcomers, route, united, unregistered

GROUP = "push"

T = TypeVar("T")


class Push:
    """Asks Redis a fixed number of times for each batch, and never for each member of a large room.

    A room is told to the gateways that have members of it; they know which of their sessions these are.

    Args:
        conversations: gets recency and rooms of users, before any session hears of an event.
        sessions: the session map.
        instances: the gateways of rooms.
        courier: to the gateways.
    """

    def __init__(
        self, conversations: Conversations, sessions: Sessions, instances: RoomInstances, courier: Courier
    ) -> None:
        self._conversations = conversations
        self._sessions = sessions
        self._instances = instances
        self._courier = courier

    async def handle(self, batch: Sequence[Delivery[ConversationEvent]]) -> Sequence[Handled]:
        """Handle entries of one partition."""
        try:
            parcels = await self._parcels(batch)
        except Error as error:
            return [paused(error)] * len(batch)
        await self._courier.bring(parcels)
        return [DONE] * len(batch)

    async def _parcels(self, batch: Sequence[Delivery[ConversationEvent]]) -> Parcels:
        events = [delivery.event for delivery in batch]
        told = [
            (Source(GROUP, delivery.partition, delivery.token), notice)
            for delivery in batch
            for notice in notices(delivery.event)
        ]
        rooms = _once(notice.room for _, notice in told if notice.room)
        # Whose session enters the map from here on finds the room when it asks what it missed.
        await self._note(events, rooms)
        sessions = await self._sessions.of(_once(user for _, notice in told for user in notice.users))
        known = await self._instances.of(rooms)
        new = newcomers(events, sessions)
        await self._register(new, known)
        return route(told, sessions, united(new, known))

    async def _note(self, events: Sequence[ConversationEvent], rooms: Sequence[str]) -> None:
        """What lists of conversations are made from."""
        members = await self._conversations.room_members(rooms, SMALL_ROOM)
        small = {room: users for room, (_, users) in members.items() if users is not None}
        await self._conversations.touch(recency(events, small))
        await self._conversations.update_rooms(*turnover(events))

    async def _register(self, new: Rooms, known: Rooms) -> None:
        """Nothing that follows passes by who came, though their gateway has yet to learn that they did."""
        for life, rooms in unregistered(new, known).items():
            await self._instances.add(*life, rooms)


def _once(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))
