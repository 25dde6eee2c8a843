"""Page tokens of the list of conversations: opaque to callers, checked when they come back; without I/O."""

from __future__ import annotations

import binascii
import hashlib
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final, NamedTuple

from im.errors.v1.reason_errors import PAGE_TOKEN_INVALID

from codegen.runtime.errors import Error

_VERSION: Final = 1
_LAYOUT: Final = struct.Struct(">B4sq")
"""Version, digest of the rest and of whose list it is, id of the last event; then the conversation's id."""


class Recency(NamedTuple):
    """Where a conversation stands in a list; lists go from the highest down."""

    last_id: int
    """Id of the last event."""
    conversation_id: str
    """Tells apart what has no event, or the same."""


def encode(user_id: int, last: Recency) -> str:
    """The token of the page behind `last` in the user's list."""
    name = last.conversation_id.encode()
    packed = _LAYOUT.pack(_VERSION, _digest(user_id, last.last_id, name), last.last_id) + name
    return urlsafe_b64encode(packed).decode().rstrip("=")


def decode(user_id: int, token: str) -> Recency:
    """Where the page begins. Error PAGE_TOKEN_INVALID if the token does not come from this user's list."""
    try:
        packed = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        version, digest, last_id = _LAYOUT.unpack_from(packed)
        name = packed[_LAYOUT.size :]
        if (version, digest) == (_VERSION, _digest(user_id, last_id, name)):
            last = Recency(last_id, name.decode())
            if encode(user_id, last) == token:
                return last
    except (UnicodeError, binascii.Error, struct.error):
        pass
    raise Error(PAGE_TOKEN_INVALID, "the page token does not come from a page of this list")


def _digest(user_id: int, last_id: int, name: bytes) -> bytes:
    """Tells mistakes, not attacks: whoever forges a token sees another part of their own list."""
    data = b"%d %d %s" % (user_id, last_id, name)
    return hashlib.blake2b(data, digest_size=4, person=b"conversations").digest()
