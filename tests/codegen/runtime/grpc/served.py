"""The echo service in a process of its own, to be killed or frozen: `served.py <name> <port>`."""

from __future__ import annotations

import asyncio
import sys

from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import Authenticator, UserTokens
from codegen.runtime.pipeline import Pipeline
from tests.codegen.runtime.grpc.echo import ECHO, Echo


async def serve(name: str, port: str) -> None:
    echo = Echo(name)
    pipeline = Pipeline(Authenticator(UserTokens(b"k" * 32, 60), None))
    async with serve_grpc(f"127.0.0.1:{port}", [(ECHO, echo)], pipeline):
        print("serving", flush=True)  # noqa: T201  # the test waits for these lines
        await echo.called.wait()
        print("called", flush=True)  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
