"""Documents as a whole: valid, complete, the same each time."""

from __future__ import annotations

import re
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import validate

from codegen.plugin.openapi_errors import FAILURES, HTTP_OF_CODE
from codegen.runtime.errors import HTTP_STATUS
from codegen.runtime.transcoding.http_error import STATUS
from gateway_routes import ROUTES
from tests.codegen.gallery.generated import generated
from tests.codegen.openapi.documents import NAMES, documents, operations, rules, validator

EVERY = pytest.mark.parametrize("name", NAMES)


@EVERY
def test_documents_are_valid_openapi(name: str) -> None:
    validate(documents()[name])


@EVERY
def test_every_reference_leads_somewhere(name: str) -> None:
    document = documents()[name]
    references = set(_found(document, "$ref"))
    assert references
    for reference in references:
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


@EVERY
def test_every_component_is_valid_json_schema(name: str) -> None:
    for schema in documents()[name]["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


@EVERY
def test_operation_ids_are_unique_and_parameters_those_of_the_path(name: str) -> None:
    document = documents()[name]
    found = operations(document)
    ids = [operation["operationId"] for _, operation in found]
    assert len(ids) == len(set(ids))
    for path, operation in found:
        named = [each["name"] for each in operation.get("parameters", ()) if each.get("in") == "path"]
        assert named == re.findall(r"\{(.*?)\}", path)


@EVERY
def test_two_paths_never_differ_by_names_alone(name: str) -> None:
    shapes = [re.sub(r"\{.*?\}", "{}", path) for path in documents()[name]["paths"]]
    assert len(shapes) == len(set(shapes))


@EVERY
def test_every_example_is_valid(name: str) -> None:
    document = documents()[name]
    checked = 0
    for holder in _holders({"paths": document["paths"], "components": document["components"]}):
        for example in _examples(holder):
            checked += 1
            assert validator(document, holder.get("schema", holder)).is_valid(example), (holder, example)
    assert checked > 20


@EVERY
def test_every_message_has_an_example(name: str) -> None:
    for title, schema in documents()[name]["components"]["schemas"].items():
        assert schema.get("type") != "object" or schema["examples"], title


def test_the_document_has_every_binding_of_the_routes() -> None:
    for name, routes in (("ours", ROUTES), ("gallery", generated().routes)):
        assert len(operations(documents()[name])) == len(routes)


def test_operations_without_a_place_in_openapi_stand_beside_the_others() -> None:
    paths = rules().document["paths"]
    assert [(each["verb"], each["template"]) for each in paths["/v1/choice"]["x-operations"]] == [
        ("LOCK", "/v1/choice")
    ]
    assert [each["template"] for each in paths["/v1/names/{number}"]["x-operations"]] == [
        "/v1/names/{text=**}"
    ]


def test_what_the_runtime_answers_is_what_the_document_says() -> None:
    assert {code: status for code, status in HTTP_STATUS.items() if code} == HTTP_OF_CODE
    assert {STATUS[reason] for reason in STATUS} <= FAILURES.keys()
    for reason, status in STATUS.items():
        assert reason.name in FAILURES[status].reasons


def test_refusals_follow_from_policy_options_and_the_reasons_a_comment_names() -> None:
    ours = documents()["ours"]["paths"]
    assert set(ours["/v1/auth/register"]["post"]["responses"]) == {
        *("200", "400", "406", "409", "413", "415", "429", "500", "503", "504", "default")
    }
    assert "`USERNAME_TAKEN`" in ours["/v1/auth/register"]["post"]["responses"]["409"]["description"]
    members = ours["/v1/rooms/{room_id}/members/{user_id}"]
    assert {"401", "403", "404"} <= set(members["delete"]["responses"])
    assert not {"413", "415"} & set(members["delete"]["responses"])
    painting = documents()["gallery"]["paths"]["/v1/rooms/{name_1}/paintings/{name_2}"]
    assert "304" in painting["get"]["responses"]
    assert "412" in painting["patch"]["responses"]
    assert {"401", "403"}.isdisjoint(painting["get"]["responses"])


def test_headers_of_requests_and_answers_are_described() -> None:
    document = documents()["gallery"]
    painting = document["paths"]["/v1/rooms/{name_1}/paintings/{name_2}"]
    names = [each["$ref"].rpartition("/")[2] for each in painting["parameters"]]
    assert names == ["X-Request-Id", "X-Request-Timeout"]
    assert _headers(painting["get"]) == ["If-None-Match"]
    assert _headers(painting["patch"]) == ["If-Match"]
    assert _headers(document["paths"]["/v1/rooms/{room}/events"]["get"]) == ["Last-Event-ID"]
    assert "ETag" in painting["get"]["responses"]["200"]["headers"]
    responses = document["components"]["responses"]
    assert "Retry-After" in responses["Unavailable"]["headers"]
    assert "WWW-Authenticate" in responses["Unauthorized"]["headers"]
    assert "Allow" in responses["MethodNotAllowed"]["headers"]


def test_streams_sockets_and_raw_content_are_described() -> None:
    paths = documents()["gallery"]["paths"]
    events = paths["/v1/rooms/{room}/events"]["get"]["responses"]["200"]["content"]
    assert list(events) == ["application/json", "application/x-ndjson", "text/event-stream"]
    assert events["application/json"]["schema"]["type"] == "array"
    item = {"$ref": "#/components/schemas/gallery.v1.Event"}
    assert events["application/x-ndjson"]["x-itemSchema"]["anyOf"][0] == item
    assert events["text/event-stream"]["x-itemSchema"] == item
    recorded = paths["/v1/events"]["post"]["requestBody"]["content"]
    assert recorded["application/json"]["schema"] == {"type": "array", "items": item}
    assert recorded["application/x-ndjson"]["x-itemSchema"] == item
    talk = paths["/v1/talk"]["get"]["responses"]
    assert talk["426"]["$ref"].endswith("UpgradeRequired")
    assert talk["101"]["x-websocket"] == {"send": item, "receive": item}
    assert list(paths["/v1/mirror"]["post"]["requestBody"]["content"]) == ["*/*"]
    image = paths["/v1/rooms/{name_1}/paintings/{name_2}/image"]
    assert list(image["get"]["responses"]["200"]["content"]) == ["*/*"]
    assert list(image["put"]["requestBody"]["content"]) == ["*/*"]


def test_binary_bodies_are_offered_where_a_message_is_sent() -> None:
    paths = documents()["gallery"]["paths"]
    binary = "application/x-protobuf"
    assert binary in paths["/v1/metadata"]["post"]["requestBody"]["content"]
    assert binary in paths["/v1/metadata"]["post"]["responses"]["200"]["content"]
    # A list of texts has no binary form.
    assert binary not in paths["/v1/rooms/{parent}/titles"]["get"]["responses"]["200"]["content"]


def test_who_may_call_is_said() -> None:
    paths = rules().document["paths"]
    assert paths["/v1/values"]["post"]["security"] == []
    assert paths["/v1/choice"]["post"]["security"] == [{"bearer": []}]
    assert "`keeper`" in paths["/v1/choice"]["post"]["description"]
    rest = paths["/v1/names/{number}"]["x-operations"][0]["operation"]
    assert "For services only." in rest["description"]
    shelf = documents()["shelf"]["paths"]["/v1/books/{name}"]["get"]
    assert shelf["security"] == [{"bearer": ["read"]}]
    assert "`read`" in shelf["description"]


def test_comments_are_markdown_without_html_or_what_is_internal() -> None:
    exact = rules().document["paths"]["/v1/names/{number}"]["get"]
    assert exact["summary"] == "The exact one"
    assert exact["description"] == "The exact one. See `Values` &lt;b>now&lt;/b>."
    rest = rules().document["paths"]["/v1/names/{number}"]["x-operations"][0]["operation"]
    assert rest["summary"] == "Get rest HTTP"


def test_reasons_of_services_are_listed() -> None:
    text = documents()["ours"]["components"]["schemas"]["Status.ErrorInfo"]["properties"]["reason"][
        "description"
    ]
    assert "- `USERNAME_TAKEN` (im, 409): The user name is taken." in text
    assert "- `VALIDATION_FAILED` (400)" in text


def _headers(operation: Any) -> list[str]:
    return [each["$ref"].rpartition("/")[2] for each in operation["parameters"] if "$ref" in each]


def _found(node: Any, key: str) -> list[Any]:
    if isinstance(node, dict):
        own = [node[key]] if key in node else []
        return own + [found for value in node.values() for found in _found(value, key)]
    return [found for item in node for found in _found(item, key)] if isinstance(node, list) else []


def _holders(node: Any) -> list[Any]:
    """Whatever has examples; not what lies within examples."""
    if isinstance(node, dict):
        own = [node] if _examples(node) else []
        inner = [value for name, value in node.items() if name not in ("example", "examples")]
        return own + [found for value in inner for found in _holders(value)]
    return [found for item in node for found in _holders(item)] if isinstance(node, list) else []


def _examples(node: Any) -> list[Any]:
    if "schema" in node and "x-itemSchema" not in node:
        return [node["example"]] if "example" in node else []
    given = node.get("examples")
    return given if isinstance(given, list) and "schema" not in node else []
