"""One admitted request and its answer: what serving a unary call, a stream or a socket have in common."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence

from idiom.v1 import reason_errors as reasons
from starlette.types import Receive, Scope, Send

from codegen.runtime.context import Context
from codegen.runtime.deadline import Deadline
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import CallOptions
from codegen.runtime.transcoding.binding import Binding
from codegen.runtime.transcoding.compression import Encoder, chosen, compressible, decoder, encoder
from codegen.runtime.transcoding.disconnect import CancelledWithClient, ClientGoneError
from codegen.runtime.transcoding.metadata import headers_of_metadata
from codegen.runtime.transcoding.settings import HttpSettings

RawHeaders = list[tuple[bytes, bytes]]

OCTETS = "application/octet-stream"
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110 calls it that
_CONTENT_TYPE = re.compile(rf'{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*(?:{_TOKEN}=(?:{_TOKEN}|"[ !#-\[\]-~]*"))?)*')
_NOSNIFF = (b"x-content-type-options", b"nosniff")
VARY = (b"vary", b"accept, accept-encoding")


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
    """

    __slots__ = (
        *("_encoder", "binding", "context", "forwarded", "metadata", "read_all", "receive"),
        *("response_metadata", "scope", "segments", "send", "settings", "started"),
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
        self.response_metadata: dict[str, str | bytes] | None = {} if settings.exposed_metadata else None
        self.started = False
        """Whether the answer has begun: an Error can no longer become an ordinary refusal."""
        self.read_all = asyncio.Event()
        """Set once the request's body has been read to its end."""
        self._encoder: Encoder | None = None

    @property
    def query(self) -> bytes:
        """Raw query string."""
        query: bytes = self.scope["query_string"]
        return query

    @property
    def has_body(self) -> bool:
        """Whether a body is announced; its length may still turn out to be 0."""
        length = self.metadata.get("content-length")
        if length is not None:
            return length != "0" or "transfer-encoding" in self.metadata
        # From HTTP/2 on, a body needs no header to announce it.
        return "transfer-encoding" in self.metadata or self.scope.get("http_version", "1.1") >= "2"

    def options(self) -> CallOptions:
        """How to call the service; what it says beside its answer becomes headers of `start`."""
        return CallOptions(
            identity=self.context.identity,
            timeout=self.context.remaining,
            request_id=self.context.request_id,
            metadata=self.forwarded,
            response_metadata=self.response_metadata,
        )

    def while_client_stays(self) -> CancelledWithClient:
        """`async with exchange.while_client_stays(): …` is cancelled when the client goes away.

        ClientGoneError leaves the block then, and may leave `serve_stream` too: nothing is sent. It listens
        only after the request's body has been read, by `read` or `parts`, to its end.
        """
        return CancelledWithClient(self.receive, self.read_all)

    async def read(self, limit: int) -> bytes:
        """The whole body, decompressed.

        Args:
            limit: most bytes, before decompression and after it.

        Raises:
            Error: TOO_LARGE, MALFORMED_BODY, UNSUPPORTED_MEDIA_TYPE or DEADLINE_EXCEEDED.
            ClientGoneError: the client went away.
        """
        length = self.metadata.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            raise _too_large(limit)
        chunks: list[bytes] = []
        size = 0
        try:
            with Deadline(self.context.remaining):
                async for part in self.parts(limit):
                    size += len(part)
                    if size > limit:
                        raise _too_large(limit)
                    chunks.append(part)
        except TimeoutError:
            raise Error(reasons.DEADLINE_EXCEEDED, "the body did not arrive in time") from None
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def parts(self, limit: int = 0) -> AsyncIterator[bytes]:
        """The body as it comes, decompressed, in parts of at most what the server hands over or 64 KiB.

        Args:
            limit: most bytes before decompression; 0 means any number, for a reader who bounds it.

        Raises:
            Error: TOO_LARGE, MALFORMED_BODY or UNSUPPORTED_MEDIA_TYPE.
            ClientGoneError: the client went away.
        """
        decode = decoder(self.metadata.get("content-encoding")) if self.has_body else None
        size, more = 0, self.has_body
        while more:
            event = await self.receive()
            if event["type"] == "http.disconnect":
                raise ClientGoneError
            data, more = event.get("body", b""), event.get("more_body", False)
            size += len(data)
            if limit and size > limit:
                raise _too_large(limit)
            for part in (data,) if decode is None else decode.decode(data):
                if part:
                    yield part
        if decode is not None and size:
            decode.finish()
        self.read_all.set()

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
            (b"content-type", content_type.encode()),
            VARY,
            (b"x-request-id", self.context.request_id.encode()),
            _NOSNIFF,
        ]
        if self.response_metadata:
            headers += headers_of_metadata(self.response_metadata, self.settings.exposed_metadata)
        return headers


def safe_type(content_type: str) -> str:
    """A content type that a service gives, or that of mere bytes if it is none (RFC 9110, section 8.3.1)."""
    return content_type if _CONTENT_TYPE.fullmatch(content_type) else OCTETS


def _too_large(limit: int) -> Error:
    return Error(reasons.TOO_LARGE, f"the body is larger than {limit} bytes")
