"""Documents of Google's own APIs, the largest of them: valid, with examples that are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import pytest
from openapi_spec_validator import validate
from protobuf.wkt import FileDescriptorSet
from protobuf.wkt.google.protobuf.compiler.plugin_pb import CodeGeneratorRequest

from codegen.plugin.main import respond
from tests.codegen.google_apis import package_of, with_rules
from tests.codegen.openapi.documents import operations, validator
from tests.codegen.schemas import ROOT

SOURCE: Final = ROOT / ".npm" / "node_modules" / "google-proto-files"
LARGEST: Final = 8
"""Packages with most files."""

PATHS: Final = 5
"""Of each document, checked by a validator that is thorough and slow."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


def _packages() -> dict[str, list[str]]:
    packages: dict[str, list[str]] = defaultdict(list)
    for file in with_rules(SOURCE):
        packages[package_of(file)].append(file)
    # Several methods of these have the same URL, which is a mistake.
    known = {name: files for name, files in packages.items() if "discoveryengine" not in name}
    largest = sorted(known, key=lambda name: (-len(known[name]), name))[:LARGEST]
    return {name: known[name] for name in largest}


def test_documents_of_the_largest_apis_are_valid_and_so_are_their_examples(tmp_path: Path) -> None:
    assert SOURCE.is_dir(), "make .npm/stamp"
    counted, examples = 0, 0
    for package, files in _packages().items():
        document = _document(tmp_path, files)
        found = operations(document)
        ids = [operation["operationId"] for _, operation in found]
        assert len(ids) == len(set(ids)), package
        counted += len(found)
        examples += _check_examples(document)
        validate({**document, "paths": dict(list(document["paths"].items())[:PATHS])})
    assert counted > 700
    assert examples > 2000


def _document(folder: Path, files: list[str]) -> Any:
    image = folder / "image"
    options = ["--include_imports", "--include_source_info", f"--descriptor_set_out={image}"]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{SOURCE}", *options, *files]
    subprocess.run(command, check=True, capture_output=True)
    request = CodeGeneratorRequest(
        file_to_generate=files,
        parameter="emit=openapi,openapi=openapi.json",
        proto_file=FileDescriptorSet.from_binary(image.read_bytes()).file,
    )
    response = respond(request)
    assert not response.error, response.error
    return json.loads(response.file[0].content)


def _check_examples(document: Any) -> int:
    """How many examples of messages there are; each is what its schema allows."""
    examples = {
        name: node["examples"]
        for name, node in document["components"]["schemas"].items()
        if "examples" in node
    }
    lists = {name: {"items": {"$ref": f"#/components/schemas/{name}"}} for name in examples}
    # One validator for all of them: making one takes long.
    errors = [str(error) for error in validator(document, {"properties": lists}).iter_errors(examples)]
    assert not errors, errors[:5]
    return len(examples)
