"""Generates Google's own APIs, imports what came out and routes URLs: `python -m tests.codegen.google_apis`.

Arguments: a folder of protos, and a folder to write to. Files of whole packages come in, a line each; what
was found comes out as JSON.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import json
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import yaml
from protobuf.wkt import FileDescriptorSet
from protobuf.wkt.google.protobuf.compiler.plugin_pb import CodeGeneratorRequest
from protobuf.wkt.google.protobuf.descriptor_pb import FileDescriptorProto

from codegen.plugin.main import respond
from codegen.runtime.transcoding.matcher import Matcher
from codegen.runtime.transcoding.route import Route
from tests.codegen.urls import wrong

RULES: Final = Path(__file__).with_name("google_service.yaml")
SHADOWED: Final = ("google.cloud.bigquery.storage.", "google.cloud.discoveryengine.")
"""Packages in which several methods have the same URL, as Google's own documentation of them has it."""


@dataclass(slots=True)
class Found:
    """What one part came to."""

    files: int
    """Files with HTTP rules."""
    errors: list[str] = field(default_factory=list)
    """Of the plugin."""
    modules: int = 0
    """Generated and imported."""
    routes: int = 0
    wrong: list[str] = field(default_factory=list)
    """URLs that did not lead back to their methods, or not with their values."""


def main() -> None:
    """Does all that is asked for."""
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    files = sys.stdin.read().split()
    found = Found(len(files))
    descriptors = _compiled(source, out, files)
    gc.freeze()
    packages: dict[str, list[str]] = defaultdict(list)
    for file in files:
        packages[package_of(file)].append(file)
    sys.path.insert(0, str(out))
    for package, mine in packages.items():
        _generate(descriptors, package, mine, out, found)
    if not found.errors:
        for package in packages:
            _import_and_route(out, package, found)
    sys.stdout.write(json.dumps(asdict(found)))


def with_rules(source: Path) -> list[str]:
    """Files with HTTP rules, sorted by path."""
    paths = (path for path in source.rglob("*.proto") if b"(google.api.http)" in path.read_bytes())
    return sorted(path.relative_to(source).as_posix() for path in paths)


def package_of(file: str) -> str:
    """The package of a file's folder: one API in one version, which is what one gateway serves."""
    return file.rpartition("/")[0].replace("/", ".")


def _compiled(source: Path, out: Path, files: Sequence[str]) -> dict[str, FileDescriptorProto]:
    """Descriptors of the files and of what they import, which protoc also makes modules of."""
    image = out / "image"
    options = ["--include_imports", "--include_source_info", f"--descriptor_set_out={image}"]
    _protoc([f"-I{source}", *options, *files])
    descriptors = {file.name: file for file in FileDescriptorSet.from_binary(image.read_bytes()).file}
    # What is installed stays what it is: another copy would hide it.
    missing = [name for name in descriptors if not _is_installed(name)]
    _protoc([f"--descriptor_set_in={image}", f"--python_out={out}", *missing])
    return descriptors


def _protoc(arguments: Sequence[str]) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", *arguments]
    subprocess.run(command, check=True, capture_output=True)


def _is_installed(file: str) -> bool:
    name = file.removesuffix(".proto").replace("/", ".") + "_pb2"
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.util.find_spec(name) is not None
    return False


def _generate(
    descriptors: Mapping[str, FileDescriptorProto],
    package: str,
    files: Sequence[str],
    out: Path,
    found: Found,
) -> None:
    back_ends = ("rpc", "http", "routes", "openapi", "route_report")
    parameters = [*(f"emit={name}" for name in back_ends), "openapi=openapi.json", "route_report=routes.md"]
    if package.startswith(SHADOWED):
        parameters.append(f"allow_shadowed={package}.*")
    parameters += _configured(package, out)
    needed = _with_imports(descriptors, files)
    request = CodeGeneratorRequest(
        file_to_generate=list(files),
        parameter=",".join(parameters),
        proto_file=[file for name, file in descriptors.items() if name in needed],
    )
    response = respond(request)
    found.errors += response.error.strip().splitlines()
    for file in response.file:
        # Routes, the document and the report are those of the package.
        path = out / file.name if "/" in file.name else out / _folder(package) / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content, "utf-8")


def _configured(package: str, out: Path) -> list[str]:
    """The parameter for rules of a package that are said otherwise, if there are any."""
    rules = yaml.safe_load(RULES.read_text("utf-8"))["http"]["rules"]
    mine = [rule for rule in rules if rule["selector"].startswith(f"{package}.")]
    if not mine:
        return []
    path = out / f"{package}.yaml"
    path.write_text(yaml.safe_dump({"http": {"rules": mine}}), "utf-8")
    return [f"service_config={path}"]


def _with_imports(descriptors: Mapping[str, FileDescriptorProto], files: Sequence[str]) -> set[str]:
    seen: set[str] = set()
    pending = list(files)
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            pending += descriptors[name].dependency
    return seen


def _folder(package: str) -> str:
    return f"routes_of_{package.replace('.', '_')}"


def _import_and_route(out: Path, package: str, found: Found) -> None:
    folder = out / package.replace(".", "/")
    for path in sorted(
        [*folder.glob("*_rpc.py"), *folder.glob("*_http.py"), *(out / _folder(package)).glob("*.py")]
    ):
        name = ".".join(path.relative_to(out).with_suffix("").parts).removesuffix(".__init__")
        importlib.import_module(name)
        found.modules += 1
    routes: tuple[Route, ...] = importlib.import_module(_folder(package)).ROUTES
    matcher, chance = Matcher(routes), random.Random(package)
    for route in routes:
        found.routes += 1
        found.wrong += wrong(matcher, route, chance)


if __name__ == "__main__":
    main()
