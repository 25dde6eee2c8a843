"""Schemas of tests: compiled by buf, given to the plugin in process."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from protobuf.wkt import FileDescriptorSet
from protobuf.wkt.google.protobuf.compiler.plugin_pb import CodeGeneratorRequest, CodeGeneratorResponse
from protobuf.wkt.google.protobuf.descriptor_pb import FileDescriptorProto

from codegen.plugin.main import respond

ROOT: Final = Path(__file__).resolve().parents[2]
SHARED: Final = {"codegen-proto": ROOT / "codegen" / "proto", "protos": ROOT / ".protos"}


def workspace(folder: Path, modules: Mapping[str, Path]) -> None:
    """Makes a buf workspace of modules and of what every schema imports."""
    everything = {**modules, **SHARED}
    for name, source in everything.items():
        shutil.copytree(source, folder / name)
    paths = "\n".join(f"  - path: {name}" for name in everything)
    folder.joinpath("buf.yaml").write_text(f"version: v2\nmodules:\n{paths}\n", "utf-8")


def build(folder: Path) -> FileDescriptorSet:
    """The descriptors of a workspace, with comments and positions."""
    image = folder / "image.binpb"
    subprocess.run(["buf", "build", "-o", str(image)], cwd=folder, check=True)
    return FileDescriptorSet.from_binary(image.read_bytes())


def generate(descriptors: FileDescriptorSet, file: str, parameters: Iterable[str]) -> CodeGeneratorResponse:
    """What the plugin answers when asked for one file and what it imports."""
    needed = _with_imports({proto.name: proto for proto in descriptors.file}, file)
    request = CodeGeneratorRequest(
        file_to_generate=[file],
        parameter=",".join(parameters),
        proto_file=[proto for proto in descriptors.file if proto.name in needed],
    )
    return respond(request)


def _with_imports(files: Mapping[str, FileDescriptorProto], name: str) -> set[str]:
    found = {name}
    for dependency in files[name].dependency:
        found |= _with_imports(files, dependency)
    return found
