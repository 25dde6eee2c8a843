"""How far devices have received, told to logic in batches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import islice

from google.rpc import code_pb2
from im.client.v1.frames_pb2 import Ack
from im.errors.v1.reason_errors import NOT_A_MEMBER
from im.logic.v1.conversation_service_pb2 import RecordDeliveredRequest
from im.logic.v1.conversation_service_rpc import ConversationServiceClient

from codegen.runtime.background import background
from codegen.runtime.errors import Error
from impl.storage.envelope import private_members, room_of

log = logging.getLogger(__name__)

PACE_SECONDS = 1.0
_BATCH = 256
_MOST = 100_000
"""Marks that wait while logic is away. Beyond, the oldest are dropped; the user's next ack replaces them."""
_LAST_SECONDS = 2.0
_AGAIN = frozenset((code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED, code_pb2.RESOURCE_EXHAUSTED))


class Acks:
    """Marks that wait to be recorded: of each user and conversation the highest.

    Args:
        conversations: of logic.
        pace_seconds: longest wait of a mark while logic answers, and the pause before it is asked again.
    """

    def __init__(
        self, conversations: ConversationServiceClient, *, pace_seconds: float = PACE_SECONDS
    ) -> None:
        self._conversations = conversations
        self._pace_seconds = pace_seconds
        self._marks: dict[tuple[int, str], int] = {}
        self._full = asyncio.Event()
        self._ending = False
        self._away = False

    @property
    def waiting(self) -> int:
        """How many marks wait."""
        return len(self._marks)

    def receive(self, user_id: int, ack: Ack) -> None:
        """An ack of a session of the user has come. In rooms nobody is told who has received.

        Raises:
            Error: NOT_A_MEMBER.
        """
        if user_id in (private_members(ack.conversation_id) or ()):
            self.note(user_id, ack.conversation_id, ack.seq)
        elif room_of(ack.conversation_id) is None:
            raise Error(NOT_A_MEMBER, "not a member of this conversation")

    def note(self, user_id: int, conversation_id: str, seq: int) -> None:
        """A device of the user has received everything up to there."""
        key = (user_id, conversation_id)
        self._marks[key] = max(seq, self._marks.get(key, 0))
        if len(self._marks) > _MOST:
            del self._marks[next(iter(self._marks))]
        if len(self._marks) >= _BATCH:
            self._full.set()

    def known(self, user_id: int, conversation_id: str, seq: int) -> None:
        """Logic knows without being told that the user has everything up to there: they have just sent it."""
        if self._marks.get((user_id, conversation_id), seq + 1) <= seq:
            del self._marks[user_id, conversation_id]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Acks]:
        """Record in the background; on exit what is left is recorded, if that is possible soon."""
        task = background(self._run(), "acks")
        try:
            yield self
        finally:
            self._ending = True
            self._full.set()
            await asyncio.wait([task], timeout=_LAST_SECONDS)
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        ending = False
        while not ending:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace_seconds):
                    await self._full.wait()
            self._full.clear()
            ending = self._ending
            if not await self._record_all() and not ending:
                await asyncio.sleep(self._pace_seconds)

    async def _record_all(self) -> bool:
        """Whether logic was there for all."""
        try:
            # What comes meanwhile waits for the next time, or every ack would be a call.
            keys = iter(tuple(self._marks))
            while some := tuple(islice(keys, _BATCH)):
                batch = {key: self._marks[key] for key in some if key in self._marks}
                await self._record(batch)
                self._settle(batch)
        except Error as error:
            self._note(error)
        except Exception:
            log.exception("acks could not be recorded")
            self._away = True
        else:
            self._note(None)
        return not self._away

    async def _record(self, batch: dict[tuple[int, str], int]) -> None:
        marks = [
            RecordDeliveredRequest.Mark(user_id=user_id, conversation_id=conversation_id, seq=seq)
            for (user_id, conversation_id), seq in batch.items()
        ]
        try:
            await self._conversations.record_delivered(RecordDeliveredRequest(marks=marks))
        except Error as error:
            if error.reason.code in _AGAIN:
                raise
            # Said once more it would be refused once more, and keep all others waiting.
            log.warning("%d acks were refused: %s", len(batch), error)

    def _settle(self, batch: dict[tuple[int, str], int]) -> None:
        for key, seq in batch.items():
            if self._marks.get(key) == seq:
                del self._marks[key]

    def _note(self, error: Error | None) -> None:
        if error is not None and not self._away:
            log.warning("acks cannot be recorded now: %s", error)
        if error is None and self._away:
            log.info("acks can be recorded again")
        self._away = error is not None
