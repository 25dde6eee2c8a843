"""Judges a run by its history alone: every broken promise is a sentence."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tests.faults.history import History, Record, Send, View


@dataclass(frozen=True, slots=True)
class Stay:
    """A user's stay in a conversation: what is sent to them is first ≤ seq ≤ last."""

    first: int
    last: int | None = None

    def holds(self, seq: int) -> bool:
        """Whether the event of this number is sent to them."""
        return self.first <= seq and (self.last is None or seq <= self.last)


THE_END = "the last read"

Stays = Mapping[int, Sequence[Stay]]
"""By user; ascending."""


def violations(history: History) -> list[str]:
    """Every broken promise.

    The last read of each conversation is the reference: it must hold what was accepted, and what it holds is
    what members must have seen.
    """
    final = _by_conversation(history.final)
    stays = {name: stays_of(name, records) for name, records in final.items()}
    return [
        *history.complaints,
        *_unique(history.final, THE_END),
        *itertools.chain.from_iterable(_contiguous(r, THE_END) for r in final.values()),
        *_sends(history.sends, history.final),
        *_sender_order(history.sends),
        *itertools.chain.from_iterable(
            _view(device, view, final, stays) for device, view in history.views.items()
        ),
        *_same(history),
    ]


def _same(history: History) -> Iterator[str]:
    """The database holds what is read from it, and nothing else."""
    if history.stored is None:
        return
    final, stored = (
        {replace(record, change=None) for record in records} for records in (history.final, history.stored)
    )
    yield from (f"{record} was read and is not in the database" for record in final - stored)
    yield from (f"{record} is in the database and cannot be read" for record in stored - final)


def stays_of(conversation_id: str, records: Iterable[Record]) -> Stays:
    """Who was a member when."""
    kind, _, rest = conversation_id.partition(".")
    if kind == "dm":
        return {int(user): [Stay(1)] for user in rest.split(".")}
    stays: dict[int, list[Stay]] = defaultdict(list)
    for record in sorted(records, key=lambda r: r.position):
        if record.change is None:
            continue
        for user in record.change.joined:
            stays[user].append(Stay(record.seq))
        for user in record.change.left:
            stays[user][-1] = Stay(stays[user][-1].first, record.seq)
    return stays


def _sends(sends: Sequence[Send], final: Sequence[Record]) -> Iterator[str]:
    """Accepted: there, as it was told. Not answered: there once or not at all. Refused: not there."""
    found = Counter(record.send for record in final)
    known = set(final)
    for send in sends:
        count = found[send.conversation_id, send.sender_id, send.client_message_id]
        if send.record is not None and send.record not in known:
            yield f"{send.record} was accepted and is not in the end"
        if send.refused and count:
            yield f"{send} was refused and is there"
        if send.record is None and count > 1:
            yield f"{send} was not answered and is {count} times there"


def _sender_order(sends: Sequence[Send]) -> Iterator[str]:
    last: dict[tuple[str, int], tuple[int, int]] = {}
    for record in (send.record for send in sends if send.record is not None):
        key = (record.conversation_id, record.sender_id)
        if record.position <= last.get(key, (0, 0)):
            yield f"{record} was numbered before an earlier message of the same sender"
        last[key] = record.position


def _view(
    device: str, view: View, final: Mapping[str, Sequence[Record]], stays: Mapping[str, Stays]
) -> Iterator[str]:
    where = f"the view of {device}"
    for conversation, records in view.records.items():
        yield from _unique(records, where)
        yield from _ascending(records, where)
        yield from _true(records, final.get(conversation, ()), where)
    for conversation, members in stays.items():
        own = members.get(view.user_id, ())
        yield from _stays(own, view.records.get(conversation, ()), final[conversation], where)
    yield from _pages(view, where)
    for conversation, seq in view.progress.items():
        if seq > max((record.seq for record in final.get(conversation, ())), default=0):
            yield f"progress of {conversation} goes beyond its last number in {where}"


def _true(records: Sequence[Record], final: Sequence[Record], where: str) -> Iterator[str]:
    known = set(final)
    for record in records:
        if record not in known:
            yield f"{record} is in {where} and not there in the end"


def _stays(own: Sequence[Stay], seen: Sequence[Record], final: Sequence[Record], where: str) -> Iterator[str]:
    """Nothing from outside the stays, no hole in any, and the last one whole."""
    for record in seen:
        if not any(stay.holds(record.seq) for stay in own):
            yield f"{record} is in {where}, whose user was no member then"
    for stay in own:
        there = [record for record in final if stay.holds(record.seq)]
        found = [record for record in seen if stay.holds(record.seq)]
        if stay is own[-1]:
            missing = set(there) - set(found)
            yield from (f"{record} is not in {where}" for record in missing)
        elif found != there[: len(found)]:
            yield f"an earlier stay in {there[0].conversation_id} has a hole in {where}"


def _pages(view: View, where: str) -> Iterator[str]:
    """Contiguous pages, and reads that never go back."""
    heads: dict[str, tuple[int, int]] = {}
    for page in view.pages:
        yield from _contiguous(page.records, f"a page of {where}")
        if page.head < heads.get(page.conversation_id, (0, 0)):
            yield f"the head of {page.conversation_id} went back from one read to the next in {where}"
        heads[page.conversation_id] = max(page.head, heads.get(page.conversation_id, (0, 0)))


def _unique(records: Iterable[Record], where: str) -> Iterator[str]:
    records = list(records)
    for what, counts in (
        ("message id", Counter(record.message_id for record in records)),
        ("position", Counter((record.conversation_id, record.position) for record in records)),
        ("client message id", Counter(record.send for record in records if record.client_message_id)),
    ):
        for value, count in counts.items():
            if count > 1:
                yield f"{what} {value} is {count} times in {where}"


def _ascending(records: Sequence[Record], where: str) -> Iterator[str]:
    for earlier, record in itertools.pairwise(records):
        if record.position <= earlier.position:
            yield f"{record} comes after {earlier} in {where}"


def _contiguous(records: Sequence[Record], where: str) -> Iterator[str]:
    """Numbers rise by one within an epoch, and every conversation begins with 1."""
    for earlier, record in itertools.pairwise(records):
        jump = record.epoch != earlier.epoch
        if record.position <= earlier.position or (not jump and record.seq != earlier.seq + 1):
            yield f"{record.conversation_id} has a gap or is out of order after {earlier.seq} in {where}"
    if records and where == THE_END and records[0].epoch == 1 and records[0].seq != 1:
        yield f"{records[0].conversation_id} does not begin with 1 in {where}"


def _by_conversation(records: Iterable[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        found[record.conversation_id].append(record)
    return found
