from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from im.errors.v1 import close_closes as closes

from impl.connect.session import WAIT, Decision, Limits, Reaction, Session, State

LIMITS = Limits(hello=10.0, opening=10.0, heartbeat=20.0, closing=3.0)
KINDS = ("hello", "send", "read", "ack", "heartbeat")
START = 1000.0


def session_in(state: State, now: float = START) -> Session:
    session = Session(LIMITS, now)
    if state is State.CLOSING:
        session.close(now)
        return session
    for step, reached in (
        (partial(session.authenticating, now), State.AUTHENTICATING),
        (session.opening, State.OPENING),
        (session.catching_up, State.CATCHING_UP),
        (session.live, State.LIVE),
    ):
        if session.state is state:
            break
        step()
        assert session.state is reached
    return session


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("state", "of_hello", "of_others"),
    [
        (State.AWAITING_HELLO, Reaction.OPEN, Reaction.CLOSE),
        (State.AUTHENTICATING, Reaction.REFUSE, Reaction.REFUSE),
        (State.OPENING, Reaction.REFUSE, Reaction.REFUSE),
        (State.CATCHING_UP, Reaction.REFUSE, Reaction.SERVE),
        (State.LIVE, Reaction.REFUSE, Reaction.SERVE),
        (State.CLOSING, Reaction.IGNORE, Reaction.IGNORE),
    ],
)
def test_each_state_has_its_reaction_to_each_frame(
    state: State, of_hello: Reaction, of_others: Reaction, kind: str
) -> None:
    assert session_in(state).receive(kind) is (of_hello if kind == "hello" else of_others)


def test_a_session_without_hello_ends_when_the_time_for_it_is_over() -> None:
    session = session_in(State.AWAITING_HELLO)
    assert session.due(START, START) == START + 10
    assert session.tick(START + 9.9, START + 9.9, START) == WAIT
    assert session.tick(START + 10, START + 9.9, START) == Decision(close=closes.HELLO_EXPECTED)


@pytest.mark.parametrize("state", [State.AUTHENTICATING, State.OPENING])
def test_a_session_that_does_not_open_in_time_is_unavailable(state: State) -> None:
    session = session_in(state)
    assert session.tick(START + 9.9, START, START) == WAIT
    assert session.tick(START + 10, START, START) == Decision(close=closes.UNAVAILABLE)


WELCOME = pytest.mark.parametrize("state", [State.CATCHING_UP, State.LIVE])


@WELCOME
def test_a_welcome_session_that_is_heard_and_speaks_is_left_alone(state: State) -> None:
    session = session_in(state)
    assert session.welcome
    assert session.tick(START + 100, START + 90, START + 90) == WAIT


@WELCOME
def test_a_session_that_said_nothing_for_an_interval_beats(state: State) -> None:
    session = session_in(state)
    assert session.tick(START + 20, START + 19, START) == Decision(beat=True)


def test_a_client_that_was_not_heard_for_an_interval_is_probed_once() -> None:
    session = session_in(State.LIVE)
    assert session.tick(START + 20, START, START + 19) == Decision(probe=True)
    assert session.tick(START + 21, START, START + 19) == WAIT


@WELCOME
def test_a_client_that_was_not_heard_for_two_intervals_is_given_up(state: State) -> None:
    session = session_in(state)
    assert session.tick(START + 39.9, START, START + 39) == Decision(probe=True)
    assert session.tick(START + 40, START, START + 39) == Decision(close=closes.HEARTBEAT_TIMEOUT)


def test_a_client_that_only_answers_pings_lives_on() -> None:
    session = session_in(State.LIVE)
    heard = START
    for beat in range(1, 50):
        now = START + beat * 20
        assert session.tick(now, heard, now) == Decision(probe=True)
        heard = now


def test_a_closing_session_that_does_not_end_is_cut() -> None:
    session = session_in(State.CLOSING)
    assert session.tick(START + 2.9, START, START) == WAIT
    assert session.tick(START + 3, START, START) == Decision(abort=True)


def test_only_the_first_close_counts() -> None:
    session = session_in(State.LIVE)
    assert session.close(START)
    assert not session.close(START + 1)
    assert session.deadline == START + 3


@pytest.mark.parametrize("state", [State.OPENING, State.CATCHING_UP, State.LIVE, State.CLOSING])
def test_a_session_cannot_authenticate_twice(state: State) -> None:
    with pytest.raises(RuntimeError):
        session_in(state).authenticating(START)


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (State.AUTHENTICATING, Session.catching_up),
        (State.AUTHENTICATING, Session.live),
        (State.OPENING, Session.live),
        (State.OPENING, Session.opening),
        (State.CATCHING_UP, Session.catching_up),
        (State.CLOSING, Session.live),
    ],
)
def test_a_session_skips_and_repeats_no_state(state: State, step: Callable[[Session], None]) -> None:
    with pytest.raises(RuntimeError):
        step(session_in(state))


class Life(RuleBasedStateMachine):
    """Any order of frames, steps and ticks."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.heard = self.said = START
        self.session = Session(LIMITS, self.now)
        self.closed_at: float | None = None

    @rule(kind=st.sampled_from(KINDS))
    def frame(self, kind: str) -> None:
        self.heard = self.now
        reaction = self.session.receive(kind)
        if reaction is Reaction.OPEN:
            assert kind == "hello"
            self.session.authenticating(self.now)
        elif reaction is Reaction.SERVE:
            assert self.session.welcome
        elif reaction is Reaction.CLOSE:
            self.close()

    @rule()
    def pong(self) -> None:
        self.heard = self.now

    @rule()
    def send(self) -> None:
        self.said = self.now

    @precondition(lambda self: self.session.state is State.AUTHENTICATING)
    @rule()
    def authenticated(self) -> None:
        self.session.opening()

    @precondition(lambda self: self.session.state is State.OPENING)
    @rule()
    def welcomed(self) -> None:
        self.session.catching_up()

    @precondition(lambda self: self.session.state is State.CATCHING_UP)
    @rule()
    def caught_up(self) -> None:
        self.session.live()

    @rule()
    def close(self) -> None:
        if self.session.close(self.now):
            self.closed_at = self.now

    @rule()
    def reach_the_deadline(self) -> None:
        self.now = max(self.now, self.session.due(self.heard, self.said))
        before = self.session.state
        decision = self.session.tick(self.now, self.heard, self.said)
        assert decision != WAIT, "a due session has something to do"
        if decision.beat:
            self.said = self.now
        if decision.close is not None:
            assert before is not State.CLOSING
            self.close()
        assert decision.abort == (before is State.CLOSING)

    @rule(seconds=st.floats(0, 60))
    def time_passes(self, seconds: float) -> None:
        self.now = min(self.now + seconds, max(self.now, self.session.due(self.heard, self.said)))

    @invariant()
    def nothing_is_decided_before_it_is_due(self) -> None:
        if self.now < self.session.due(self.heard, self.said) - 1e-6:
            assert self.session.tick(self.now, self.heard, self.said) == WAIT

    @invariant()
    def closing_is_final(self) -> None:
        assert (self.session.state is State.CLOSING) == (self.closed_at is not None)


TestLife = Life.TestCase
