"""Parts of a stream that its answer sends of its own accord, to a server that takes them slowly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from codegen.runtime.transcoding import streaming
from tests.codegen.gallery.service import Gallery
from tests.codegen.runtime.http.rooms import rooms

SCOPE = {
    "type": "http",
    "method": "GET",
    "path": "/v1/rooms/1/events",
    "query_string": b"",
    "headers": [(b"accept", b"application/json")],
}


async def test_what_begins_an_answer_goes_out_whole_though_the_stream_ends_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begins, taken = asyncio.Event(), asyncio.Event()
    events: list[Any] = []

    async def watch(_: Gallery, _request: Any, _context: Any) -> AsyncIterator[Any]:
        await begins.wait()
        asyncio.get_running_loop().call_later(0.05, taken.set)
        return
        yield

    async def receive() -> Any:
        return await asyncio.Event().wait()

    async def send(event: Any) -> None:
        """As middleware that hands on what it is given only when it is asked for it."""
        begins.set()
        await taken.wait()
        events.append(event)

    monkeypatch.setattr(streaming, "PATIENCE", 0.0)
    monkeypatch.setattr(Gallery, "watch", watch)
    await asyncio.wait_for(rooms().app(SCOPE, receive, send), 5)
    assert [event["type"] for event in events[:1]] == ["http.response.start"]
    assert b"".join(event.get("body", b"") for event in events) == b"[]"
