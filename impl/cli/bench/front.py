"""Our gateway of `idiom bench transcoding`, in a process of its own.

python -m impl.cli.bench.front PORT PORT_OF_THE_SERVICE
"""

from __future__ import annotations

import sys

import uvicorn
import uvloop
from fastapi import FastAPI
from im.descriptors import registry
from im.logic.v1.message_service_http import MESSAGE_SERVICE_HTTP
from im.logic.v1.message_service_rpc import MESSAGE_SERVICE

from codegen.runtime.discovery import FixedInstances
from codegen.runtime.grpc_client import Upstreams
from codegen.runtime.identity import Authenticator, ServiceTokens, UserTokens
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.mount import mount
from impl.cli.bench.by_hand import KEY, QUIET


async def serve(port: int, behind: int) -> None:
    """Serves until it is ended."""
    target = MESSAGE_SERVICE.target
    instances = {target: FixedInstances(target, [f"127.0.0.1:{behind}"])}
    pipeline = Pipeline(Authenticator(UserTokens(KEY, 3600), None))
    async with Upstreams([MESSAGE_SERVICE], instances, ServiceTokens(KEY, "bench")) as channel:
        app = FastAPI(redirect_slashes=False, telemetry=QUIET)
        mount(
            app,
            Dispatch(MESSAGE_SERVICE_HTTP, registry=registry(), pipeline=pipeline, channel=channel),
            {},
        )
        config = uvicorn.Config(app, "127.0.0.1", port, lifespan="off", log_config=None, access_log=False)
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
