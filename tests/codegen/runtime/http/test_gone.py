"""Servers that say of each send whether anybody is there (ASGI, disconnected client)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from fastapi import FastAPI

from codegen.runtime.connect import mount_connect
from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.local import Local
from codegen.runtime.pipeline import Pipeline
from tests.codegen.gallery.generated import generated
from tests.codegen.runtime.http.rooms import KEY, Rooms, rooms

SERVICE = "/gallery.v1.GalleryService"
LINGERING = b'{"count":2,"linger":true}'
ENVELOPE = b"\0\0\0\0" + bytes([len(LINGERING)]) + LINGERING
CALLS = [
    ("/v1/fail", "application/json", b"{}"),
    ("/v1/fail", "application/json", b'{"code":5}'),
    ("/v1/events:watch", "application/json", LINGERING),
    (f"{SERVICE}/Fail", "application/json", b"{}"),
    (f"{SERVICE}/Fail", "application/grpc-web", b"\0\0\0\0\0"),
    (f"{SERVICE}/Watch", "application/connect+json", ENVELOPE),
    (f"{SERVICE}/Watch", "application/grpc-web+json", ENVELOPE),
]


@pytest.fixture
def gallery() -> Rooms:
    """By REST and by Connect."""
    made = rooms()
    mount_connect(
        made.app,
        [generated().rpc.GALLERY_SERVICE],
        registry=generated().descriptors.registry(),
        pipeline=Pipeline(Authenticator(UserTokens(KEY, 3600), None)),
        channel=Local([(generated().rpc.GALLERY_SERVICE, made.gallery)]),
    )
    return made


async def _sent(app: FastAPI, path: str, kind: str, body: bytes, heard: int) -> int:
    """How often the app sends to a client that hears so much and no more."""
    events = [{"type": "http.request", "body": body, "more_body": False}]
    sent = 0

    async def receive() -> Any:
        return events.pop() if events else await asyncio.Event().wait()

    async def send(_event: Any) -> None:
        nonlocal sent
        sent += 1
        if sent > heard:
            raise OSError

    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    await asyncio.wait_for(app(scope, receive, send), 5)
    return sent


@pytest.mark.parametrize("heard", [0, 1, 2])
@pytest.mark.parametrize(("path", "kind", "body"), CALLS)
async def test_a_client_that_has_gone_is_no_defect(  # noqa: PLR0913, PLR0917 - a table's columns
    gallery: Rooms, caplog: pytest.LogCaptureFixture, path: str, kind: str, body: bytes, heard: int
) -> None:
    sent = await _sent(gallery.app, path, kind, body, heard)
    lingers = body in (LINGERING, ENVELOPE)
    assert heard < sent <= heard + 2 or not lingers
    assert not [each for each in caplog.records if each.levelno > logging.INFO]
    assert gallery.gallery.left.is_set() is lingers
    await asyncio.sleep(0)  # closes generators that nobody has exhausted
    assert asyncio.all_tasks() == {asyncio.current_task()}
