from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE

from codegen.runtime.errors import Error
from impl.logic.ids import (
    LARGEST_MS,
    SEQUENCES,
    WORKERS,
    Snowflakes,
    compose,
    created_ms_of,
    monotonic_clock,
)


class Hand:
    """A clock that is moved by hand."""

    def __init__(self, now: int = 1000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def test_the_largest_id_has_63_bits() -> None:
    assert compose(LARGEST_MS, WORKERS - 1, SEQUENCES - 1) == (1 << 63) - 1


def test_an_id_tells_when_it_was_made() -> None:
    snowflakes = Snowflakes(monotonic_clock())
    snowflakes.use(5, LARGEST_MS)
    assert abs(created_ms_of(snowflakes.next()) - time.time() * 1000) < 1000


def test_more_ids_than_a_millisecond_has_borrow_from_the_next() -> None:
    clock = Hand()
    snowflakes = Snowflakes(clock)
    snowflakes.use(1, 2000)
    made = [snowflakes.next() for _ in range(3 * SEQUENCES)]
    assert made == sorted(set(made))
    assert snowflakes.last_ms == clock.now + 2


def test_no_id_is_made_above_the_mark_and_an_extension_goes_on() -> None:
    clock = Hand()
    snowflakes = Snowflakes(clock)
    snowflakes.use(1, 1001)
    clock.now = 1002
    with pytest.raises(Error) as caught:
        snowflakes.next()
    assert caught.value.reason == DEPENDENCY_UNAVAILABLE
    snowflakes.use(1, 1100)
    assert snowflakes.next() == compose(1002, 1, 0)


def test_nothing_is_made_before_a_worker_number_is_held() -> None:
    with pytest.raises(Error):
        Snowflakes(Hand()).next()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.integers(0, 5)),
        st.tuples(st.just("make"), st.integers(1, 5000)),
        st.tuples(st.just("worker"), st.integers(0, 3)),
    ),
    max_size=30,
)


@given(STEPS)
def test_ids_grow_whatever_the_clock_and_the_worker_number_do(steps: list[tuple[str, int]]) -> None:
    clock = Hand()
    snowflakes = Snowflakes(clock)
    snowflakes.use(9, LARGEST_MS)
    made = [snowflakes.next()]
    for kind, number in steps:
        if kind == "tick":
            clock.now += number
        elif kind == "worker":
            snowflakes.use(number, LARGEST_MS)
        else:
            made.extend(snowflakes.next() for _ in range(number))
    assert all(earlier < later for earlier, later in itertools.pairwise(made))
