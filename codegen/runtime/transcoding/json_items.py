"""JSON values one after the other, or in one array, found while their bytes arrive.

A reader finds where values begin and end, and refuses what is wrong between them; whether a value is JSON is
for its own parser to say (RFC 8259). It holds no more than one value and the chunk it was given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from idiom.v1 import reason_errors as reasons

from codegen.runtime.errors import Error, Reason
from codegen.runtime.json_diagnosis import field_error, malformed
from codegen.runtime.json_shape import MAX_DEPTH

_Step: TypeAlias = Callable[[bytes, int], int]

_SPACE = re.compile(rb"[ \t\n\r]*")
_PLAIN = re.compile(rb'(?:[^"\[\]{}]++|"[^"\\]*+")*+')
"""What cannot end an object or array: everything but brackets, and strings without escapes."""
_QUOTE_OR_ESCAPE = re.compile(rb'["\\]')
_SCALAR_END = re.compile(rb'[ \t\n\r,"\[\]{}]')
_QUOTE, _ESCAPE, _COMMA, _OPEN, _CLOSE = b'"\\,[]'
_OPENING = b"[{"


class JsonItems:
    """Finds the values in chunks of bytes.

    Args:
        max_bytes: of one value.
        array: whether a body that begins with `[` is one array whose elements are the values. Otherwise, and
            in any other body, values follow each other with white space between them, or nothing.
    """

    def __init__(self, max_bytes: int, *, array: bool) -> None:
        self._max_bytes = max_bytes
        self._may_be_array = array
        self._in_array = False
        self._step: _Step = self._begin
        self._held = bytearray()
        self._start: int | None = None
        """Where in the chunk the value begins that is being read; None between values."""
        self._depth = 0
        self._done: bytes | None = None
        self.count = 0
        """Values found."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The values that end in the next chunk; to be read to the end.

        Raises:
            Error: MALFORMED_BODY, or TOO_LARGE for a value.
        """
        position, end = 0, len(chunk)
        if self._start is not None:
            self._start = 0
        while position < end:
            position = self._step(chunk, position)
            if self._done is not None:
                item, self._done = self._done, None
                yield item
                self.count += 1
        if self._start is not None:
            self._hold(chunk, end)

    def finish(self) -> Iterator[bytes]:
        """The value that only the end of the body ends, if there is one.

        Raises:
            Error: MALFORMED_BODY: the body breaks off.
        """
        if self._step == self._scalar and not self._in_array:
            self._start = None
            yield bytes(self._held)
            self.count += 1
        elif self._step not in {self._begin, self._value, self._end} or self._in_array:
            raise self._wrong("the body breaks off here")

    # Steps: each takes a chunk and a position in it, and returns the position up to which it got.

    def _begin(self, chunk: bytes, position: int) -> int:
        position = _after_space(chunk, position)
        if position == len(chunk):
            return position
        self._step = self._value
        if self._may_be_array and chunk[position] == _OPEN:
            self._in_array = True
            self._step = self._first
            return position + 1
        return position

    def _first(self, chunk: bytes, position: int) -> int:
        """The first element of the array, or its end."""
        position = _after_space(chunk, position)
        if position == len(chunk):
            return position
        self._step = self._value
        return self._closed(position) if chunk[position] == _CLOSE else position

    def _value(self, chunk: bytes, position: int) -> int:
        """A value begins."""
        position = _after_space(chunk, position)
        if position == len(chunk):
            return position
        sign = chunk[position]
        if sign in b",]}":
            raise self._wrong("it is missing")
        self._start = position
        if sign == _QUOTE:
            self._depth = 0
            self._step = self._string
        elif sign in _OPENING:
            self._depth = 1
            self._step = self._nested
        else:
            self._step = self._scalar
            return position
        return position + 1

    def _nested(self, chunk: bytes, position: int) -> int:
        """Within an object or array."""
        found = _PLAIN.match(chunk, position)
        position = found.end() if found else position
        if position == len(chunk):
            return position
        sign = chunk[position]
        if sign == _QUOTE:
            self._step = self._string
        elif sign in _OPENING:
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise self._wrong("nested too deeply")
        else:
            self._depth -= 1
            if not self._depth:
                return self._found(chunk, position + 1)
        return position + 1

    def _string(self, chunk: bytes, position: int) -> int:
        found = _QUOTE_OR_ESCAPE.search(chunk, position)
        if found is None:
            return len(chunk)
        position = found.start() + 1
        if chunk[position - 1] == _ESCAPE:
            self._step = self._escaped
        elif self._depth:
            self._step = self._nested
        else:
            return self._found(chunk, position)
        return position

    def _escaped(self, _chunk: bytes, position: int) -> int:
        """The character behind a backslash, which cannot end the string."""
        self._step = self._string
        return position + 1

    def _scalar(self, chunk: bytes, position: int) -> int:
        """A number or a name; anything that cannot belong to one ends it."""
        found = _SCALAR_END.search(chunk, position)
        return len(chunk) if found is None else self._found(chunk, found.start())

    def _comma(self, chunk: bytes, position: int) -> int:
        """Behind an element of the array."""
        position = _after_space(chunk, position)
        if position == len(chunk):
            return position
        if chunk[position] == _CLOSE:
            return self._closed(position)
        if chunk[position] != _COMMA:
            raise self._wrong("a comma is missing before it")
        self._step = self._value
        return position + 1

    def _end(self, chunk: bytes, position: int) -> int:
        """Behind the array."""
        position = _after_space(chunk, position)
        if position < len(chunk):
            raise malformed("something follows the array")
        return position

    def _closed(self, position: int) -> int:
        self._in_array = False
        self._step = self._end
        return position + 1

    def _found(self, chunk: bytes, end: int) -> int:
        self._hold(chunk, end)
        self._done = bytes(self._held)
        self._held.clear()
        self._start = None
        self._step = self._comma if self._in_array else self._value
        return end

    def _hold(self, chunk: bytes, end: int) -> None:
        start = self._start or 0
        if len(self._held) + end - start > self._max_bytes:
            raise self._wrong(f"it is larger than {self._max_bytes} bytes", reasons.TOO_LARGE)
        self._held += memoryview(chunk)[start:end]

    def _wrong(self, what: str, reason: Reason = reasons.MALFORMED_BODY) -> Error:
        return field_error(reason, f"[{self.count}]", what)


def _after_space(chunk: bytes, position: int) -> int:
    found = _SPACE.match(chunk, position)
    return found.end() if found else position
