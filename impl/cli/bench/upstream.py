"""The service behind both gateways of `idiom bench transcoding`, in a process of its own.

python -m impl.cli.bench.upstream PORT
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvloop
from im.logic.v1.message_service_rpc import MESSAGE_SERVICE

from codegen.runtime.context import Context
from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import Authenticator, ServiceTokens, UserTokens
from codegen.runtime.pipeline import Pipeline
from impl.cli.bench.by_hand import KEY, answer


class Messages:
    """Answers at once."""

    def __getattr__(self, _method: str) -> Any:
        """Any method of the service."""
        return self._answer

    async def _answer(self, request: Any, _context: Context) -> Any:
        return await answer(request)


async def serve(port: int) -> None:
    """Serves until it is ended."""
    pipeline = Pipeline(Authenticator(UserTokens(KEY, 3600), ServiceTokens(KEY, "bench")))
    async with serve_grpc(f"127.0.0.1:{port}", [(MESSAGE_SERVICE, Messages())], pipeline):
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
