from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from impl.connect.backlog import Backlog, Place

START: Place = (0, 0)
FRAME = bytes(10)


def frame(seq: int) -> bytes:
    return str(seq).encode().zfill(10)


def test_at_first_everything_waits() -> None:
    backlog = Backlog(1000)
    assert backlog.holds("a")
    backlog.put("a", (1, 1), frame(1))
    assert backlog.hold_only(["b"]) == ["a"]
    assert not backlog.holds("a")
    assert backlog.holds("b")


def test_what_waited_is_released_in_order_and_without_what_was_sent() -> None:
    backlog = Backlog(1000)
    for seq in (2, 3, 4):
        backlog.put("a", (1, seq), frame(seq))
    assert backlog.release("a", (1, 3)) == ([frame(4)], None)
    assert backlog.release("a", (1, 3)) == ([], None)


def test_a_new_epoch_is_beyond_every_number_of_the_old_one() -> None:
    backlog = Backlog(1000)
    backlog.put("a", (1, 9), frame(9))
    backlog.put("a", (2, 1), frame(1))
    assert backlog.release("a", (1, 500)) == ([frame(1)], None)


def test_progress_keeps_its_place_among_events() -> None:
    backlog = Backlog(1000)
    backlog.put("a", (1, 1), frame(1))
    backlog.put("a", None, b"progress")
    backlog.put("a", (1, 2), frame(2))
    assert backlog.release("a", (1, 1))[0] == [b"progress", frame(2)]


def test_a_released_conversation_waits_no_longer() -> None:
    backlog = Backlog(1000)
    backlog.hold_only(["a", "b"])
    backlog.release("a", START)
    assert not backlog.holds("a")
    assert backlog.holds("b")


def test_the_conversation_that_has_most_is_given_up_and_the_others_stay() -> None:
    backlog = Backlog(50)
    backlog.put("small", (1, 1), frame(1))
    for seq in range(3, 9):
        backlog.put("large", (1, seq), frame(seq))
    assert backlog.release("small", START) == ([frame(1)], None)
    frames, lost = backlog.release("large", START)
    assert frames == []
    assert lost is not None
    assert (lost.first, lost.last) == ((1, 3), (1, 8))


def test_what_was_given_up_is_no_loss_if_it_was_sent_otherwise() -> None:
    backlog = Backlog(15)
    backlog.put("a", (1, 1), frame(1))
    backlog.put("a", (1, 2), frame(2))
    assert backlog.release("a", (1, 2)) == ([], None)


def test_progress_that_was_given_up_is_a_loss() -> None:
    backlog = Backlog(15)
    backlog.put("a", None, FRAME)
    backlog.put("a", (1, 2), frame(2))
    lost = backlog.release("a", (1, 2))[1]
    assert lost is not None
    assert lost.progress


puts = st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(1, 20)), max_size=40)


@given(puts, st.integers(0, 300), st.integers(0, 20))
def test_every_frame_is_released_or_sent_before_or_told_to_be_lost(
    frames: list[tuple[str, int | None]], most_bytes: int, sent: int
) -> None:
    backlog = Backlog(most_bytes)
    for name, seq in frames:
        backlog.put(name, None if seq is None else (1, seq), frame(seq or 0))
    for conversation in "abc":
        released, lost = backlog.release(conversation, (1, sent))
        due = [seq for name, seq in frames if name == conversation and (seq is None or seq > sent)]
        if lost is None:
            assert released == [frame(seq or 0) for seq in due]
        else:
            assert not released
            assert lost.progress == (None in due)
            seqs = [seq for name, seq in frames if name == conversation and seq is not None]
            assert lost.last == ((1, max(seqs)) if seqs else None)


@given(puts, st.integers(0, 300))
def test_never_more_waits_than_may(frames: list[tuple[str, int | None]], most_bytes: int) -> None:
    backlog = Backlog(most_bytes)
    for name, seq in frames:
        backlog.put(name, None if seq is None else (1, seq), frame(seq or 0))
    released = [one for name in "abc" for one in backlog.release(name, START)[0]]
    assert sum(map(len, released)) <= most_bytes
