"""The gallery's generated code: made once for each process, put on the path of imports."""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.codegen.schemas import workspace

HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Generated:
    """What was generated; modules are untyped, for no checker has seen them."""

    folder: Path
    pb: Any
    """`gallery.v1.gallery_pb2`."""
    rpc: Any
    """`gallery.v1.gallery_rpc`: protocol, table, client."""
    http: Any
    """`gallery.v1.gallery_http`: HTTP clients."""
    descriptors: Any
    """`gallery.descriptors`."""
    routes: Any
    """`gallery_routes.ROUTES`."""
    openapi: Any
    """The document, parsed."""


@functools.cache
def generated() -> Generated:
    """All of it. `protoc-gen-idiom` and `buf` must be on the PATH."""
    folder = Path(tempfile.mkdtemp(prefix="gallery-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    workspace(folder, {"idl": HERE / "idl"})
    folder.joinpath("buf.gen.yaml").write_bytes((HERE / "buf.gen.yaml").read_bytes())
    subprocess.run(["buf", "generate"], cwd=folder, check=True)
    sys.path[:0] = [str(folder / "generated"), str(folder)]
    load = importlib.import_module
    return Generated(
        folder,
        load("gallery.v1.gallery_pb2"),
        load("gallery.v1.gallery_rpc"),
        load("gallery.v1.gallery_http"),
        load("gallery.descriptors"),
        load("gallery_routes").ROUTES,
        json.loads((folder / "generated" / "gallery" / "openapi.json").read_bytes()),
    )
