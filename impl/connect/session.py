"""What one session expects and does, as a state machine without sockets, tasks or clocks.

awaiting hello → authenticating → opening → catching up → live → closing; every state can go to closing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from im.errors.v1 import close_closes as closes

from codegen.runtime.method import CloseCode, Socket


class State(Enum):
    """Where a session stands."""

    AWAITING_HELLO = auto()
    AUTHENTICATING = auto()
    OPENING = auto()
    """The session map names it, so live frames come; they wait until `welcome` is sent."""
    CATCHING_UP = auto()
    """Welcome. Live frames of conversations of which it is sent what it missed wait until that is done."""
    LIVE = auto()
    """`resumed` is sent; nothing waits."""
    CLOSING = auto()


class Reaction(Enum):
    """What to do with a client frame."""

    OPEN = auto()
    """It is the hello: authenticate."""
    SERVE = auto()
    REFUSE = auto()
    """Answer with an error; the session goes on."""
    CLOSE = auto()
    """Close as HELLO_EXPECTED."""
    IGNORE = auto()


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now that time has passed."""

    beat: bool = False
    """Send a heartbeat."""
    probe: bool = False
    """Send a ping."""
    close: CloseCode | None = None
    abort: bool = False
    """The closing handshake takes too long: cut the connection."""


WAIT = Decision()
_WELCOME = frozenset((State.CATCHING_UP, State.LIVE))


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds."""

    hello: float
    opening: float
    """From hello to welcome."""
    heartbeat: float
    closing: float

    @classmethod
    def of(cls, socket: Socket, opening: float, closing: float) -> Limits:
        """Limits of an endpoint."""
        return cls(socket.hello_timeout, opening, socket.heartbeat, closing)


class Session:
    """One session. All times are of one monotonic clock, in seconds."""

    __slots__ = ("_limits", "_probed", "deadline", "state")

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._probed = now
        self.state = State.AWAITING_HELLO
        self.deadline = now + limits.hello
        """When the present state has to end; without meaning while welcome."""

    @property
    def welcome(self) -> bool:
        """Whether the client was welcomed and is served."""
        return self.state in _WELCOME

    def receive(self, kind: str) -> Reaction:
        """A readable client frame has come."""
        match self.state:
            case State.AWAITING_HELLO:
                return Reaction.OPEN if kind == "hello" else Reaction.CLOSE
            case State.CLOSING:
                return Reaction.IGNORE
            case State.CATCHING_UP | State.LIVE:
                return Reaction.REFUSE if kind == "hello" else Reaction.SERVE
            case _:
                return Reaction.REFUSE

    def authenticating(self, now: float) -> None:
        """The hello has come."""
        self._advance(State.AWAITING_HELLO, State.AUTHENTICATING)
        self.deadline = now + self._limits.opening

    def opening(self) -> None:
        """The client is known."""
        self._advance(State.AUTHENTICATING, State.OPENING)

    def catching_up(self) -> None:
        """The welcome was sent."""
        self._advance(State.OPENING, State.CATCHING_UP)

    def live(self) -> None:
        """Everything that was missed was sent."""
        self._advance(State.CATCHING_UP, State.LIVE)

    def close(self, now: float) -> bool:
        """The session ends; False if it was ending before."""
        if self.state is State.CLOSING:
            return False
        self.state = State.CLOSING
        self.deadline = now + self._limits.closing
        return True

    def tick(self, now: float, heard: float, said: float) -> Decision:
        """Time has passed.

        Args:
            now: the present.
            heard: when the client last showed life.
            said: when something was last sent.
        """
        match self.state:
            case State.AWAITING_HELLO:
                return Decision(close=closes.HELLO_EXPECTED) if now >= self.deadline else WAIT
            case State.CLOSING:
                return Decision(abort=True) if now >= self.deadline else WAIT
            case State.CATCHING_UP | State.LIVE:
                return self._pulse(now, heard, said)
            case _:
                return Decision(close=closes.UNAVAILABLE) if now >= self.deadline else WAIT

    def due(self, heard: float, said: float) -> float:
        """When `tick` is wanted next."""
        if not self.welcome:
            return self.deadline
        return self._limits.heartbeat + min(said, max(heard, self._probed), heard + self._limits.heartbeat)

    def _pulse(self, now: float, heard: float, said: float) -> Decision:
        interval = self._limits.heartbeat
        if now >= heard + 2 * interval:
            return Decision(close=closes.HEARTBEAT_TIMEOUT)
        probe = now >= max(heard, self._probed) + interval
        if probe:
            self._probed = now
        return Decision(beat=now >= said + interval, probe=probe)

    def _advance(self, before: State, after: State) -> None:
        if self.state is not before:
            raise RuntimeError(f"a session cannot go from {self.state.name} to {after.name}")
        self.state = after
