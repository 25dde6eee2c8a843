"""One ASGI route that serves every HTTP binding of a schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from protobuf import Registry
from starlette.routing import BaseRoute

from codegen.runtime.grpc_client import Channel
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.route import Route


class Dispatch(BaseRoute):
    """Serves routes by calling a channel."""

    def __init__(
        self, routes: Sequence[Route], *, registry: Registry, pipeline: Pipeline, channel: Channel
    ) -> None:
        raise NotImplementedError


def mount(app: FastAPI, dispatch: Dispatch, openapi: Mapping[str, Any]) -> None:
    """Puts the dispatcher before the routes of an app, and its operations into the app's OpenAPI document."""
    raise NotImplementedError
