"""Request headers that count here, which of them a service sees as metadata, and its metadata as headers."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping

from codegen.runtime.json_diagnosis import invalid
from codegen.runtime.pipeline import REQUEST_ID

TRACE = frozenset({"traceparent", "tracestate"})
"""Request headers that always go on to the service."""
MAX_TRACE = 512
"""Most characters of such a header (W3C Trace Context, section 3.3.1.5); a longer one stays behind."""
MAX_FORWARDED = 6144
"""Most characters of all configured headers together: gRPC refuses metadata of more than 8 KiB."""

HOP_BY_HOP = frozenset(
    (
        *("connection", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    )
)
"""Fields that mean one connection only (RFC 9110, section 7.6.1)."""
_OURS = frozenset(
    (
        *("authorization", "cookie", "set-cookie", "host", REQUEST_ID),
        *("content-encoding", "content-length", "content-type", "x-content-type-options"),
    )
)
_PREFIXES = ("grpc-", "idiom-", "sec-websocket-")
_KEY = re.compile(r"[0-9a-z_.-]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")

_READ = frozenset(
    (
        *("accept", "accept-encoding", "authorization", "connection", "content-encoding", "content-length"),
        *("content-type", "grpc-timeout", "if-match", "if-none-match", "last-event-id", "origin"),
        *("sec-websocket-protocol", "transfer-encoding", "x-http-method-override", "x-request-timeout"),
        *(REQUEST_ID, *TRACE),
    )
)


def check_names(names: Iterable[str]) -> None:
    """Refuses headers that may not cross the border between HTTP and a service, whatever is configured.

    Raises:
        ValueError: naming the first.
    """
    for name in sorted(names):
        if not _KEY.fullmatch(name):
            raise ValueError(f"{name!r} is no key of metadata: lower-case letters, digits, '-', '_', '.'")
        if name in HOP_BY_HOP or name in _OURS or name.startswith(_PREFIXES):
            raise ValueError(f"{name} is not for services, or not theirs to say")


def heard(headers: Iterable[tuple[bytes, bytes]], names: Mapping[bytes, str]) -> dict[str, str]:
    """Headers of these names. Repeated ones are joined as in RFC 9110, so none can hide behind another."""
    metadata: dict[str, str] = {}
    for raw, value in headers:
        name = names.get(raw)
        if name is not None:
            text = value.decode("latin-1")
            metadata[name] = f"{metadata[name]},{text}" if name in metadata else text
    return metadata


class Headers:
    """Which headers of a request are read.

    Args:
        forwarded: names of headers that go on to the service, beside `TRACE`.
    """

    def __init__(self, forwarded: frozenset[str]) -> None:
        self._forwarded = forwarded
        self._read = {name.encode(): name for name in _READ | forwarded}

    def read(self, headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
        """Headers that count."""
        return heard(headers, self._read)

    def forwarded(self, metadata: Mapping[str, str]) -> dict[str, str | bytes]:
        """What the service sees of them.

        Raises:
            Error: INVALID_FIELD: a configured header that metadata cannot carry.
        """
        sent: dict[str, str | bytes] = {}
        for name in TRACE:
            value = metadata.get(name)
            if value is not None and 0 < len(value) <= MAX_TRACE and _is_plain(value):
                sent[name] = value
        if self._forwarded:
            self._add_configured(sent, metadata)
        return sent

    def _add_configured(self, sent: dict[str, str | bytes], metadata: Mapping[str, str]) -> None:
        nominated = {part.strip().lower() for part in metadata.get("connection", "").split(",")}
        size = 0
        for name in self._forwarded:
            value = metadata.get(name)
            if value is None or name in nominated:
                continue
            size += len(name) + len(value)
            if size > MAX_FORWARDED:
                raise invalid(name, f"headers for the service have at most {MAX_FORWARDED} characters")
            sent[name] = _bytes(name, value) if name.endswith("-bin") else _text(name, value)


def headers_of_metadata(
    metadata: Mapping[str, str | bytes], exposed: frozenset[str]
) -> list[tuple[bytes, bytes]]:
    """Headers that say the exposed part of an answer's metadata; what a header cannot say is left out."""
    headers: list[tuple[bytes, bytes]] = []
    for name in sorted(exposed & metadata.keys()):
        value = metadata[name]
        if isinstance(value, bytes):
            if name.endswith("-bin"):
                headers.append((name.encode(), base64.b64encode(value).rstrip(b"=")))
        elif not name.endswith("-bin") and _is_plain(value):
            headers.append((name.encode(), value.strip(" ").encode()))
    return headers


def _text(name: str, value: str) -> str:
    if not _is_plain(value):
        raise invalid(name, "printable ASCII is expected")
    return value.strip(" ")


def _bytes(name: str, value: str) -> bytes:
    """One base64 value, padded or not, as gRPC has it; several would be one key with several values."""
    text = value.strip(" \t")
    bare = text.rstrip("=")
    try:
        if _BASE64.fullmatch(text) and (bare == text or len(text) % 4 == 0):
            return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        pass
    raise invalid(name, "one base64 value is expected")


def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable()
