"""Entries of a stream as deliveries: hundreds at once, so one costs little beside its parsing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from google.protobuf.message import DecodeError, Message

from codegen.runtime.streams.delivery import Delivery
from codegen.runtime.streams.fenced_group import Claim, Entry


def deliveries(
    entries: Sequence[Entry], message: type[Message], claim: Claim, *, redelivered: bool
) -> list[Delivery[Any]]:
    """All entries, in order.

    Raises:
        DecodeError: one of them holds no such message, or nothing.
    """
    parse, partition, token = message.FromString, claim.partition, claim.token
    # `Delivery(...)` itself would take as long again as all the rest beside the parsing.
    make: Any = tuple.__new__
    try:
        found = [
            make(Delivery, (parse(payload), entry_id.decode(), partition, token, int(ordinal), redelivered))
            for entry_id, (name, payload, _, ordinal) in cast("Any", entries)  # None is a TypeError
            if name == b"payload"
        ]
    except (TypeError, ValueError):
        raise DecodeError("an entry is gone, or has other fields") from None
    if len(found) != len(entries):
        raise DecodeError("an entry has other fields")
    return found
