"""Whether requests can be answered now."""

from __future__ import annotations

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from codegen.runtime.discovery import Instances
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import CallOptions, Channel
from codegen.runtime.method import Discovery, Method, Service

SECONDS = 1.0
"""Longest that asking logic may take."""

CHECK = Method(
    service="grpc.health.v1.Health",
    name="Check",
    attribute="check",
    request=HealthCheckRequest,
    response=HealthCheckResponse,
)
HEALTH = Service(
    name="grpc.health.v1.Health", target="logic", discovery=Discovery.ROUND_ROBIN, methods=(CHECK,)
)
"""The standard health service, as logic serves it."""


class Readiness:
    """Asks logic.

    Args:
        logic: its known instances.
        channel: reaches them.
    """

    def __init__(self, logic: Instances, channel: Channel) -> None:
        self._logic = logic
        self._channel = channel

    async def reasons(self) -> list[str]:
        """Why requests cannot be answered now; empty if they can."""
        if not self._logic.all():
            return ["no instance of logic is known"]
        options = CallOptions(timeout=SECONDS)
        try:
            answer = await self._channel.unary(CHECK, HealthCheckRequest(), HealthCheckResponse, options)
        except Error as error:
            return [f"logic does not answer: {error.message}"]
        if answer.status != HealthCheckResponse.SERVING:
            return ["logic does not serve now"]
        return []
