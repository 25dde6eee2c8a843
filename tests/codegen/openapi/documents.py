"""OpenAPI documents as generated, and validators of their schemas."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
from protobuf import Registry

from tests.codegen.gallery.generated import generated
from tests.codegen.schemas import ROOT, build, generate, workspace

HERE: Final = Path(__file__).parent
FORMATS: Final = {
    "int64": lambda text: -(1 << 63) <= int(text) < 1 << 63,
    "uint64": lambda text: 0 <= int(text) < 1 << 64,
}
"""Formats of the OAS registry that JSON Schema does not have; patterns have found the text to be a number."""


@dataclass(frozen=True, slots=True)
class Generated:
    """A document and the types that it describes."""

    document: Any
    registry: Registry
    descriptors: bytes = b""
    """`google.protobuf.FileDescriptorSet`, where it was compiled for this."""


@functools.cache
def rules() -> Generated:
    """Of `rules.proto`: every rule."""
    return _compiled("rules")


@functools.cache
def kinds() -> Generated:
    """Of `kinds.proto`: every type."""
    return _compiled("kinds")


def _compiled(name: str) -> Generated:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source", name, "v1")
        source.mkdir(parents=True)
        shutil.copy(HERE / f"{name}.proto", source)
        space = Path(folder, "space")
        space.mkdir()
        workspace(space, {"schema": source.parents[1]})
        descriptors = build(space)
    parameters = [f"include={name}", "emit=openapi", "openapi=openapi.json", f"openapi_title={name}"]
    response = generate(descriptors, f"{name}/v1/{name}.proto", parameters)
    assert not response.error, response.error
    document = json.loads(response.file[0].content)
    return Generated(document, descriptors.to_registry(), descriptors.to_binary())


@functools.cache
def gallery() -> Generated:
    """Of the gallery."""
    made = generated()
    document = json.loads((made.folder / "generated" / "gallery" / "openapi.json").read_bytes())
    return Generated(document, made.descriptors.registry())


@functools.cache
def documents() -> Mapping[str, Any]:
    """Every document by name."""
    return {
        "ours": json.loads((ROOT / "gen" / "openapi.json").read_bytes()),
        "shelf": json.loads((ROOT / "tests" / "codegen" / "golden_web" / "openapi.json").read_bytes()),
        "gallery": gallery().document,
        "rules": rules().document,
        "kinds": kinds().document,
        "depot": _foreign(),
    }


NAMES: Final = ("ours", "shelf", "gallery", "rules", "kinds", "depot")


def _foreign() -> Any:
    foreign = ROOT / "tests" / "codegen" / "foreign"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workspace(folder, {"idl": foreign / "idl"})
        shutil.copy(foreign / "buf.gen.yaml", folder)
        subprocess.run(["buf", "generate"], cwd=folder, check=True)
        return json.loads((folder / "generated" / "openapi.json").read_bytes())


def validator(document: Any, schema: Any) -> jsonschema_rs.Draft202012Validator:
    """Validates against a schema of a document; formats count."""
    whole = {"$ref": "#/schema", "schema": schema, "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True, formats=FORMATS)


def component(document: Any, name: str) -> jsonschema_rs.Draft202012Validator:
    """Validates against one of the components."""
    return validator(document, {"$ref": f"#/components/schemas/{name}"})


def operations(document: Any) -> list[tuple[str, Any]]:
    """Every operation and where it stands, those of other verbs too."""
    found = []
    for path, item in document["paths"].items():
        found += [(path, node) for name, node in item.items() if name not in ("parameters", "x-operations")]
        found += [(path, other["operation"]) for other in item.get("x-operations", ())]
    return found
