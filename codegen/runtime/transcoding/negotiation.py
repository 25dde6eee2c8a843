"""What request headers ask for: formats and deadlines."""

from __future__ import annotations

import re
from collections.abc import Sequence

from idiom.v1 import reason_errors as reasons

from codegen.runtime.errors import Error
from codegen.runtime.json_diagnosis import invalid

JSON = "application/json"
BINARY = "application/x-protobuf"

_BINARIES = frozenset({BINARY, "application/protobuf"})
_ANYTHING = frozenset({"*/*", "application/*"})
_COMMON = frozenset({JSON, *_ANYTHING})
_GRPC_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_NAMED = 1e-6
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


def is_binary(content_type: str | None) -> bool:
    """Whether a body is in binary form rather than JSON. A body without a type counts as JSON.

    Types such as `application/merge-patch+json` are refused: they mean more than the JSON they are in.

    Raises:
        Error: UNSUPPORTED_MEDIA_TYPE.
    """
    if content_type is None or content_type == JSON:
        return False
    media, _, parameters = content_type.lower().partition(";")
    if media.strip() == JSON and _is_utf8(parameters):
        return False
    if media.strip() in _BINARIES:
        return True
    raise Error(
        reasons.UNSUPPORTED_MEDIA_TYPE,
        f"a body must be {JSON} in UTF-8, or {BINARY}",
        metadata={"accept": f"{JSON}, {BINARY}"},
    )


def wants_binary(accept: str | None) -> bool:
    """Whether a response goes out in binary form rather than JSON (RFC 9110, section 12.5.1).

    Raises:
        Error: NOT_ACCEPTABLE.
    """
    if accept is None or accept in _COMMON or not accept.strip():
        return False
    ranges = [_range(part) for part in accept.lower().split(",")]
    json = _quality(ranges, frozenset({JSON}))
    binary = _quality(ranges, _BINARIES)
    if max(json, binary) <= 0:
        raise Error(reasons.NOT_ACCEPTABLE, f"responses are {JSON} or {BINARY}")
    return binary > json


def liked(accept: str, offers: Sequence[frozenset[str]], default: int) -> int | None:
    """Which of several formats a client likes best; None if it takes none.

    Args:
        accept: the header.
        offers: names of each format; of those named with one quality, the first counts.
        default: the format for a client that names none of those it likes best.
    """
    ranges = [_range(part) for part in accept.lower().split(",")]
    qualities = [_quality(ranges, names) for names in offers]
    best = max(qualities)
    if best <= 0:
        return None
    named = best - round(best, 3) > 0
    return default if qualities[default] == best and not named else qualities.index(best)


def binary_name(accept: str | None) -> str:
    """The name of the binary form that a client knows."""
    known = accept is None or BINARY in (accept := accept.lower()) or "application/protobuf" not in accept
    return BINARY if known else "application/protobuf"


def timeout_of(grpc_timeout: str | None, request_timeout: str | None) -> float | None:
    """Seconds that the caller gives: `Grpc-Timeout: 500m` or `X-Request-Timeout: 0.5`; the shorter of both.

    Raises:
        Error: INVALID_FIELD.
    """
    if grpc_timeout is None and request_timeout is None:
        return None
    given = []
    if grpc_timeout is not None:
        match = _GRPC_TIMEOUT.fullmatch(grpc_timeout.strip())
        if match is None:
            raise invalid("grpc-timeout", "up to eight digits and one of H, M, S, m, u, n are expected")
        given.append(int(match[1]) * _UNITS[match[2]])
    if request_timeout is not None:
        if not _SECONDS.fullmatch(request_timeout.strip()):
            raise invalid("x-request-timeout", "seconds are expected, such as 2.5")
        given.append(float(request_timeout))
    return min(given, default=None)


def _is_utf8(parameters: str) -> bool:
    return all(
        value.strip().strip('"') in ("utf-8", "utf8")
        for name, _, value in (part.partition("=") for part in parameters.split(";"))
        if name.strip() == "charset"
    )


def _range(part: str) -> tuple[str, float]:
    media, *parameters = part.split(";")
    for name, _, value in (parameter.partition("=") for parameter in parameters):
        if name.strip() == "q":
            return media.strip(), float(value) if _QUALITY.fullmatch(value := value.strip()) else 0.0
    return media.strip(), 1.0


def _quality(ranges: list[tuple[str, float]], types: frozenset[str]) -> float:
    """Quality of the most specific range that covers one of the types; named types count a trifle more."""
    families = {f"{each.partition('/')[0]}/*" for each in types}
    for names, preference in ((types, _NAMED), (families, 0.0), ({"*/*"}, 0.0)):
        qualities = [quality for media, quality in ranges if media in names]
        if qualities:
            return max(qualities) + preference if max(qualities) else 0.0
    return 0.0
