"""What logic says of a user's conversations, noted where live events need it."""

from __future__ import annotations

from im.logic.v1.conversation_service_pb2 import ListHeadsRequest, ListHeadsResponse
from im.logic.v1.conversation_service_rpc import ConversationServiceClient

from impl.connect.registry import RoomRegistry
from impl.connect.rooms import RoomIndex


class Memberships:
    """Asks logic.

    Args:
        conversations: of logic.
        index: the rooms of this process.
        registry: the map of rooms.
    """

    def __init__(
        self, conversations: ConversationServiceClient, index: RoomIndex, registry: RoomRegistry
    ) -> None:
        self._conversations = conversations
        self._index = index
        self._registry = registry

    async def of(self, user_id: int) -> ListHeadsResponse:
        """Heads of a user who is online, read after this process was registered for all of their rooms.

        What is accepted later in one of the rooms therefore comes as a live event.

        Raises:
            Error: USER_NOT_FOUND, or a part that is needed is away.
        """
        while True:
            turn = self._registry.turn
            with self._index.reading(user_id) as reading:
                listed = await self._conversations.list_heads(ListHeadsRequest(user_id=user_id))
                rooms = {room.conversation_id: room.joined_seq for room in listed.rooms}
                self._index.settle(reading, rooms)
            if not await self._registry.ensure(rooms, turn):
                return listed
