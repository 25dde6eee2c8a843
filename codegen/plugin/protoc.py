"""Runs the protoc of grpcio-tools over the descriptors of a request."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from protobuf.wkt.google.protobuf.compiler.plugin_pb import CodeGeneratorRequest
from protobuf.wkt.google.protobuf.descriptor_pb import FileDescriptorSet

from codegen.plugin.backend import Output

_PLUGINS: Final = {"mypy": "protoc-gen-mypy", "mypy_grpc": "protoc-gen-mypy_grpc"}


class ProtocError(RuntimeError):
    """Protoc failed; it has said why on standard error."""


def protoc(
    request: CodeGeneratorRequest, files: Sequence[str], generators: Mapping[str, str]
) -> Iterator[Output]:
    """What the generators, given with their parameters, make of the files."""
    if not files:
        return
    with TemporaryDirectory() as folder:
        descriptors, out = Path(folder, "descriptors"), Path(folder, "out")
        out.mkdir()
        descriptors.write_bytes(FileDescriptorSet(file=request.proto_file).to_binary())
        _run([f"--descriptor_set_in={descriptors}", *_arguments(generators, out), *files])
        for path in sorted(path for path in out.rglob("*") if path.is_file()):
            yield Output(path.relative_to(out).as_posix(), path.read_text("utf-8"))


def _arguments(generators: Mapping[str, str], out: Path) -> Iterator[str]:
    for name, parameter in generators.items():
        yield f"--{name}_out={parameter}:{out}" if parameter else f"--{name}_out={out}"
        if name in _PLUGINS:
            # From where the toolkit itself is installed, whatever PATH says.
            yield f"--plugin={_PLUGINS[name]}={Path(sysconfig.get_path('scripts'), _PLUGINS[name])}"


def _run(arguments: list[str]) -> None:
    from grpc_tools.protoc import main  # noqa: PLC0415  # 40 ms that only these back ends pay

    compiled: int = main(["protoc", *arguments])  # type: ignore[no-untyped-call]
    if compiled != 0:
        raise ProtocError(f"protoc failed: {' '.join(arguments)}")
