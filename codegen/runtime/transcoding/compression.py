"""Content codings: which one an answer gets, and bounded decoding of request bodies (RFC 9110, 8.4)."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Protocol

import brotli  # type: ignore[import-untyped] # it has no types
from idiom.v1 import reason_errors as reasons

from codegen.runtime.errors import Error
from codegen.runtime.json_diagnosis import malformed

CODINGS = ("br", "gzip")
"""What answers may be coded with; the first of those that a client likes best."""
ACCEPTED = "gzip, br, deflate"
"""What request bodies may be coded with."""
PART = 1 << 16
"""Most bytes that a decoder gives at once."""

_INPUT = 1 << 12
"""Bytes that go into zlib at once."""
_GZIP = 31
_ZLIB = 15
_GZIP_LEVEL = 4
_BROTLI_QUALITY = 4
_ALIASES = {"x-gzip": "gzip"}
_QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
_TEXTS = re.compile(
    r"(?:text/[^;]*|image/svg\+xml|application/(?:"
    r"json|x-ndjson|jsonl|javascript|xml|(?:x-)?protobuf|[^;/]+\+(?:json|xml)))[ \t]*(?:;|\Z)"
)


class Encoder(Protocol):
    """A content coding at work."""

    def encode(self, data: bytes) -> bytes:
        """Everything of `data`, so that the receiver has it at once."""
        ...

    def finish(self) -> bytes:
        """What ends the coding."""
        ...


class _Gzip:
    def __init__(self) -> None:
        self._coder = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP)

    def encode(self, data: bytes) -> bytes:
        return self._coder.compress(data) + self._coder.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._coder.flush()


class _Brotli:
    def __init__(self) -> None:
        self._coder = brotli.Compressor(quality=_BROTLI_QUALITY)

    def encode(self, data: bytes) -> bytes:
        coded: bytes = self._coder.process(data) + self._coder.flush()
        return coded

    def finish(self) -> bytes:
        coded: bytes = self._coder.finish()
        return coded


def encoder(coding: str) -> Encoder:
    """A coder for one answer in parts: `gzip` or `br`."""
    return _Brotli() if coding == "br" else _Gzip()


def encoded(coding: str, data: bytes) -> bytes:
    """A whole answer, coded."""
    if coding == "br":
        coded: bytes = brotli.compress(data, quality=_BROTLI_QUALITY)
        return coded
    return zlib.compress(data, _GZIP_LEVEL, _GZIP)


def compressible(content_type: str) -> bool:
    """Whether compressing content of this type is worth while: text, JSON, protobuf and their like."""
    return _TEXTS.match(content_type.lower()) is not None


def chosen(accept_encoding: str | None) -> str | None:
    """The coding that a client likes best; None for none (RFC 9110, section 12.5.3).

    What cannot be read counts as not said, and a client that refuses everything gets its answer uncoded.
    """
    if not accept_encoding:
        return None
    qualities = dict(_choice(part) for part in accept_encoding.lower().split(","))
    rest = qualities.get("*", 0.0)
    best = max(CODINGS, key=lambda coding: qualities.get(coding, rest))
    quality = qualities.get(best, rest)
    return best if quality > 0 and quality >= qualities.get("identity", 0.0) else None


def _choice(part: str) -> tuple[str, float]:
    name, *parameters = part.split(";")
    coding = name.strip()
    for key, _, value in (parameter.partition("=") for parameter in parameters):
        if key.strip() == "q":
            return _ALIASES.get(coding, coding), float(value) if _QUALITY.fullmatch(
                value := value.strip()
            ) else 0.0
    return _ALIASES.get(coding, coding), 1.0


class Decoder(Protocol):
    """A content coding undone; each part it gives has at most about `PART` bytes."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """What comes of the next bytes.

        Raises:
            Error: MALFORMED_BODY.
        """
        ...

    def finish(self) -> None:
        """Nothing more comes.

        Raises:
            Error: MALFORMED_BODY: the end is missing.
        """
        ...


def decoder(content_encoding: str | None) -> Decoder | None:
    """What undoes a request's coding; None if it has none.

    Raises:
        Error: UNSUPPORTED_MEDIA_TYPE, also for several codings one over the other.
    """
    if not content_encoding:
        return None
    codings = [part for each in content_encoding.lower().split(",") if (part := each.strip())]
    applied = [_ALIASES.get(each, each) for each in codings if each != "identity"]
    if not applied:
        return None
    if applied == ["br"]:
        return _Unbrotli()
    if applied == ["gzip"]:
        return _Inflate(_GZIP)
    if applied == ["deflate"]:
        return _Inflate(_ZLIB)
    raise Error(
        reasons.UNSUPPORTED_MEDIA_TYPE,
        f"a body may be compressed once, with one of {ACCEPTED}",
        metadata={"accept-encoding": ACCEPTED},
    )


class _Inflate:
    """Gzip, whose members may follow each other (RFC 1952, section 2.2), and zlib's form of deflate."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._coder = zlib.decompressobj(bits)

    def decode(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _INPUT):  # each member copies the input behind it
            yield from self._inflated(data[start : start + _INPUT])

    def _inflated(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._coder.eof:
                if self._bits != _GZIP:
                    raise _damaged()
                self._coder = zlib.decompressobj(self._bits)
            try:
                part = self._coder.decompress(data, PART)
            except zlib.error:
                raise _damaged() from None
            data = self._coder.unused_data if self._coder.eof else self._coder.unconsumed_tail
            if part:
                yield part

    def finish(self) -> None:
        if not self._coder.eof:
            raise _damaged()


class _Unbrotli:
    def __init__(self) -> None:
        self._coder = brotli.Decompressor()

    def decode(self, data: bytes) -> Iterator[bytes]:
        while True:
            try:
                part: bytes = self._coder.process(data, output_buffer_limit=PART)
            except brotli.error:
                raise _damaged() from None
            data = b""
            if part:
                yield part
            if self._coder.can_accept_more_data():
                return

    def finish(self) -> None:
        if not self._coder.is_finished():
            raise _damaged()


def _damaged() -> Error:
    return malformed("the body cannot be decompressed")
