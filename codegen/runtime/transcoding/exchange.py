"""One admitted request and its answer: what serving a unary call, a stream or a socket have in common."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from idiom.v1 import reason_errors as reasons
from starlette.types import Message, Receive, Scope, Send

from codegen.runtime.context import Context
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import CallOptions
from codegen.runtime.transcoding.binding import Binding
from codegen.runtime.transcoding.compression import Encoder, chosen, compressible, decoder, encoder
from codegen.runtime.transcoding.disconnect import ClientGoneError, ReceiveError, Rounds, Watch
from codegen.runtime.transcoding.metadata import headers_of_metadata
from codegen.runtime.transcoding.negotiation import BINARY, JSON, is_binary
from codegen.runtime.transcoding.settings import HttpSettings

RawHeaders = list[tuple[bytes, bytes]]

OCTETS = "application/octet-stream"
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110 calls it that
_CONTENT_TYPE = re.compile(rf'{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*(?:{_TOKEN}=(?:{_TOKEN}|"[ !#-\[\]-~]*"))?)*')
_NOSNIFF = (b"x-content-type-options", b"nosniff")
_TYPES = {each: (b"content-type", each.encode()) for each in (JSON, BINARY)}
MAX_UNFOLDED = 50
"""Times its length that a compressed stream of messages may unfold to: each of them is work."""
FREE_UNFOLDED = 1 << 20
"""Bytes that it may unfold to in any case."""
_DIGITS = 20
"""Of a length that is beyond all limits, however many more follow; Python reads no more than 4300."""


class Exchange:
    """One admitted request.

    Args:
        scope: of ASGI, `http` or `websocket`.
        receive: of ASGI.
        send: of ASGI.
        binding: the route.
        segments: of the path, raw.
        metadata: headers that count, lower-case.
        context: of the call. A stream's has a deadline only if the caller gave one.
        forwarded: headers that go on to the service.
        settings: of the dispatcher.
        rounds: of the running loop.
    """

    __slots__ = (
        *(
            "_body_read",
            "_encoder",
            "_rounds",
            "_watch",
            "binding",
            "context",
            "forwarded",
            "has_body",
            "metadata",
        ),
        *("receive", "response_metadata", "scope", "segments", "send", "settings", "started"),
    )

    def __init__(  # noqa: PLR0913, PLR0917 - everything that is known of a request, in one place
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        binding: Binding,
        segments: Sequence[str],
        metadata: dict[str, str],
        context: Context,
        forwarded: dict[str, str | bytes],
        settings: HttpSettings,
        rounds: Rounds,
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.binding = binding
        self.segments = segments
        self.metadata = metadata
        self.context = context
        self.forwarded = forwarded
        self.settings = settings
        self._rounds = rounds
        self.response_metadata: dict[str, str | bytes] | None = {} if settings.exposed_metadata else None
        self.started = False
        """Whether the answer has begun: an Error can no longer become an ordinary refusal."""
        self.has_body = _has_body(scope, metadata)
        """Whether a body is announced; its length may still turn out to be 0."""
        self._body_read = not self.has_body
        self._watch: Watch | None = None
        self._encoder: Encoder | None = None

    @property
    def query(self) -> bytes:
        """Raw query string."""
        query: bytes = self.scope["query_string"]
        return query

    def binary_body(self) -> bool:
        """Whether the body is in binary form, or raw, rather than JSON.

        Raises:
            Error: UNSUPPORTED_MEDIA_TYPE.
        """
        if self.binding.takes_http_body:
            return True
        return self.binding.takes_body and is_binary(self.metadata.get("content-type"))

    def options(self) -> CallOptions:
        """How to call the service; what it says beside its answer becomes headers of `start`."""
        return CallOptions(
            identity=self.context.identity,
            timeout=self.context.remaining,
            request_id=self.context.request_id,
            metadata=self.forwarded,
            response_metadata=self.response_metadata,
        )

    def while_client_stays(self, seconds: float | None = None) -> Watch:
        """`async with exchange.while_client_stays(): …` is cancelled when the client goes away.

        ClientGoneError leaves the block then, and may leave `serve_stream` too: nothing is sent. It listens
        only after the request's body has been read to its end by `read` or `parts`, which notice themselves
        before.

        Args:
            seconds: after which TimeoutError leaves the block; None means never.
        """
        self._watch = Watch(self._rounds, self.receive, seconds, body_read=self._body_read)
        return self._watch

    async def read(self, limit: int) -> bytes:
        """The whole body, decompressed.

        Args:
            limit: most bytes, before decompression and after it.

        Raises:
            Error: TOO_LARGE, MALFORMED_BODY or UNSUPPORTED_MEDIA_TYPE.
            ClientGoneError: the client went away.
        """
        length = self.metadata.get("content-length", "")
        if length.isdecimal():
            _check(int(length.lstrip("0")[:_DIGITS] or "0"), limit)
        chunks: list[bytes] = []
        size = 0
        if "content-encoding" in self.metadata:
            async for part in self.parts(limit):
                chunks.append(part)
                size += len(part)
                _check(size, limit)
        else:
            while not self._body_read:
                chunks.append(self._noted(await self._event()))
                size += len(chunks[-1])
                _check(size, limit)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def parts(self, limit: int = 0, *, folded: bool = True) -> AsyncIterator[bytes]:
        """The body as it comes, decompressed, in parts of at most what the server hands over or 64 KiB.

        Args:
            limit: most bytes before decompression; 0 means any number, for a reader who bounds what it keeps.
            folded: whether it may unfold to any length; if not, to MAX_UNFOLDED times what was received.

        Raises:
            Error: TOO_LARGE, MALFORMED_BODY or UNSUPPORTED_MEDIA_TYPE.
            ClientGoneError: the client went away.
        """
        decode = decoder(self.metadata.get("content-encoding")) if self.has_body else None
        size = unfolded = 0
        while not self._body_read:
            data = self._noted(await self._event())
            size += len(data)
            if limit:
                _check(size, limit)
            for part in (data,) if decode is None else decode.decode(data):
                unfolded += len(part)
                if not folded and unfolded > FREE_UNFOLDED + MAX_UNFOLDED * size:
                    raise Error(reasons.TOO_LARGE, f"it unfolds to more than {MAX_UNFOLDED} times its length")
                if part:
                    yield part
        if decode is not None and size:
            decode.finish()

    async def _event(self) -> Message:
        try:
            return await self.receive()
        except Exception as error:
            raise ReceiveError from error

    def _noted(self, event: Message) -> bytes:
        """What an event brings of the body."""
        if event["type"] == "http.disconnect":
            raise ClientGoneError
        if not event.get("more_body"):
            self._body_read = True
            if self._watch is not None:
                self._watch.body_read()
        data: bytes = event.get("body", b"")
        return data

    async def start(self, content_type: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Begins an answer in parts, with status 200; compressed part by part where the client likes that.

        A HEAD request is answered with that and nothing else.

        Raises:
            ClientGoneError: nobody waits for more.
        """
        sent = [*self.answer_headers(safe_type(content_type)), *headers]
        if self.settings.compressed_from and compressible(content_type):
            coding = chosen(self.metadata.get("accept-encoding"))
            if coding:
                self._encoder = encoder(coding)
                sent.append((b"content-encoding", coding.encode()))
        self.started = True
        await self.send({"type": "http.response.start", "status": 200, "headers": sent})
        if self.scope["method"] == "HEAD":
            await self.send({"type": "http.response.body", "body": b""})
            raise ClientGoneError

    async def write(self, data: bytes) -> None:
        """Sends a part of the answer, at once."""
        coded = data if self._encoder is None else self._encoder.encode(data)
        await self.send({"type": "http.response.body", "body": coded, "more_body": True})

    async def finish(self, data: bytes = b"") -> None:
        """Ends the answer.

        Args:
            data: its last part.
        """
        if self._encoder is not None:
            data = (self._encoder.encode(data) if data else b"") + self._encoder.finish()
        await self.send({"type": "http.response.body", "body": data})

    def answer_headers(self, content_type: str) -> RawHeaders:
        """What every answer but a refusal has, and what the service says as far as it is exposed."""
        headers = [
            _TYPES.get(content_type) or (b"content-type", content_type.encode()),
            _vary(self.settings.forwarded_headers),
            (b"x-request-id", self.context.request_id.encode()),
            _NOSNIFF,
        ]
        if self.response_metadata:
            headers += headers_of_metadata(self.response_metadata, self.settings.exposed_metadata)
        return headers


@functools.cache
def _vary(forwarded: frozenset[str]) -> tuple[bytes, bytes]:
    """What answers depend on (RFC 9110, section 12.5.5).

    Who asks is part of it: a browser's cache outlives a login, and two users' answers may have one version.
    """
    names = ("accept", "accept-encoding", "authorization")
    return b"vary", ", ".join((*names, *sorted(forwarded.difference(names)))).encode()


def _has_body(scope: Scope, metadata: Mapping[str, str]) -> bool:
    length = metadata.get("content-length")
    if length is not None:
        return length != "0" or "transfer-encoding" in metadata
    # From HTTP/2 on, a body needs no header to announce it.
    return "transfer-encoding" in metadata or scope.get("http_version", "1.1") >= "2"


def safe_type(content_type: str) -> str:
    """A content type that a service gives, or that of mere bytes if it is none (RFC 9110, section 8.3.1)."""
    return content_type if _CONTENT_TYPE.fullmatch(content_type) else OCTETS


def _check(size: int, limit: int) -> None:
    if size > limit:
        raise Error(reasons.TOO_LARGE, f"the body is larger than {limit} bytes")
