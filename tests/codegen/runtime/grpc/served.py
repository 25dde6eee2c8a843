"""The echo service in a process of its own, to be killed or frozen: `served.py <name> <port> [<effects>]`.

With a file of effects, calls take a moment, and write their text into it in the middle of that.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from typing import Any

from codegen.runtime.context import Context
from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.pipeline import Pipeline
from tests.codegen.runtime.grpc.echo import ECHO, Echo


class Effects(Echo):
    """Has effects that outlive it."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        self._effects = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def say(self, request: Any, context: Context) -> Any:
        await asyncio.sleep(random.expovariate(200))
        os.write(self._effects, f"{request.text}\n".encode())
        await asyncio.sleep(random.expovariate(200))
        return await super().say(request, context)

    once = say


async def serve(name: str, port: str, *effects: str) -> None:
    echo = Effects(name, *effects) if effects else Echo(name)
    pipeline = Pipeline(Authenticator(UserTokens(b"k" * 32, 60), None))
    async with serve_grpc(f"127.0.0.1:{port}", [(ECHO, echo)], pipeline):
        print("serving", flush=True)  # noqa: T201  # the test waits for these lines
        await echo.called.wait()
        print("called", flush=True)  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
