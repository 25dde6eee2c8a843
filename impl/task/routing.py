"""Who shall see an event, and which requests bring it there; without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from im.connect.v1.delivery_service_pb2 import DeliverRequest
from im.stream.v1.conversation_event_pb2 import ConversationEvent

from codegen.runtime.streams.delivery import Delivery
from impl.storage.envelope import message_of, private_members
from impl.storage.sessions import SessionAddress

MAX_ITEMS = 1000
"""Items of one request; the schema allows 4096."""
MAX_BYTES = 1 << 20
"""Bytes of one request, about; a single item may be larger."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One life of one connection gateway, as addressed by the owner of one partition."""

    instance: str
    boot_id: str
    partition: int
    token: int


@dataclass(slots=True)
class Parcel:
    """What goes to one destination, in order."""

    items: list[DeliverRequest.Item] = field(default_factory=list)
    addresses: dict[str, SessionAddress] = field(default_factory=dict)
    """By session id: what to forget if a session is not there."""


def visible(event: ConversationEvent) -> bool:
    """Whether sessions are told of an event: those of kinds that are newer than this code are not."""
    return event.HasField("message")


def recipients(event: ConversationEvent) -> tuple[int, ...]:
    """The users who see an event; nobody if the conversation's members are not known from its id."""
    return (private_members(event.conversation_id) or ()) if visible(event) else ()


def recency(events: Iterable[ConversationEvent]) -> list[tuple[int, str, int]]:
    """(user, conversation, id of its latest event), once for each user and conversation."""
    latest: dict[tuple[int, str], int] = {}
    for event in events:
        for user in recipients(event):
            key = (user, event.conversation_id)
            latest[key] = max(event.id, latest.get(key, 0))
    return [(user, conversation, number) for (user, conversation), number in latest.items()]


def route(
    batch: Sequence[Delivery[ConversationEvent]], sessions: Mapping[int, Sequence[SessionAddress]]
) -> dict[Destination, Parcel]:
    """Parcels of a batch: every session of every recipient, but not the session that caused the event."""
    parcels: dict[Destination, Parcel] = {}
    for delivery in batch:
        event = delivery.event
        there: dict[Destination, list[str]] = {}
        for address in _addresses(event, sessions):
            to = Destination(address.instance, address.boot_id, delivery.partition, delivery.token)
            there.setdefault(to, []).append(address.session_id)
            parcels.setdefault(to, Parcel()).addresses[address.session_id] = address
        if there:
            message = message_of(event)
            for to, ids in there.items():
                parcels[to].items.append(DeliverRequest.Item(message=message, session_ids=ids))
    return parcels


def requests(to: Destination, items: Sequence[DeliverRequest.Item]) -> Iterator[DeliverRequest]:
    """The items as requests of bounded size, in order."""
    taken: list[DeliverRequest.Item] = []
    size = 0
    for item in items:
        if taken and (len(taken) >= MAX_ITEMS or size + item.ByteSize() > MAX_BYTES):
            yield _request(to, taken)
            taken, size = [], 0
        taken.append(item)
        size += item.ByteSize()
    if taken:
        yield _request(to, taken)


def _addresses(
    event: ConversationEvent, sessions: Mapping[int, Sequence[SessionAddress]]
) -> Iterator[SessionAddress]:
    for user in recipients(event):
        for address in sessions.get(user, ()):
            if address.session_id != event.origin_session:
                yield address


def _request(to: Destination, items: Sequence[DeliverRequest.Item]) -> DeliverRequest:
    return DeliverRequest(partition=to.partition, token=to.token, boot_id=to.boot_id, items=items)
