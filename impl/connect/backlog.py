"""Live frames that wait until what comes before them was sent; without I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from codegen.runtime.sockets import FrameCodec, Outgoing

Place = tuple[int, int]
"""Epoch and seq; ordered."""


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """A frame about a conversation, for many sessions."""

    conversation_id: str
    place: Place | None
    """Of its event; None if it has none of its own."""
    outgoing: Outgoing

    def written(self, codec: FrameCodec) -> bytes:
        """As `codec` writes it."""
        return self.outgoing.written(codec)


@dataclass(slots=True)
class Lost:
    """Frames of one conversation that did not fit."""

    first: Place | None = None
    """Of the first event among them; None if there is none."""
    last: Place | None = None
    """Of the last event among them."""
    progress: bool = False
    """Whether some of them have no place."""

    def note(self, place: Place | None) -> None:
        """One more."""
        if place is None:
            self.progress = True
            return
        self.first = min(place, self.first or place)
        self.last = max(place, self.last or place)

    def beyond(self, sent: Place) -> bool:
        """Whether something is missing though everything up to `sent` was sent."""
        return self.progress or (self.last is not None and self.last > sent)


@dataclass(slots=True)
class _Queue:
    frames: list[tuple[Place | None, bytes]] = field(default_factory=list)
    size: int = 0
    lost: Lost | None = None


class Backlog:
    """The waiting frames of one session, by conversation.

    If they become more than `most_bytes`, those of the conversation that has most are given up, together with
    what comes of it until it is released; that is told then.
    """

    __slots__ = ("_held", "_most_bytes", "_queues", "_size")

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._size = 0
        self._queues: dict[str, _Queue] = {}
        self._held: set[str] | None = None

    def holds(self, conversation_id: str) -> bool:
        """Whether frames of the conversation have to wait; at first all have to."""
        return self._held is None or conversation_id in self._held

    def put(self, conversation_id: str, place: Place | None, written: bytes) -> None:
        """A frame waits; `place` is that of its event, None if it has none of its own."""
        queue = self._queues.setdefault(conversation_id, _Queue())
        if queue.lost is not None:
            queue.lost.note(place)
            return
        queue.frames.append((place, written))
        queue.size += len(written)
        self._size += len(written)
        while self._size > self._most_bytes:
            self._give_up(max(self._queues.values(), key=lambda each: each.size))

    def hold_only(self, conversation_ids: Iterable[str]) -> list[str]:
        """From now on only frames of these wait; the conversations that are to be released for that."""
        self._held = set(conversation_ids)
        return [name for name in self._queues if name not in self._held]

    def release(self, conversation_id: str, sent: Place) -> tuple[list[bytes], Lost | None]:
        """Frames of the conversation wait no longer.

        Returns:
            The frames that are not about events up to `sent`, and what is missing beyond that, if anything.
        """
        if self._held is not None:
            self._held.discard(conversation_id)
        queue = self._queues.pop(conversation_id, None)
        if queue is None:
            return [], None
        self._size -= queue.size
        frames = [written for place, written in queue.frames if place is None or place > sent]
        return frames, queue.lost if queue.lost and queue.lost.beyond(sent) else None

    def _give_up(self, queue: _Queue) -> None:
        queue.lost = Lost()
        for place, _ in queue.frames:
            queue.lost.note(place)
        self._size -= queue.size
        queue.frames, queue.size = [], 0
