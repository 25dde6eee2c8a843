"""One entry of a stream as its consumer sees it."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from google.protobuf.message import Message

E = TypeVar("E", bound=Message)


class Delivery(NamedTuple, Generic[E]):
    """One entry handed to a consumer group. It comes at least once, in the order of its partition."""

    event: E
    entry_id: str
    """Id of the stream entry; grows along the partition until the stream is lost."""
    partition: int
    token: int
    """Fencing token of the partition's owner; a later owner's is greater."""
    ordinal: int
    """Number of the entry in its partition; grows, across losses too, but may jump."""
    redelivered: bool
    """Whether it was handed over before, perhaps by another owner. False proves nothing."""
