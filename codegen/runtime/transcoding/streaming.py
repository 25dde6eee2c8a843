"""Streams over HTTP."""

from __future__ import annotations

from idiom.v1 import reason_errors as reasons

from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import Channel
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.exchange import Exchange


async def serve_stream(exchange: Exchange, channel: Channel, pipeline: Pipeline) -> None:  # noqa: ARG001
    """Serves a call that streams one way."""
    raise Error(reasons.UNIMPLEMENTED, f"{exchange.binding.method.full_name} is not served over HTTP yet")
