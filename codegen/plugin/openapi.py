"""Back end `openapi`: the HTTP side of a schema as an OpenAPI 3.1 document.

Parameters: `openapi=<path>.json` says where it goes, relative to the output folder; `openapi_title`,
`openapi_version` and `openapi_server`, a URL, are those of the document. OpenAPI 3.1 knows no verbs but its
own, and `/{a}` is one path to it whether `a` may contain slashes or not: operations that have no place in
`paths` for one of these reasons stand in `x-operations` of their path.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import orjson
from protobuf import DescMessage

from codegen.plugin.backend import Output, Run
from codegen.plugin.ir import Binding, Method, QueryParameter, Schema, Service
from codegen.plugin.openapi_content import EVENTS, JSON, LINES, Contents
from codegen.plugin.openapi_conventions import CONVENTIONS, EVERYWHERE, PARAMETERS
from codegen.plugin.openapi_errors import Errors, headers
from codegen.plugin.openapi_examples import NONE, Examples
from codegen.plugin.openapi_paths import VERBS, Path, names_of, verbs
from codegen.plugin.openapi_scalars import Node
from codegen.plugin.openapi_schemas import Schemas, described
from codegen.plugin.openapi_text import sentences, summary
from codegen.plugin.scope import message_of


def generate(run: Run) -> Iterable[Output]:
    """The document."""
    values = run.parameters.values
    info = {"title": values.get("openapi_title", "API"), "version": values.get("openapi_version", "0")}
    document = _Document(run.schema).whole(info, values.get("openapi_server", "/"))
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    yield Output(run.parameters.required("openapi"), text.decode())


class _Document:
    """One document under way."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._services = [
            s for file in schema.files for s in file.services if any(m.bindings for m in s.methods)
        ]
        self._schemas = Schemas(schema, _read(self._services))
        self._contents = Contents(self._schemas)
        self._errors = Errors(schema)
        self._paths: dict[str, Node] = {}
        self._spellings: dict[str, str] = {}
        self._operations: set[str] = set()

    def whole(self, info: Node, server: str) -> Node:
        for service in self._services:
            for method in service.methods:
                for binding in method.bindings:
                    self._binding(service, method, binding)
        schemas = self._schemas.components | self._errors.schemas()
        _illustrate(self._paths, schemas)
        return {
            "openapi": "3.1.0",
            "info": info | {"description": CONVENTIONS},
            "servers": [{"url": server}],
            "tags": [{"name": s.name} | described(self._schemas.text(s.desc)) for s in self._services],
            "paths": self._paths,
            "components": {
                "schemas": dict(sorted(schemas.items())),
                "responses": self._errors.responses_by_name(),
                "parameters": PARAMETERS,
                "headers": headers(),
                "securitySchemes": {
                    "bearer": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "JWT",
                        "description": "An access token, as `Authorization: Bearer …`.",
                    }
                },
            },
        }

    def _binding(self, service: Service, method: Method, binding: Binding) -> None:
        path = Path(binding)
        spelling = self._spellings.setdefault(path.shape, path.text)
        names = names_of(spelling)
        item = self._paths.setdefault(spelling, {"parameters": EVERYWHERE})
        for verb in verbs(binding):
            operation = self._operation(service, method)
            operation |= self._parameters(method, binding, path, names)
            operation |= self._contents.body(method, binding)
            answers = self._contents.answers(method, binding)
            texts = [self._schemas.text(desc) for desc in (service.desc, method.desc)]
            refusals = self._errors.responses(method, binding, "\n".join(texts))
            operation |= {"responses": answers | refusals}
            if verb in VERBS and verb not in item:
                item[verb] = operation
            else:
                other = {"verb": verb.upper(), "template": binding.template.source, "operation": operation}
                item.setdefault("x-operations", []).append(other)

    def _operation(self, service: Service, method: Method) -> Node:
        text = self._schemas.text(method.desc)
        short = summary(text, method.name)
        whole = "\n\n".join(filter(None, [text if text.removesuffix(".") != short else "", _manners(method)]))
        node: Node = {
            "tags": [service.name],
            "operationId": self._operation_id(service, method),
            "summary": short,
            **described(whole),
        }
        if method.desc.deprecated or service.desc.deprecated:
            node["deprecated"] = True
        node["security"] = [] if method.policy.auth == "NONE" else [{"bearer": list(method.policy.scopes)}]
        return node

    def _operation_id(self, service: Service, method: Method) -> str:
        names = [f"{service.name}_{method.name}", f"{service.full_name.replace('.', '_')}_{method.name}"]
        stem = names[0] if self._unique(service) else names[1]
        name, number = stem, 1
        while name in self._operations:
            number += 1
            name = f"{stem}_{number}"
        self._operations.add(name)
        return name

    def _unique(self, service: Service) -> bool:
        return sum(other.name == service.name for file in self._schema.files for other in file.services) == 1

    def _parameters(self, method: Method, binding: Binding, path: Path, names: list[str]) -> Node:
        found = [
            *self._path_parameters(path, names),
            *map(self._query_parameter, binding.query),
            *({"$ref": f"#/components/parameters/{name}"} for name in _headers(method, binding)),
        ]
        return {"parameters": found} if found else {}

    def _path_parameters(self, path: Path, names: list[str]) -> Iterator[Node]:
        for name, (variable, several) in zip(names, path.parameters, strict=True):
            node: Node = {"name": name, "in": "path", "required": True}
            one: Node = {"type": "string"} if several else {"type": "string", "minLength": 1}
            if variable is None or not variable.path:
                yield node | {"schema": one}
                continue
            schema = self._schemas.value(variable.path[-1])
            slashes = "May contain slashes." if several else ""
            text = sentences(schema.pop("description", ""), slashes)
            if not path.whole(variable):
                schema = one
            elif schema.get("type") == "string" and not several and "format" not in schema:
                schema = schema | {"minLength": max(1, schema.get("minLength", 0))}
            yield node | described(text) | {"schema": schema}

    def _query_parameter(self, parameter: QueryParameter) -> Node:
        schema = self._schemas.value(parameter.path[-1])
        node: Node = {"name": parameter.name, "in": "query"} | described(schema.pop("description", ""))
        if all(map(self._schemas.required, parameter.path)):
            node["required"] = True
        if schema.pop("deprecated", False):
            node["deprecated"] = True
        return node | {"schema": schema}


def _read(services: Iterable[Service]) -> Iterator[DescMessage]:
    """The types that come in bodies of requests."""
    for service in services:
        for method in service.methods:
            for binding in method.bindings:
                message = method.input if binding.body_field is None else message_of(binding.body_field)
                if message is not None and (binding.body or method.http.websocket):
                    yield message


def _headers(method: Method, binding: Binding) -> Iterator[str]:
    if method.http.etag and binding.verb in {"GET", "HEAD", "*"}:
        yield "If-None-Match"
    if method.http.if_match:
        yield "If-Match"
    if method.http.sse_cursor:
        yield "Last-Event-ID"


def _manners(method: Method) -> str:
    """What options say of a method, for people."""
    policy = method.policy
    return sentences(
        {"SERVICE": "For services only.", "UNSPECIFIED": "Nobody may call it: it has no policy."}.get(
            policy.auth, ""
        ),
        f"Needs the scopes {_codes(policy.scopes)}." if policy.scopes else "",
        f"For the roles {_codes(policy.roles)}." if policy.roles else "",
        f"Takes at most {policy.deadline_ms / 1000:g} s." if policy.deadline_ms else "",
        f"The request has at most {policy.max_request_bytes} bytes in its binary form."
        if policy.max_request_bytes
        else "",
    )


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _illustrate(paths: Node, schemas: Node) -> None:
    """Adds examples: to operations first, since those of requests lack what is read-only."""
    asked, answered, whole = Examples(schemas, "readOnly"), Examples(schemas, "writeOnly"), Examples(schemas)
    for item in paths.values():
        others = [other["operation"] for other in item.get("x-operations", ())]
        for operation in [*(item[verb] for verb in VERBS if verb in item), *others]:
            _illustrate_operation(operation, asked, answered)
    made = {name: whole.of(schema) for name, schema in schemas.items() if schema.get("type") == "object"}
    for name, example in made.items():
        if example is not NONE:
            schemas[name] = schemas[name] | {"examples": [example]}


def _illustrate_operation(operation: Node, asked: Examples, answered: Examples) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter.get("required"):
            _put(parameter, asked.of(parameter["schema"]))
    _illustrate_content(operation.get("requestBody", {}), asked)
    _illustrate_content(operation["responses"].get("200", {}), answered)


def _illustrate_content(holder: Node, examples: Examples) -> None:
    content = holder.get("content", {})
    if JSON in content:
        _put(content[JSON], examples.of(content[JSON]["schema"]))
    for name, form in ((LINES, "{}\n"), (EVENTS, "data: {}\n\n")):
        if name in content and (item := examples.of(content[name]["x-itemSchema"])) is not NONE:
            content[name]["example"] = form.format(json.dumps(item, ensure_ascii=False))


def _put(node: Node, example: object) -> None:
    if example is not NONE:
        node["example"] = example
