"""What all sessions of a process share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from im.logic.v1.message_service_rpc import MessageServiceClient

from codegen.runtime.grpc_client import Channel
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.sockets import Endpoint, Wheel
from impl.connect.acks import Acks
from impl.connect.keeper import SessionKeeper
from impl.connect.memberships import Memberships
from impl.connect.online import Online
from impl.connect.resume import Bounds
from impl.connect.seen import Seen
from impl.connect.session import Limits

if TYPE_CHECKING:
    from impl.connect.peer import Peer


@dataclass(slots=True)
class Hub:
    """Parts, made by the composition root."""

    instance: str
    boot_id: str
    endpoint: Endpoint
    limits: Limits
    bounds: Bounds
    pipeline: Pipeline
    channel: Channel
    """To logic."""
    keeper: SessionKeeper
    memberships: Memberships
    acks: Acks
    online: Online
    seen: Seen
    wheel: Wheel[Peer]
    resuming: asyncio.Semaphore
    """Bounds the calls of sessions that resume."""
    draining: bool = False

    @property
    def messages(self) -> MessageServiceClient:
        """Client of logic."""
        return MessageServiceClient(self.channel)
