"""HTTP rules from a `google.api.Service` in YAML: mistakes name file and line."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Final

import pytest
from protobuf.wkt import FileDescriptorSet
from protobuf.wkt.google.protobuf.compiler.plugin_pb import CodeGeneratorResponse

from tests.codegen.schemas import build, generate, workspace

SCHEMA: Final = Path(__file__).parent / "golden" / "schema"
FILE: Final = "golden/v1/shelf.proto"


@pytest.fixture(scope="module")
def descriptors(tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorSet:
    folder = tmp_path_factory.mktemp("configured")
    workspace(folder, {"schema": SCHEMA})
    return build(folder)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _respond(descriptors: FileDescriptorSet, text: str, *parameters: str) -> CodeGeneratorResponse:
    Path("service.yaml").write_text(textwrap.dedent(text), "utf-8")
    return generate(descriptors, FILE, ["service_config=service.yaml", *parameters])


def _paths(descriptors: FileDescriptorSet, text: str) -> dict[str, list[str]]:
    """Operation ids without their numbers, by verb and path."""
    response = _respond(descriptors, text, "emit=openapi", "openapi=openapi.json")
    assert not response.error
    found: dict[str, list[str]] = {}
    for path, operations in json.loads(response.file[0].content)["paths"].items():
        for verb, operation in operations.items():
            if "operationId" not in operation:
                continue
            found.setdefault(operation["operationId"].split("_")[1], []).append(f"{verb} {path}")
    return found


def _errors(descriptors: FileDescriptorSet, text: str) -> list[str]:
    response = _respond(descriptors, text, "emit=rpc")
    assert not response.file
    return response.error.strip().splitlines()


WHOLE: Final = """\
    type: google.api.Service
    config_version: 3
    name: shelves.example.com
    apis:
      - name: golden.v1.ShelfService
    http:
      rules:
        - selector: golden.v1.IAM.Get
          post: /v2/iam/{self}
          body: "*"
          response_body: self
          additional_bindings:
            - custom: {kind: HEAD, path: /v2/iam}
        - selector: golden.v1.PlainService.From
          get: /v2/from
    """


def test_rules_go_before_those_of_the_schema_and_come_to_methods_without(
    descriptors: FileDescriptorSet,
) -> None:
    found = _paths(descriptors, WHOLE)
    assert found["Get"] == ["post /v2/iam/{self}", "head /v2/iam"]
    assert found["From"] == ["get /v2/from"]
    assert "get /v1/shelves/{name}" in found["GetShelf"]


def test_routes_and_clients_have_them_too(descriptors: FileDescriptorSet) -> None:
    response = _respond(descriptors, WHOLE, "emit=routes", "emit=http")
    texts = {Path(file.name).name: file.content for file in response.file}
    assert '"/v1/iam"' not in "".join(texts.values())
    assert 'template="/v2/iam/{self}"' in texts["golden_v1_iam.py"]
    assert 'response_body="self"' in texts["golden_v1_iam.py"]
    assert 'template="/v2/from"' in texts["golden_v1_plain_service.py"]
    assert "class PlainServiceHttp" in texts["shelf_http.py"]


def test_json_names_and_a_file_without_type_will_do(descriptors: FileDescriptorSet) -> None:
    text = """\
        http:
          rules:
            - selector: golden.v1.IAM.Get
              put: /v2/iam
              body: "*"
              responseBody: self
              additionalBindings:
                - delete: /v2/iam
        """
    assert _paths(descriptors, text)["Get"] == ["put /v2/iam", "delete /v2/iam"]


@pytest.mark.parametrize(
    "selector", ["golden.v1.IAM.*", "golden.v1.PlainService.From, golden.v1.IAM.Get", "golden.v1.IAM.Get"]
)
def test_the_last_rule_that_selects_a_method_wins(descriptors: FileDescriptorSet, selector: str) -> None:
    text = f"""\
        http:
          rules:
            - {{selector: "golden.v1.IAM.*,golden.v1.PlainService.*", get: /first}}
            - {{selector: "{selector}", get: /v2/iam}}
        """
    response = _respond(descriptors, text, "emit=routes", "allow_shadowed=golden.v1.*")
    assert not response.error
    routes = "".join(file.content for file in response.file)
    assert routes.count('"/v2/iam"') == 1  # of two equal ones one is left out
    assert ("/first" in routes) == ("PlainService" not in selector)


def test_everything_may_be_selected(descriptors: FileDescriptorSet) -> None:
    errors = _errors(descriptors, "http: {rules: [{selector: '*', get: /all}]}\n")
    # Even methods that have no HTTP.
    assert "golden/v1/shelf.proto:112:5: method Count has an HTTP rule" in "\n".join(errors)


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "type: google.api.Service\n", "http:\n", "http: {rules: }\n"]
)
def test_a_file_without_rules_changes_nothing(descriptors: FileDescriptorSet, text: str) -> None:
    assert _paths(descriptors, text)["Get"] == ["get /v1/iam"]


RULE: Final = "http:\n  rules:\n  - selector: golden.v1.IAM.Get\n    "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http: {rules: [\n", "2:1: expected the node content, but found '<stream end>'."),
        ("- a\n", "1:1: google.api.Service is to be a mapping."),
        ("type: google.api.Servise\n", "1:7: type is to be google.api.Service."),
        ("type: 3\n", "1:7: type is to be text."),
        ("htttp: {}\n", "1:1: google.api.Service has no field 'htttp'."),
        ("http: {}\nhttp: {}\n", "2:1: 'http' is there twice."),
        ("http: [a]\n", "1:7: http is to be a mapping."),
        ("http: {rule: []}\n", "1:8: http has no field 'rule'."),
        ("http:\n  rules: {a: b}\n", "2:10: rules is to be a list."),
        ("http:\n  rules: [text]\n", "2:11: a rule is to be a mapping."),
        (
            "http: {fully_decode_reserved_expansion: true}\n",
            "1:41: fully_decode_reserved_expansion can only be",
        ),
        ("http:\n  rules:\n  - get: /v2\n", "3:5: a rule without selector."),
        (
            "http:\n  rules:\n  - {selector: golden.*.Get, get: /a}\n",
            "3:16: selector 'golden.*.Get': * is",
        ),
        ("http:\n  rules:\n  - {selector: 'a.B,', get: /a}\n", "3:16: selector '': * is everything"),
        (
            "http:\n  rules:\n  - {selector: golden.v1.IAM, get: /a}\n",
            "3:16: selector 'golden.v1.IAM': there is",
        ),
        (
            "http:\n  rules:\n  - {selector: nope.*, get: /a}\n",
            "3:16: selector 'nope.*': there is no such method.",
        ),
        (RULE + "gett: /a\n", "4:5: a rule has no field 'gett'."),
        (RULE + "get: 7\n", "4:10: get is to be text."),
        (RULE + "get: /a\n    put: /b\n", "5:10: a rule has one pattern; this one has get already."),
        (RULE + "custom: /a\n", "4:13: custom is to be a mapping."),
        (RULE + "custom: {kind: X, path: /a, more: b}\n", "4:33: custom has no field 'more'."),
        (RULE + "additional_bindings: {get: /a}\n", "4:26: additional_bindings is to be a list."),
        (
            RULE
            + "get: /a\n    additional_bindings:\n    - get: /b\n      additional_bindings: [{get: /c}]\n",
            "7:28: additional_bindings within additional_bindings are not allowed.",
        ),
        (
            RULE + "get: /a\n    additional_bindings: [{get: /b, selector: a.B}]\n",
            "5:47: an additional binding has the selector of its rule.",
        ),
        (RULE + "body: '*'\n", "3:5: the HTTP rule of golden.v1.IAM.Get: there is no path."),
        (RULE + "get: /a/{b\n", "4:10: GET /a/{b of golden.v1.IAM.Get: '}' is expected at character 6"),
        (RULE + "get: /a/{b}\n", "4:10: GET /a/{b} of golden.v1.IAM.Get: variable 'b' names 'b', which None"),
        (RULE + "get: /a\n    body: self\n", "5:11: GET /a of golden.v1.IAM.Get: GET has no body."),
        (RULE + "put: /a\n    body: a.b\n", "5:11: PUT /a of golden.v1.IAM.Get: body 'a.b' is nested"),
        (
            RULE + "get: /v1/shelves\n",
            "4:10: GET /v1/shelves of golden.v1.IAM.Get is a duplicate: GET /v1/shelves of golden.v1.Shelf",
        ),
        (RULE + "get: &a [*a]\n", "4:10: get is to be text."),
        ("? [a, b]\n: c\n", "1:3: google.api.Service has no field '…'."),
        ("http: " + "[" * 5000, "0:0: it is nested too deeply."),
    ],
)
def test_a_mistake_names_file_and_line(descriptors: FileDescriptorSet, text: str, expected: str) -> None:
    errors = _errors(descriptors, text)
    assert errors[0].startswith(f"service.yaml:{expected}"), errors


def test_all_mistakes_are_reported_together_with_those_of_the_schema(descriptors: FileDescriptorSet) -> None:
    text = (
        RULE
        + "get: /a/{b\n  - {selector: nope, get: /v2}\n  - {selector: golden.v1.PlainService.From, get: x}\n"
    )
    assert [error.split(": ")[0] for error in _errors(descriptors, text)] == [
        f"service.yaml:{place}" for place in ("4:10", "5:16", "6:50")
    ]


def test_a_file_that_cannot_be_read_is_answered_by_a_sentence(descriptors: FileDescriptorSet) -> None:
    response = generate(descriptors, FILE, ["emit=rpc", "service_config=nowhere.yaml"])
    assert response.error.startswith("service_config=nowhere.yaml: ")
    Path("bytes.yaml").write_bytes(b"\xff\xfe\x00")
    assert "bytes.yaml" in generate(descriptors, FILE, ["emit=rpc", "service_config=bytes.yaml"]).error
    Path("control.yaml").write_bytes(b"http: \x01\n")
    assert "control.yaml:" in generate(descriptors, FILE, ["emit=rpc", "service_config=control.yaml"]).error
