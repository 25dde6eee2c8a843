"""Our dispatcher before the same service: real uvicorn, real gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI

from codegen.runtime.discovery import FixedInstances
from codegen.runtime.grpc_client import Channel, Upstreams
from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.mount import mount
from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.gallery.served import serving
from tests.differential.generated import generated

STRICT = HttpSettings()
SWITCHED = HttpSettings(
    always_print_fields_with_no_presence=True,
    preserving_proto_field_name=True,
    ignore_unknown_parameters=True,
    ignore_unknown_fields=True,
)
Make = Callable[[Channel, HttpSettings], Dispatch]


@asynccontextmanager
async def ours(
    upstream: int, settings: Mapping[str, HttpSettings], make: Make | None = None
) -> AsyncIterator[dict[str, int]]:
    """Serves; yields the port for each of the named settings."""
    service = generated().table
    instances = FixedInstances(service.target, [f"127.0.0.1:{upstream}"])
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(Upstreams([service], {service.target: instances}, None))
        ports = {}
        for name, given in settings.items():
            app = FastAPI(redirect_slashes=False)
            mount(app, (make or dispatch)(channel, given), {})
            url = await stack.enter_async_context(serving(app))
            ports[name] = int(url.rpartition(":")[2])
        yield ports


def dispatch(channel: Channel, settings: HttpSettings, routes: Any = None) -> Dispatch:
    """The dispatcher as a deployment makes it."""
    return Dispatch(
        generated().routes if routes is None else routes,
        registry=generated().descriptors.registry(),
        pipeline=Pipeline(Authenticator(UserTokens(b"k" * 32, 3600), None), max_request_bytes=1 << 20),
        channel=channel,
        settings=settings,
    )
