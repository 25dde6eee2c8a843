"""Upstreams as a schema has them in which every method says `coalesce`."""

from __future__ import annotations

from dataclasses import replace

from codegen.runtime.grpc_client import CallOptions, Upstreams
from codegen.runtime.method import Method


def coalesced(method: Method) -> Method:
    """The same method, whose calls share frames."""
    return replace(method, policy=replace(method.policy, coalesce=True))


class Coalescing(Upstreams):
    """Every unary call travels in frames."""

    async def unary_bytes(self, method: Method, request: bytes, options: CallOptions) -> bytes:
        """One request, one response, both serialized."""
        return await super().unary_bytes(coalesced(method), request, options)
