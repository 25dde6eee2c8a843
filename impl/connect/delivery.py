"""Delivery of messages to the sessions of this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from im.client.v1.frames_pb2 import ServerFrame
from im.connect.v1.delivery_service_pb2 import DeliverRequest, DeliverResponse

from codegen.runtime.context import Context
from codegen.runtime.sockets import Outgoing
from impl.connect.peer import Peer


class Delivery:
    """Implements `im.connect.v1.DeliveryService`.

    Args:
        sessions: peers by session id.
        boot_id: of this process.
    """

    def __init__(self, sessions: Mapping[str, Peer], boot_id: str) -> None:
        self._sessions = sessions
        self._boot_id = boot_id
        self._tokens: dict[int, int] = {}

    async def deliver(
        self, requests: AsyncIterator[DeliverRequest], context: Context
    ) -> AsyncIterator[DeliverResponse]:
        """One response for each request, in order."""
        del context
        async for request in requests:
            yield self._answer(request)

    def _answer(self, request: DeliverRequest) -> DeliverResponse:
        response = DeliverResponse(batch=request.batch)
        if request.boot_id != self._boot_id:
            response.outcome = DeliverResponse.OUTCOME_WRONG_BOOT
        elif request.token < self._tokens.get(request.partition, 0):
            response.outcome = DeliverResponse.OUTCOME_FENCED
        else:
            self._tokens[request.partition] = request.token
            response.outcome = DeliverResponse.OUTCOME_DELIVERED
            response.unknown_session_ids.extend(self._hand_over(request))
        return response

    def _hand_over(self, request: DeliverRequest) -> list[str]:
        unknown: dict[str, None] = {}
        for item in request.items:
            outgoing = Outgoing(ServerFrame(message=item.message))
            for session_id in item.session_ids:
                peer = self._sessions.get(session_id)
                if peer is None or not peer.deliver(outgoing):
                    unknown[session_id] = None
        return list(unknown)
