"""The generated code of the schema that both transcoders are given, made once for each process."""

from __future__ import annotations

import atexit
import functools
import importlib
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.protobuf import descriptor_pb2
from google.rpc import error_details_pb2

from tests.codegen.schemas import workspace

HERE: Final = Path(__file__).parent
SERVICE: Final = "differential.v1.DifferentialService"


@dataclass(frozen=True, slots=True)
class Generated:
    """What was generated; modules are untyped, for no checker has seen them."""

    pb: Any
    """`differential.v1.differential_pb2`."""
    table: Any
    """The service's table of methods."""
    descriptors: Any
    """`differential.descriptors`."""
    routes: Any
    """`differential_routes.ROUTES`."""
    image: Path
    """A serialized FileDescriptorSet of the schema and all it imports."""


@functools.cache
def generated() -> Generated:
    """All of it. `protoc-gen-idiom` and `buf` must be on the PATH."""
    folder = Path(tempfile.mkdtemp(prefix="differential-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    workspace(folder, {"idl": HERE / "idl"})
    folder.joinpath("buf.gen.yaml").write_bytes((HERE / "buf.gen.yaml").read_bytes())
    image = folder / "image.binpb"
    subprocess.run(["buf", "generate"], cwd=folder, check=True)
    subprocess.run(
        ["buf", "build", "idl", "--exclude-source-info", "--as-file-descriptor-set", "-o", str(image)],
        cwd=folder,
        check=True,
    )
    _with_details(image)
    sys.path[:0] = [str(folder / "generated"), str(folder)]
    load = importlib.import_module
    return Generated(
        load("differential.v1.differential_pb2"),
        load("differential.v1.differential_rpc").DIFFERENTIAL_SERVICE,
        load("differential.descriptors"),
        load("differential_routes").ROUTES,
        image,
    )


def _with_details(image: Path) -> None:
    """Adds the types of error details, which Envoy must know to print them (`convert_grpc_status`)."""
    files = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes())
    error_details_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    image.write_bytes(files.SerializeToString())
