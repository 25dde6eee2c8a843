"""Unary calls over HTTP: one request, one answer."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from protobuf import Message

from codegen.runtime.grpc_client import Channel
from codegen.runtime.pipeline import Pipeline, late
from codegen.runtime.transcoding.compression import chosen, compressible, encoded
from codegen.runtime.transcoding.etag import Tags, check_match, header_of, is_current
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


async def serve_unary(
    exchange: Exchange, channel: Channel, pipeline: Pipeline, tags: Tags | None
) -> Response:
    """The answer to one request.

    Args:
        exchange: the request.
        channel: reaches the service.
        pipeline: checks the request.
        tags: of the method, if it has versions.

    Raises:
        Error: any.
        ClientGoneError: nobody waits for an answer.
    """
    binding = exchange.binding
    accept = exchange.metadata.get("accept")
    binary = accept is not None and not binding.answers_http_body and wants_binary(accept)
    data = await _called(exchange, channel, pipeline, tags)
    body, content_type = binding.encode(data, binary=binary)
    if binary and content_type == BINARY:
        content_type = binary_name(accept)
    elif binding.answers_http_body:
        content_type = safe_type(content_type)
    if tags is None and (
        "accept-encoding" not in exchange.metadata or len(body) < exchange.settings.compressed_from
    ):
        return Response(200, exchange.answer_headers(content_type), body)
    return await _response(exchange, body, content_type, tags.version(data) if tags is not None else "")


async def _called(exchange: Exchange, channel: Channel, pipeline: Pipeline, tags: Tags | None) -> bytes:
    """The service's answer. Reading the request and the call have one deadline and one client."""
    binding = exchange.binding
    try:
        async with exchange.while_client_stays(exchange.context.remaining):
            body = await exchange.read(_limit(exchange, pipeline)) if exchange.has_body else b""
            request = _request(exchange, body)
            if tags is not None and "if-match" in exchange.metadata:
                tags.fill(request, exchange.metadata["if-match"])
            payload = binding.request.to_binary(request)
            pipeline.check_size(binding.method, len(payload))
            validate(request)
            return await channel.unary_bytes(binding.method, payload, exchange.options())
    except TimeoutError:
        raise late(binding.method) from None


def _limit(exchange: Exchange, pipeline: Pipeline) -> int:
    limit = pipeline.limit(exchange.binding.method)
    if exchange.binding.takes_http_body or exchange.binary_body():
        return limit
    return json_limit(pipeline, limit)


def _request(exchange: Exchange, body: bytes) -> Message[Any]:
    binding = exchange.binding
    if binding.takes_http_body:
        content_type = exchange.metadata.get("content-type")
        return binding.decode_raw(exchange.segments, exchange.query, body, content_type)
    return binding.decode(exchange.segments, exchange.query, body, binary=exchange.binary_body())


def json_limit(pipeline: Pipeline, limit: int) -> int:
    """Most bytes of JSON to read: what is too large in binary form may still be found so after decoding."""
    return min(limit * JSON_SIZE_FACTOR, max(limit, pipeline.max_request_bytes))


async def _response(exchange: Exchange, body: bytes, content_type: str, version: str) -> Response:
    headers = exchange.answer_headers(content_type)
    coding = _coding(exchange, body, content_type)
    if version:
        headers.append((b"etag", header_of(version, _variant(content_type, coding))))
        if _is_known(exchange, version):
            return Response(304, headers[NO_CONTENT_TYPE:], b"")
    if coding is not None:
        headers.append((b"content-encoding", coding.encode()))
        large = len(body) > COMPRESSED_HERE
        body = await asyncio.to_thread(encoded, coding, body) if large else encoded(coding, body)
    return Response(200, headers, body)


def _coding(exchange: Exchange, body: bytes, content_type: str) -> str | None:
    from_size = exchange.settings.compressed_from
    accepted = exchange.metadata.get("accept-encoding")
    if accepted is None or not from_size or len(body) < from_size or not compressible(content_type):
        return None
    return chosen(accepted)


def _variant(content_type: str, coding: str | None) -> str:
    """What tells a representation from the JSON of the same version: a strong tag is of one only."""
    return "-".join(part for part in ("" if content_type == JSON else "pb", coding) if part)


def _is_known(exchange: Exchange, version: str) -> bool:
    """Whether the client has this version of what it reads already.

    Raises:
        Error: PRECONDITION_FAILED: it wants another one. INVALID_FIELD.
    """
    if exchange.scope["method"] not in ("GET", "HEAD"):
        return False
    wanted, had = exchange.metadata.get("if-match"), exchange.metadata.get("if-none-match")
    if wanted is not None:
        check_match(wanted, version)
    return had is not None and is_current(had, version)
