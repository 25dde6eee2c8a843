"""Back end `messages`: `<file>_pb2.py` and `.pyi`, by protoc of grpcio-tools and by mypy-protobuf."""

from __future__ import annotations

from collections.abc import Iterator

from codegen.plugin.backend import Output, Run
from codegen.plugin.protoc import protoc


def generate(run: Run) -> Iterator[Output]:
    """Both modules of every file."""
    files = [file.path for file in run.schema.files]
    yield from protoc(run.request, files, {"python": "", "mypy": "quiet"})
