"""Fields that are stamped on a payload when it is appended.

A serialized message followed by a serialized field is the message with that field set (Protocol Buffers
encoding, "Last One Wins"), so a script can stamp a payload without parsing it.
"""

from __future__ import annotations


def varint_tag(field: int) -> bytes:
    """The tag of a varint field: its number and wire type 0, itself a varint."""
    number = field << 3
    tag = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits to a byte
        tag.append(number & 0x7F | 0x80)
        number >>= 7
    tag.append(number)
    return bytes(tag)
