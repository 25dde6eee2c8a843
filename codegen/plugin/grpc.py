"""Back end `grpc`: `<file>_pb2_grpc.py` and `.pyi`, by grpcio-tools and by mypy-protobuf.

For callers from outside; the runtime serves and calls by the tables of the back end `rpc`. Services or
methods named like Python keywords break these stubs.
"""

from __future__ import annotations

from collections.abc import Iterator

from codegen.plugin.backend import Output, Run
from codegen.plugin.protoc import protoc


def generate(run: Run) -> Iterator[Output]:
    """Both modules of every file that has services of wire RPC."""
    files = [
        file.path for file in run.schema.files if any(service.wire == "RPC" for service in file.services)
    ]
    yield from protoc(run.request, files, {"grpc_python": "", "mypy_grpc": "quiet"})
