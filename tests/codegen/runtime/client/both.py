"""The gallery's two clients, called alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from codegen.runtime.client.channel import NO_OPTIONS, HttpOptions
from codegen.runtime.client.http import HttpClient
from codegen.runtime.client.http_status import RefusalError
from codegen.runtime.client.http_sync import HttpSyncClient
from tests.codegen.gallery.generated import generated

KINDS = ("asyncio", "threads")


class Both:
    """One kind of client."""

    def __init__(self, client: Any, *, asynchronous: bool) -> None:
        self.client = client
        self.asynchronous = asynchronous

    async def one(self, method: str, request: Any, options: HttpOptions = NO_OPTIONS) -> Any:
        """A method with one answer."""
        call = getattr(self.client, method)
        if self.asynchronous:
            return await call(request, options)
        return await asyncio.to_thread(call, request, options)

    async def many(
        self, method: str, request: Any, options: HttpOptions = NO_OPTIONS, into: list[Any] | None = None
    ) -> list[Any]:
        """A method with many, which are put into a list as they come."""
        taken = [] if into is None else into
        call = getattr(self.client, method)
        if self.asynchronous:
            async for each in call(request, options):
                taken.append(each)
        else:
            await asyncio.to_thread(lambda: taken.extend(call(request, options)))
        return taken


@asynccontextmanager
async def client_of(kind: str, url: str, token: str = "", **options: Any) -> AsyncIterator[Both]:
    """A client of one kind.

    Args:
        kind: one of `KINDS`.
        url: of the server.
        token: sent where one is needed.
        options: of the channel.
    """

    async def asked() -> str:
        return token

    registry = generated().descriptors.registry()
    if kind == "asyncio":
        async with HttpClient(url, registry, asked, **options) as channel:
            yield Both(generated().http.GalleryServiceHttp(channel), asynchronous=True)
    else:
        with HttpSyncClient(url, registry, lambda: token, **options) as sync:
            yield Both(generated().http.GalleryServiceHttpSync(sync), asynchronous=False)


def pb(kind: str, /, **fields: Any) -> Any:
    """A message of the gallery."""
    return getattr(generated().pb, kind)(**fields)


async def refused(call: Any) -> RefusalError:
    """What the server says instead of answering."""
    with pytest.raises(RefusalError) as error:
        await call
    return error.value
