"""The gallery behind native gRPC for anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from grpc import aio

from codegen.runtime.grpc_edge import serve_grpc_edge
from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.method import Method
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.gallery.generated import generated
from tests.codegen.gallery.served import MAX_REQUEST_BYTES, USER_KEY, Served, served

SETTINGS = HttpSettings(
    forwarded_headers=frozenset({"x-tone", "x-proof-bin"}),
    exposed_metadata=frozenset({"x-mood", "x-seal-bin"}),
)


@dataclass(frozen=True, slots=True)
class Edge:
    """A server and a client of it."""

    served: Served
    address: str
    channel: aio.Channel

    def call(self, name: str) -> Any:
        """A method, to be called as stubs of grpcio are."""
        method = method_of(name)
        kind = (
            f"{'stream' if method.client_streaming else 'unary'}_"
            f"{'stream' if method.server_streaming else 'unary'}"
        )
        return getattr(self.channel, kind)(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )

    @property
    def token(self) -> tuple[tuple[str, str], ...]:
        """Metadata of user 5."""
        return (("authorization", f"Bearer {self.served.token}"),)


def method_of(name: str) -> Method:
    """A method of the gallery."""
    found: Method = next(each for each in generated().rpc.GALLERY_SERVICE.methods if each.name == name)
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge() -> AsyncIterator[Edge]:
    users = UserTokens(USER_KEY, 3600)
    pipeline = Pipeline(Authenticator(users, None), max_request_bytes=MAX_REQUEST_BYTES)
    async with (
        served() as running,
        serve_grpc_edge(
            "127.0.0.1:0",
            [generated().rpc.GALLERY_SERVICE],
            pipeline=pipeline,
            channel=running.channel,
            settings=SETTINGS,
            drain=1,
        ) as port,
        aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Edge(running, f"127.0.0.1:{port}", channel)


@pytest.fixture(autouse=True)
def emptied(edge: Edge) -> None:
    """What an earlier test did does not count."""
    edge.served.gallery.paintings.clear()
    edge.served.gallery.asked.clear()
    edge.served.gallery.lingering.clear()
    edge.served.gallery.left.clear()
