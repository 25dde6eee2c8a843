"""The gallery, served by REST, Connect and gRPC-Web in one app."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from codegen.runtime.connect import mount_connect
from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.gallery.generated import generated
from tests.codegen.gallery.served import MAX_REQUEST_BYTES, USER_KEY, Served, served

SETTINGS = HttpSettings(
    forwarded_headers=frozenset({"x-tone", "x-proof-bin"}),
    exposed_metadata=frozenset({"x-mood", "x-seal-bin"}),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gallery() -> AsyncIterator[Served]:
    async with served() as running:
        mount_connect(
            running.app,
            [generated().rpc.GALLERY_SERVICE],
            registry=generated().descriptors.registry(),
            pipeline=pipeline(),
            channel=running.channel,
            settings=SETTINGS,
        )
        yield running


@pytest.fixture(autouse=True)
def emptied(gallery: Served) -> None:
    """What an earlier test did does not count."""
    gallery.gallery.paintings.clear()
    gallery.gallery.asked.clear()
    gallery.gallery.lingering.clear()
    gallery.gallery.left.clear()


def pipeline() -> Pipeline:
    """As of an edge: it knows users, and no services."""
    users = UserTokens(USER_KEY, 3600)
    return Pipeline(Authenticator(users, None), max_request_bytes=MAX_REQUEST_BYTES)
