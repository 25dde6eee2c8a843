"""What a request says of its protocol: form, codec, timeout."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import parse_qs

from idiom.v1 import reason_errors as reasons

from codegen.runtime.errors import Error
from codegen.runtime.json_diagnosis import invalid, malformed
from codegen.runtime.transcoding.negotiation import timeout_of


class Protocol(Enum):
    """A protocol of the library."""

    UNARY = auto()
    """Connect, one request and one response: bodies are bare messages, errors are HTTP statuses."""
    STREAM = auto()
    """Connect, a method that streams: envelopes, the last of which says how it ended."""
    GRPC_WEB = auto()

    @property
    def timeout_header(self) -> str:
        """Name of the header that says the caller's timeout."""
        return "grpc-timeout" if self is Protocol.GRPC_WEB else "connect-timeout-ms"


@dataclass(frozen=True, slots=True)
class Form:
    """How a request is written."""

    protocol: Protocol
    binary: bool
    """Whether messages are in their binary form rather than JSON."""
    content_type: str
    """Without parameters, in lower case."""


FORMS: Mapping[str, Form] = {
    name: Form(protocol, binary, name)
    for name, protocol, binary in (
        ("application/json", Protocol.UNARY, False),
        ("application/proto", Protocol.UNARY, True),
        ("application/connect+json", Protocol.STREAM, False),
        ("application/connect+proto", Protocol.STREAM, True),
        ("application/grpc-web", Protocol.GRPC_WEB, True),
        ("application/grpc-web+proto", Protocol.GRPC_WEB, True),
        ("application/grpc-web+json", Protocol.GRPC_WEB, False),
    )
}
"""By content type."""

CODECS = {"json": FORMS["application/json"], "proto": FORMS["application/proto"]}
"""By the parameter `encoding` of a GET."""

VERSION = "connect-protocol-version"

_MILLISECONDS = re.compile(r"[0-9]{1,10}")
_BASE64 = re.compile(r"[A-Za-z0-9_-]*={0,2}")
_UTF8 = re.compile(r"""\s*charset\s*=\s*"?utf-?8"?\s*""", re.IGNORECASE)


def form_of_post(content_type: str | None, *, streams: bool) -> Form:
    """How a request with a body is written.

    Raises:
        Error: UNSUPPORTED_MEDIA_TYPE.
    """
    media, _, parameters = (content_type or "").partition(";")
    form = FORMS.get(media.strip().lower())
    if form is None or form.protocol is (Protocol.UNARY if streams else Protocol.STREAM):
        raise Error(reasons.UNSUPPORTED_MEDIA_TYPE, f"a body must be one of: {', '.join(offered(streams))}")
    if parameters.strip() and not _UTF8.fullmatch(parameters):
        raise Error(reasons.UNSUPPORTED_MEDIA_TYPE, "text must be in UTF-8")
    return form


def offered(streams: bool) -> list[str]:
    """Content types of requests."""
    other = Protocol.UNARY if streams else Protocol.STREAM
    return [name for name, form in FORMS.items() if form.protocol is not other]


def form_of_get(query: bytes) -> Form:
    """How a request in a query is written.

    Raises:
        Error: UNSUPPORTED_MEDIA_TYPE or MALFORMED_BODY.
    """
    if not query.isascii():
        raise malformed("the query is not percent-encoded")
    given = {name: values[0] for name, values in parse_qs(query.decode(), keep_blank_values=True).items()}
    if (form := CODECS.get(given.get("encoding", ""))) is None:
        raise Error(reasons.UNSUPPORTED_MEDIA_TYPE, f"encoding must be one of: {', '.join(CODECS)}")
    if given.get("base64") == "1" and not _BASE64.fullmatch(given.get("message", "")):
        raise malformed("the message is not base64 in its alphabet for URLs")
    return form


def timeout(form: Form, headers: Mapping[str, str]) -> float | None:
    """Seconds that the caller gives.

    Raises:
        Error: INVALID_FIELD.
    """
    name = form.protocol.timeout_header
    given = headers.get(name)
    if given is None:
        return None
    if form.protocol is Protocol.GRPC_WEB:
        return timeout_of(given, None)
    if not _MILLISECONDS.fullmatch(given):
        raise invalid(name, "at most ten digits are expected: milliseconds")
    return int(given) / 1000


def check_version(headers: Mapping[str, str]) -> None:
    """Refuses versions of Connect to come.

    Raises:
        Error: INVALID_FIELD.
    """
    if headers.get(VERSION, "1") != "1":
        raise invalid(VERSION, "1 is expected")


def timeout_text(form: Form, seconds: float) -> str:
    """The header that says so; at most 27 hours, which is all that gRPC can say in milliseconds."""
    milliseconds = min(math.ceil(seconds * 1000), 99_999_999)
    return f"{milliseconds}m" if form.protocol is Protocol.GRPC_WEB else str(milliseconds)
