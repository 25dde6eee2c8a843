"""A call ends when its time is up, and when its client goes away."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from idiom.v1 import reason_errors as reasons
from starlette.types import Message, Receive, Send

from codegen.runtime.errors import Error

GRACE = 0.05
"""Seconds a call runs at least, and twice as long at most, before anybody listens whether its client is still
there; most are done by then."""


class ClientGoneError(Exception):
    """The client went away, or has all it asked for; nobody reads more of a response."""


def cancelled() -> Error:
    """What middleware and logs of the app hear, who take it for a defect if there is no answer at all."""
    return Error(reasons.CANCELLED, "the client went away")


class ReceiveError(Exception):
    """What the app around raised when asked for a body, as its cause: it is the app's to handle."""


class Rounds:
    """Looks after the watches of one event loop: those that have lasted a while get timers of their own.

    A timer for each call, set and cancelled again, costs more than finding a route.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.turns = False
        """Whether a timer is set; none is while there is nothing to look after."""
        self._young: set[Watch] = set()
        self._old: set[Watch] = set()

    def add(self, watch: Watch) -> set[Watch]:
        """Takes a watch; from the set in which it then is, its end removes it."""
        if not self.turns:
            self.turns = True
            self.loop.call_later(GRACE, self._turn)
        self._young.add(watch)
        return self._young

    def _turn(self) -> None:
        lasting, self._old, self._young = self._old, self._young, set()
        for watch in lasting:
            watch.lasts()
        self.turns = bool(self._old)
        if self.turns:
            self.loop.call_later(GRACE, self._turn)


class LoopRounds:
    """The rounds of the running loop: an app may be called in several, also at once in several threads."""

    def __init__(self) -> None:
        self._last: Rounds | None = None

    def current(self) -> Rounds:
        """Those of the running loop."""
        loop = asyncio.get_running_loop()
        rounds = self._last  # read once, for another thread may put its own there at any time
        if rounds is None or rounds.loop is not loop:
            self._last = rounds = Rounds(loop)
        return rounds


def of_one_body(receive: Receive) -> Receive:
    """What is received, but never the end of a body twice: behind it there is only the client going away.

    Middleware that has read a body is wont to give it again as often as it is asked, at once: whoever listens
    for the client to go would keep the loop from everything else.
    """
    ended = False

    async def received() -> Message:
        nonlocal ended
        event = await receive()
        if event["type"] == "http.request":
            if ended:
                await asyncio.get_running_loop().create_future()
            ended = not event.get("more_body")
        return event

    return received


def to_client(send: Send) -> Send:
    """What sends, with ClientGoneError for what servers raise if nobody is there any more (ASGI: OSError)."""

    async def sent(event: Message) -> None:
        try:
            await send(event)
        except OSError:
            raise ClientGoneError from None

    return sent


class Watch:
    """Cancels the body of its `async with` when the client goes away or time is up.

    Args:
        rounds: of the running loop.
        receive: of a request.
        seconds: from now; None means no deadline.
        body_read: whether the request's body has been read, for nobody else may receive from then on.
    """

    __slots__ = (
        *("_begun", "_body_read", "_cancelling", "_expired", "_gone", "_lasts", "_receive", "_round"),
        *("_rounds", "_seconds", "_task", "_timer", "_watcher"),
    )

    def __init__(self, rounds: Rounds, receive: Receive, seconds: float | None, *, body_read: bool) -> None:
        self._rounds = rounds
        self._receive = receive
        self._seconds = seconds
        self._body_read = body_read
        self._lasts = self._gone = self._expired = False
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None

    def body_read(self) -> None:
        """Says that the request's body has been read."""
        self._body_read = True
        if self._lasts:
            self._listen()

    def lasts(self) -> None:
        """Listens to the client, as soon as its request has come, and sets a timer for the deadline."""
        self._lasts = True
        if self._seconds is not None and self._timer is None:
            left = self._begun + self._seconds - self._rounds.loop.time()
            self._timer = self._rounds.loop.call_later(max(0.0, left), self._expire)
        if self._body_read:
            self._listen()

    async def __aenter__(self) -> Self:
        """Starts the clock."""
        loop = self._rounds.loop
        self._task = task = asyncio.current_task(loop)
        self._cancelling = task.cancelling() if task is not None else 0
        self._begun = loop.time()
        self._round = self._rounds.add(self)
        if self._seconds is not None and self._seconds <= 2 * GRACE:
            self._timer = loop.call_later(self._seconds, self._expire)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stops the clock.

        Raises:
            ClientGoneError: the client went away.
            TimeoutError: time is up.
        """
        self._round.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
        if self._task is not None and (self._gone or self._expired):
            others = self._task.uncancel() > self._cancelling
            if not others and self._gone:
                raise ClientGoneError from None
            if not others and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def _listen(self) -> None:
        self._watcher = self._rounds.loop.create_task(self._watch())

    def _expire(self) -> None:
        if not self._gone:
            self._expired = True
            self._cancel()

    async def _watch(self) -> None:
        receive = of_one_body(self._receive)
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        except Exception:  # noqa: BLE001 - of the app around; then nobody tells whether the client is there
            return
        if not self._expired:
            self._gone = True
            self._cancel()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
