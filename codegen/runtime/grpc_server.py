"""Serves services over gRPC."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from codegen.runtime.method import Service

if TYPE_CHECKING:
    from codegen.runtime.pipeline import Pipeline


def serve_grpc(
    address: str, handlers: Sequence[tuple[Service, object]], pipeline: Pipeline, *, drain: float = 5.0
) -> AbstractAsyncContextManager[int]:
    """Serve while the context lasts, health and reflection included; yields the bound port."""
    raise NotImplementedError
