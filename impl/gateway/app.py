"""Composition root of the API gateway."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack

from im.descriptors import registry
from im.logic.v1.auth_service_rpc import AUTH_SERVICE
from im.logic.v1.connection_service_rpc import CONNECTION_SERVICE
from im.logic.v1.conversation_service_rpc import CONVERSATION_SERVICE
from im.logic.v1.message_service_rpc import MESSAGE_SERVICE
from im.logic.v1.room_service_rpc import ROOM_SERVICE
from im.logic.v1.user_service_rpc import USER_SERVICE

from codegen.runtime.connect import mount_connect
from codegen.runtime.discovery import Etcd, Instances
from codegen.runtime.grpc_client import Upstreams
from codegen.runtime.grpc_edge import serve_grpc_edge
from codegen.runtime.identity import Authenticator, ServiceTokens, UserTokens
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.settings import HttpSettings
from gateway_routes import ROUTES
from impl.gateway.readiness import HEALTH, Readiness
from impl.gateway.server import listening, serving
from impl.gateway.site import site
from impl.settings import Settings

TARGET = "gateway"
LOGIC = MESSAGE_SERVICE.target
SERVICES = (
    AUTH_SERVICE,
    CONNECTION_SERVICE,
    CONVERSATION_SERVICE,
    MESSAGE_SERVICE,
    ROOM_SERVICE,
    USER_SERVICE,
)
"""All services that clients may call, each of them on every wire."""
MAX_REQUEST_BYTES = 1 << 17
"""Of requests to methods without a limit of their own. Anybody may log in, and reading is work."""
HTTP = HttpSettings(always_print_fields_with_no_presence=True)

_log = logging.getLogger(__name__)


async def run(settings: Settings, ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Serves until `stop` is set and every request under way has ended, or `drain_seconds` have passed.

    It serves without logic, Redis or etcd too: `/readyz` says what is missing.

    Args:
        settings: of this process.
        ready: called once it serves.
        stop: set from outside.

    Raises:
        OSError: the port cannot be listened on, or a secret cannot be read or used.
    """
    async with AsyncExitStack() as stack:
        socket = stack.enter_context(listening(settings.host, settings.gateway_port))
        etcd = await stack.enter_async_context(Etcd(settings.effective_etcd_endpoints, settings.etcd_prefix))
        logic = await stack.enter_async_context(Instances(etcd, LOGIC))
        services = ServiceTokens(settings.service_key(), TARGET)
        channel = await stack.enter_async_context(Upstreams((*SERVICES, HEALTH), {LOGIC: logic}, services))
        users = UserTokens(settings.user_key(), settings.access_token_seconds)
        pipeline = Pipeline(Authenticator(users, None), max_request_bytes=MAX_REQUEST_BYTES)
        dispatch = Dispatch(ROUTES, registry=registry(), pipeline=pipeline, channel=channel, settings=HTTP)
        app = site(dispatch, Readiness(logic, channel), settings.cors_origins)
        mount_connect(app, SERVICES, registry=registry(), pipeline=pipeline, channel=channel, settings=HTTP)
        edge = serve_grpc_edge(
            _address(settings.host, settings.gateway_grpc_port),
            SERVICES,
            pipeline=pipeline,
            channel=channel,
            settings=HTTP,
            drain=settings.drain_seconds,
        )
        await stack.enter_async_context(edge)
        await stack.enter_async_context(serving(app, socket, settings.drain_seconds))
        _log.info("HTTP at http://%s:%d", settings.host, settings.gateway_port)
        _log.info("gRPC at %s:%d", settings.host, settings.gateway_grpc_port)
        ready()
        await stop.wait()


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
