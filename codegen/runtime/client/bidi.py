"""Calls that stream both ways, with asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from google.protobuf.message import Message
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from codegen.runtime.client.calling import RequestsError
from codegen.runtime.client.talk import END, LEFT, Talk, lowered
from codegen.runtime.deadline import Deadline


class _Direct(connect):
    """Follows no redirects."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def talked(
    talk: Talk, token: str, first: Message | None, requests: AsyncIterator[Message]
) -> AsyncGenerator[bytes, None]:
    """Responses in binary form, while requests are sent.

    Args:
        talk: the call.
        token: bearer token; empty without one.
        first: request that was taken already.
        requests: the others.
    """
    with talk.translated():
        async with contextlib.AsyncExitStack() as stack:
            with Deadline(talk.left()):
                connection = await stack.enter_async_context(_Direct(talk.url, **talk.connection(token)))
            if connection.response is not None:
                talk.opened(lowered(connection.response.headers.raw_items()))
            sending = asyncio.create_task(_send(connection, talk, first, requests))
            stack.push_async_callback(connection.close, LEFT)
            stack.push_async_callback(_end, sending)
            while True:
                yield talk.read(await _received(connection, sending, talk))


async def _received(connection: ClientConnection, sending: asyncio.Task[None], talk: Talk) -> str | bytes:
    """The next frame; raises what the requests raise, which ends the connection."""
    try:
        with Deadline(talk.left()):
            return await connection.recv()
    except ConnectionClosed:
        if sending.done() and isinstance(failure := sending.exception(), Exception):
            raise RequestsError(failure) from None
        raise


async def _send(
    connection: ClientConnection, talk: Talk, first: Message | None, requests: AsyncIterator[Message]
) -> None:
    try:
        if first is not None:
            await connection.send(talk.write(first))
        async for request in requests:
            await connection.send(talk.write(request))
        await connection.send(END)
    except ConnectionClosed:
        pass  # who receives is told
    except Exception:
        connection.transport.abort()
        raise


async def _end(sending: asyncio.Task[None]) -> None:
    sending.cancel()
    await asyncio.wait({sending})
    if not sending.cancelled():
        sending.exception()  # it counts as seen: who receives was told, or had enough
