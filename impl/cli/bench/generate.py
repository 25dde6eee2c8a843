"""`idiom bench generate`: how long everything takes that is generated; of our schema, and of large ones."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from impl.cli.bench.report import Report, Row, slope

ABOUT = """\
Wall time of `buf generate`, start of all programs included. Ours: all of buf.gen.yaml. Large: a service
of as many methods, each with a request, a response and two HTTP rules; messages, tables, clients, routes,
descriptors and the OpenAPI document."""
ROOT = Path(__file__).parents[3]
SIZES = (62, 250, 1000)
"""Methods: 1, 4 and 16 times as many."""

_TEMPLATE = """\
version: v2
inputs:
  - directory: .
plugins:
  - local: protoc-gen-idiom
    out: generated
    strategy: all
    opt: [include=large/, root=idl, emit=messages, emit=rpc, emit=http, emit=descriptors,
      descriptors=large.descriptors, emit=openapi, openapi=openapi.json]
  - local: protoc-gen-idiom
    out: routes
    strategy: all
    opt: [include=large/, root=idl, emit=routes]
"""
_METHOD = """\
  // Changes number {n}.
  rpc Change{n}(Change{n}Request) returns (Change{n}Response) {{
    option (google.api.http) = {{
      post: "/v1/things{n}/{{name=parts/*}}:change"
      body: "*"
      additional_bindings: {{get: "/v1/things{n}/{{name=parts/*}}"}}
    }};
  }}
"""
_MESSAGES = """\
// Says what to change.
message Change{n}Request {{
  // Its name.
  string name = 1;
  // How many.
  int64 count = 2;
}}
// What has changed.
message Change{n}Response {{
  repeated string names = 1;
}}
"""


def generate(rounds: int) -> Report:
    """Runs it; needs a clone with what `make generate` needs.

    Raises:
        OSError: this is no clone, or buf is missing, or it fails.
    """
    if not (ROOT / "buf.gen.yaml").exists() or not (ROOT / ".protos").exists():
        raise OSError("bench generate needs a clone of the project in which `make generate` has run")
    report = Report("generate", ABOUT)
    with tempfile.TemporaryDirectory() as folder:
        own = median(_seconds(ROOT, Path(folder) / str(number)) for number in range(rounds))
        report.rows.append(Row("our schema", "s", own, target=3.0))
    spent = []
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            space = _space(Path(folder), size)
            spent.append(median(_seconds(space, space / "out" / str(number)) for number in range(rounds)))
    power = slope(SIZES, spent)
    case = f"{SIZES[-1]:,} methods; time grows as n^{power:.2f} from {SIZES[0]}"
    report.rows.append(Row(case, "s", spent[-1], target=10.0))
    return report


def _seconds(space: Path, out: Path) -> float:
    beside = str(Path(sys.executable).parent)
    start = time.monotonic()
    done = subprocess.run(  # noqa: S603 - the project's own tool
        [shutil.which("buf", path=beside) or "buf", "generate", "--output", str(out)],
        cwd=space,
        env={"PATH": f"{beside}:/usr/bin:/bin", "HOME": str(Path.home())},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OSError(f"buf generate fails: {done.stderr[-500:]}")
    return time.monotonic() - start


def _space(folder: Path, size: int) -> Path:
    """A workspace with one large service."""
    shutil.copytree(ROOT / ".protos", folder / "protos")
    shutil.copytree(ROOT / "codegen" / "proto", folder / "toolkit")
    idl = folder / "idl" / "large" / "v1"
    idl.mkdir(parents=True)
    idl.joinpath("large.proto").write_text(_large(size), "utf-8")
    modules = "".join(f"  - path: {name}\n" for name in ("idl", "toolkit", "protos"))
    folder.joinpath("buf.yaml").write_text(f"version: v2\nmodules:\n{modules}", "utf-8")
    folder.joinpath("buf.gen.yaml").write_text(_TEMPLATE, "utf-8")
    return folder


def _large(size: int) -> str:
    methods = "".join(_METHOD.format(n=number) for number in range(size))
    messages = "".join(_MESSAGES.format(n=number) for number in range(size))
    head = 'syntax = "proto3";\npackage large.v1;\nimport "google/api/annotations.proto";\n'
    return f"{head}service Large {{\n{methods}}}\n{messages}"
