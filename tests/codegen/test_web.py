"""The browser client and the OpenAPI document, compared with what was read and found good."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from tests.codegen.schemas import ROOT
from tests.codegen.web import GOLDEN, outputs


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return outputs(tmp_path_factory.mktemp("web"))


def test_module_types_and_document_are_as_they_were_approved(generated: dict[str, str]) -> None:
    golden = {path: (GOLDEN / Path(path).name) for path in generated if "runtime" not in path}
    assert {path: file.read_text("utf-8") for path, file in golden.items()} == {
        path: generated[path] for path in golden
    }
    assert sorted(golden) == ["openapi.json", "web/shelf.d.ts", "web/shelf.js"]


def test_the_runtime_is_delivered_beside_the_module(generated: dict[str, str]) -> None:
    parts = {"web/runtime.js", "web/runtime_http.js", "web/runtime_socket.js", "web/runtime.d.ts"}
    assert parts < set(generated)


def test_generating_twice_gives_the_same(generated: dict[str, str], tmp_path: Path) -> None:
    assert outputs(tmp_path) == generated


@pytest.mark.parametrize("path", [GOLDEN / "openapi.json", ROOT / "gen" / "openapi.json"])
def test_documents_are_valid_openapi(path: Path) -> None:
    validate(_document(path))


def test_every_reference_in_the_document_leads_somewhere() -> None:
    document = _document(GOLDEN / "openapi.json")
    references = set(_references(document))
    assert references
    for reference in references:
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_the_document_says_what_the_rules_of_the_schema_say() -> None:
    schemas = _document(GOLDEN / "openapi.json")["components"]["schemas"]
    book = schemas["shelf.v1.Book"]["properties"]
    assert book["parts"] == {
        "type": "array",
        "items": {"$ref": "#/components/schemas/shelf.v1.Book"},
        "maxItems": 9,
        "minItems": 0,
        "description": "Books within the book.",
    }
    assert book["kind"]["not"] == {"enum": ["KIND_UNSPECIFIED"]}
    assert book["weight"]["anyOf"][0]["exclusiveMinimum"] == 0
    assert book["person"]["format"] == "email"
    assert book["isbn"]["deprecated"] is True
    assert schemas["shelf.v1.Book"]["required"] == ["kind", "weight", "isbn"]
    words = schemas["shelf.v1.Book.Spine"]["properties"]["words"]["items"]
    assert words == {"type": "string", "minLength": 1, "maxLength": 12}


def _document(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for value in node.values() for found in _references(value)]
    return [found for item in node for found in _references(item)] if isinstance(node, list) else []
