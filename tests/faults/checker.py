"""Holds what clients were told against what they saw and what the database keeps."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Record:
    """One message, wherever it was met."""

    message_id: int
    conversation_id: str
    epoch: int
    seq: int
    sender_id: int
    client_message_id: str

    @property
    def position(self) -> tuple[str, int, int]:
        """What a client drops repetitions by."""
        return (self.conversation_id, self.epoch, self.seq)


def violations(
    accepted: Sequence[Record],
    views: Mapping[str, Sequence[Record]],
    recipients: Mapping[str, str],
    stored: Sequence[Record],
) -> list[str]:
    """Every broken promise, a sentence each.

    Args:
        accepted: what senders were told was accepted, in the order each of them was told.
        views: per recipient, what they saw after dropping repetitions, in order of seq.
        recipients: recipient of each conversation.
        stored: rows of the database.
    """
    return [
        *_unique(accepted, "accepted"),
        *_sender_order(accepted),
        *_present(accepted, stored, "the database"),
        *_unique(stored, "the database"),
        *_contiguous(stored, "the database"),
        *_views(accepted, views, recipients),
    ]


def _views(
    accepted: Sequence[Record], views: Mapping[str, Sequence[Record]], recipients: Mapping[str, str]
) -> Iterator[str]:
    expected: dict[str, list[Record]] = defaultdict(list)
    for record in accepted:
        expected[recipients[record.conversation_id]].append(record)
    for recipient, records in expected.items():
        view = views.get(recipient, ())
        where = f"the view of {recipient}"
        yield from _present(records, view, where)
        yield from _unique(view, where)
        yield from _contiguous(view, where)


def _present(expected: Sequence[Record], found: Iterable[Record], where: str) -> Iterator[str]:
    known = set(found)
    for record in expected:
        if record not in known:
            yield f"{record} was accepted and is not in {where}"


def _unique(records: Iterable[Record], where: str) -> Iterator[str]:
    records = list(records)
    for what, counts in (
        ("message id", Counter(r.message_id for r in records)),
        ("position", Counter(r.position for r in records)),
        (
            "client message id",
            Counter((r.conversation_id, r.sender_id, r.client_message_id) for r in records),
        ),
    ):
        for value, count in counts.items():
            if count > 1:
                yield f"{what} {value} is {count} times in {where}"


def _contiguous(records: Iterable[Record], where: str) -> Iterator[str]:
    seqs: dict[tuple[str, int], list[int]] = defaultdict(list)
    for record in records:
        seqs[record.conversation_id, record.epoch].append(record.seq)
    for (conversation, epoch), numbers in seqs.items():
        expected = (
            list(range(1, len(numbers) + 1))
            if epoch == 1
            else list(range(numbers[0], numbers[0] + len(numbers)))
        )
        if numbers != expected:
            yield f"seqs of {conversation} in epoch {epoch} have a gap or are out of order in {where}"


def _sender_order(accepted: Sequence[Record]) -> Iterator[str]:
    last: dict[tuple[str, int], tuple[int, int]] = {}
    for record in accepted:
        key = (record.conversation_id, record.sender_id)
        if (record.epoch, record.seq) <= last.get(key, (0, 0)):
            yield f"{record} was numbered before an earlier message of the same sender"
        last[key] = (record.epoch, record.seq)
