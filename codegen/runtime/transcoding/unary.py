"""Unary calls over HTTP: one request, one answer."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from codegen.runtime.grpc_client import Channel
from codegen.runtime.pipeline import Pipeline, late
from codegen.runtime.transcoding.binding import Binding
from codegen.runtime.transcoding.compression import chosen, compressible, encoded
from codegen.runtime.transcoding.etag import BINARY_FORM, Tags, check_match, header_of, is_current
from codegen.runtime.transcoding.exchange import Exchange, RawHeaders, safe_type
from codegen.runtime.transcoding.negotiation import BINARY, JSON, binary_name, wants_binary
from codegen.runtime.validation import validate

JSON_SIZE_FACTOR = 6
"""Most bytes of JSON for one byte of its binary form: `\\u0001`."""
COMPRESSED_HERE = 1 << 16
"""Bytes up to which an answer is compressed at once; a larger one in a thread, not to hold others up."""

NO_CONTENT_TYPE = 1
"""Headers of an answer behind its content type."""


class Response(NamedTuple):
    """A whole answer."""

    status: int
    headers: RawHeaders
    body: bytes


class Unary:
    """One route of a unary method.

    Args:
        binding: the route.
        channel: reaches the service.
        pipeline: checks requests.
        tags: of the method, if it has versions.
    """

    def __init__(self, binding: Binding, channel: Channel, pipeline: Pipeline, tags: Tags | None) -> None:
        self._binding = binding
        self._method = binding.method
        self._channel = channel
        self._tags = tags
        self._limit = pipeline.limit(binding.method)
        self._json_limit = json_limit(pipeline, self._limit)
        self._pipeline = pipeline

    async def answer(self, exchange: Exchange) -> Response:
        """The answer to one request. Reading it and the call have one deadline and one client.

        Raises:
            Error: any.
            ClientGoneError: nobody waits for an answer.
        """
        accept = exchange.metadata.get("accept")
        binary = accept is not None and not self._binding.answers_http_body and wants_binary(accept)
        options = exchange.options()
        try:
            async with exchange.while_client_stays(options.timeout):
                body, is_json = b"", True
                if exchange.has_body:
                    is_json = not exchange.binary_body()
                    body = await exchange.read(self._json_limit if is_json else self._limit)
                payload = self._payload(exchange, body, is_json=is_json)
                data = await self._channel.unary_bytes(self._method, payload, options)
        except TimeoutError:
            raise late(self._method) from None
        return await response_of(exchange, data, self._tags, binary=binary)

    def _payload(self, exchange: Exchange, body: bytes, *, is_json: bool) -> bytes:
        """The request in binary form, valid."""
        binding = self._binding
        if binding.takes_http_body:
            content_type = exchange.metadata.get("content-type")
            request = binding.decode_raw(exchange.segments, exchange.query, body, content_type)
        else:
            request = binding.decode(exchange.segments, exchange.query, body, binary=not is_json)
        if self._tags is not None and "if-match" in exchange.metadata:
            self._tags.fill(request, exchange.metadata["if-match"])
        payload = binding.request.to_binary(request)
        self._pipeline.check_size(self._method, len(payload))
        validate(request)
        return payload


async def response_of(exchange: Exchange, data: bytes, tags: Tags | None, *, binary: bool) -> Response:
    """The answer that a service's message is.

    Args:
        exchange: the request.
        data: the message in binary form.
        tags: of the method, if it has versions.
        binary: whether it goes out in binary form rather than JSON.

    Raises:
        Error: PRECONDITION_FAILED or INVALID_FIELD, of a method that has versions.
    """
    body, content_type = exchange.binding.encode(data, binary=binary)
    if binary and content_type == BINARY:
        content_type = binary_name(exchange.metadata.get("accept"))
    elif exchange.binding.answers_http_body:
        content_type = safe_type(content_type)
    version = "" if tags is None else tags.version(data)
    coding = _coding(exchange, len(body), content_type)
    headers = exchange.answer_headers(content_type)
    if version:
        headers.append((b"etag", header_of(version, _variant(content_type, coding))))
        if _is_known(exchange, version, binary=content_type != JSON):
            return Response(304, headers[NO_CONTENT_TYPE:], b"")
    if coding is not None:
        headers.append((b"content-encoding", coding.encode()))
        large = len(body) > COMPRESSED_HERE
        body = await asyncio.to_thread(encoded, coding, body) if large else encoded(coding, body)
    return Response(200, headers, body)


def json_limit(pipeline: Pipeline, limit: int) -> int:
    """Most bytes of JSON to read: what is too large in binary form may still be found so after decoding."""
    return min(limit * JSON_SIZE_FACTOR, max(limit, pipeline.max_request_bytes))


def _coding(exchange: Exchange, size: int, content_type: str) -> str | None:
    from_size = exchange.settings.compressed_from
    accepted = exchange.metadata.get("accept-encoding")
    if accepted is None or not from_size or size < from_size or not compressible(content_type):
        return None
    return chosen(accepted)


def _variant(content_type: str, coding: str | None) -> str:
    """What tells a representation from the JSON of the same version: a strong tag is of one only."""
    return "-".join(part for part in ("" if content_type == JSON else BINARY_FORM, coding) if part)


def _is_known(exchange: Exchange, version: str, *, binary: bool) -> bool:
    """Whether the client has this version of what it reads already, in the form that it reads.

    Raises:
        Error: PRECONDITION_FAILED: it wants another one. INVALID_FIELD.
    """
    if exchange.scope["method"] not in ("GET", "HEAD"):
        return False
    wanted, had = exchange.metadata.get("if-match"), exchange.metadata.get("if-none-match")
    if wanted is not None:
        check_match(wanted, version)
    return had is not None and is_current(had, version, binary=binary)
