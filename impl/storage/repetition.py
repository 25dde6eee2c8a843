"""Telling new events from redelivered ones and from late repetitions of a send; without I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypedDict

from idiom.v1.reason_errors import INTERNAL

from codegen.runtime.errors import Error
from impl.storage.envelope import tombstoned
from impl.storage.tables import EventKind

Place = tuple[str, int, int]
"""Conversation, epoch, seq."""
SendKey = tuple[str, int, str]
"""Conversation, sender, client message id."""


class MessageValues(TypedDict):
    """A row of the table of messages."""

    id: int
    conversation_id: str
    epoch: int
    seq: int
    sender_id: int
    client_message_id: str | None
    kind: int
    envelope: bytes
    created_at: int


@dataclass(slots=True)
class Known:
    """What is stored of a batch already."""

    places: dict[Place, int] = field(default_factory=dict)
    """Ids by places."""
    ids: dict[int, Place] = field(default_factory=dict)
    sends: dict[SendKey, int] = field(default_factory=dict)
    """Ids of the first events of sends."""

    def add(self, number: int, place: Place, send: SendKey | None) -> None:
        """Counts an event as stored."""
        self.places[place] = number
        self.ids[number] = place
        if send is not None:
            self.sends[send] = number


def fresh(rows: Iterable[MessageValues], known: Known) -> list[MessageValues]:
    """The rows that are not stored yet, late repetitions among them as tombstones.

    Error INTERNAL if a place or an id belongs to something else.
    """
    found: list[MessageValues] = []
    for row in rows:
        if _redelivered(row, known):
            continue
        send = send_of(row)
        first = None if send is None else known.sends.get(send)
        stored = row if first is None else _tombstone(row, first)
        known.add(stored["id"], place_of(stored), send_of(stored))
        found.append(stored)
    return found


def place_of(row: MessageValues) -> Place:
    """Where an event stands."""
    return row["conversation_id"], row["epoch"], row["seq"]


def send_of(row: MessageValues) -> SendKey | None:
    """Which send an event is the result of, if it claims to be one."""
    name = row["client_message_id"]
    return None if name is None else (row["conversation_id"], row["sender_id"], name)


def _redelivered(row: MessageValues, known: Known) -> bool:
    place = place_of(row)
    holder = known.places.get(place)
    if holder == row["id"]:
        return True
    if holder is not None or row["id"] in known.ids:
        taken = "position" if holder is not None else "id"
        raise Error(
            INTERNAL,
            f"the {taken} of event {row['id']} belongs to another event",
            metadata={"conversation_id": place[0], "epoch": str(place[1]), "seq": str(place[2])},
        )
    return False


def _tombstone(row: MessageValues, first: int) -> MessageValues:
    return {
        **row,
        "client_message_id": None,
        "kind": EventKind.TOMBSTONE,
        "envelope": tombstoned(row["envelope"], first),
    }
