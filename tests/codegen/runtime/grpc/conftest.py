from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from grpc import aio

from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import Authenticator, ServiceTokens, UserTokens
from codegen.runtime.pipeline import Pipeline
from tests.codegen.runtime.grpc.echo import ECHO, Echo

KEY = b"k" * 32


@pytest.fixture
def users() -> UserTokens:
    return UserTokens(KEY, 60)


@pytest.fixture
def services() -> ServiceTokens:
    return ServiceTokens(KEY, "test")


@pytest.fixture
def pipeline(users: UserTokens, services: ServiceTokens) -> Pipeline:
    return Pipeline(Authenticator(users, services), max_request_bytes=100_000)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def channel(echo: Echo, pipeline: Pipeline) -> AsyncIterator[aio.Channel]:
    async with (
        serve_grpc("127.0.0.1:0", [(ECHO, echo)], pipeline, drain=1) as port,
        aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield channel
