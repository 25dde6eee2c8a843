"""The messages of a client that streams its request body: JSON values, or raw content in parts."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator
from typing import Any

from idiom.v1 import reason_errors as reasons
from protobuf import Message

from codegen.runtime.errors import Error, FieldViolation
from codegen.runtime.json_diagnosis import joined
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.exchange import Exchange
from codegen.runtime.transcoding.json_items import JsonItems
from codegen.runtime.transcoding.negotiation import JSON, is_binary
from codegen.runtime.transcoding.unary import json_limit
from codegen.runtime.validation import validate

LINES = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}
)
"""Names of newline-delimited JSON; none is registered."""
PART = 1 << 16
"""Most bytes of raw content in one message."""


def messages(exchange: Exchange, pipeline: Pipeline) -> AsyncGenerator[bytes | None, None]:
    """The messages of a request body in binary form, each one checked.

    Path and query fill the first message only. Where the route has no body, they are the only one.

    Raises:
        Error: UNSUPPORTED_MEDIA_TYPE, or one that path or query are refused with; when iterated, any with
            which a message is refused, which names it: `[3].text`.
        ClientGoneError: the client went away; when iterated.
    """
    binding = exchange.binding
    if binding.takes_http_body:
        return _raw(exchange, pipeline)
    array = not _lines(exchange)
    binding.decode(exchange.segments, exchange.query, b"", binary=False)
    return _json(exchange, pipeline, array=array) if binding.takes_body else _none(exchange, pipeline)


def checked(exchange: Exchange, pipeline: Pipeline, message: Message[Any]) -> bytes:
    """A message in binary form.

    Raises:
        Error: TOO_LARGE, VALIDATION_FAILED, MALFORMED_BODY.
    """
    data = exchange.binding.request.to_binary(message)
    pipeline.check_size(exchange.binding.method, len(data))
    validate(message)
    return data


async def _none(exchange: Exchange, pipeline: Pipeline) -> AsyncGenerator[bytes | None, None]:
    body = await exchange.read(pipeline.limit(exchange.binding.method)) if exchange.has_body else b""
    yield checked(
        exchange, pipeline, exchange.binding.decode(exchange.segments, exchange.query, body, binary=False)
    )


async def _raw(exchange: Exchange, pipeline: Pipeline) -> AsyncGenerator[bytes | None, None]:
    """At least one message, even of an empty body; only the first says the content type, as Envoy has it."""
    binding = exchange.binding
    size = max(1, min(PART, pipeline.limit(binding.method) // 2))
    first = True
    async for received in exchange.parts():
        for start in range(0, len(received), size):
            part = received[start : start + size]
            if first:
                yield checked(exchange, pipeline, _first_raw(exchange, part))
            else:
                yield checked(exchange, pipeline, binding.decode_raw_item(part, None))
            first = False
    if first:
        yield checked(exchange, pipeline, _first_raw(exchange, b""))


def _first_raw(exchange: Exchange, part: bytes) -> Message[Any]:
    content_type = exchange.metadata.get("content-type")
    return exchange.binding.decode_raw(exchange.segments, exchange.query, part, content_type)


async def _json(exchange: Exchange, pipeline: Pipeline, *, array: bool) -> AsyncGenerator[bytes | None, None]:
    limit = json_limit(pipeline, pipeline.limit(exchange.binding.method))
    reader = JsonItems(limit, array=array)
    async for part in exchange.parts(folded=False):
        for item in reader.feed(part):
            yield _item(exchange, pipeline, reader.count, item)
    for item in reader.finish():
        yield _item(exchange, pipeline, reader.count, item)


def _item(exchange: Exchange, pipeline: Pipeline, number: int, item: bytes) -> bytes:
    binding = exchange.binding
    try:
        if number:
            message = binding.decode_item(item, binary=False)
        else:
            message = binding.decode(exchange.segments, exchange.query, item, binary=False)
        return checked(exchange, pipeline, message)
    except Error as error:
        raise _within(error, f"[{number}]") from None


def _within(error: Error, item: str) -> Error:
    """The error of an item as one of the whole body."""
    given = error.violations or [FieldViolation("", error.message)]
    violations = [
        FieldViolation(joined(item, each.field) if each.field else item, each.description) for each in given
    ]
    sign = "." if error.violations and error.violations[0].field else ": "
    return dataclasses.replace(error, message=f"{item}{sign}{error.message}", violations=violations)


def _lines(exchange: Exchange) -> bool:
    """Whether the body is newline-delimited JSON, and thus never one array.

    Raises:
        Error: UNSUPPORTED_MEDIA_TYPE.
    """
    content_type = exchange.metadata.get("content-type", JSON)
    if content_type.partition(";")[0].strip().lower() in LINES:
        return True
    if is_binary(content_type):
        offered = f"{JSON} or application/x-ndjson"
        raise Error(reasons.UNSUPPORTED_MEDIA_TYPE, f"a stream of messages must be {offered}")
    return False
