"""Back end `openapi`: the HTTP side of a schema as an OpenAPI 3.1 document.

Parameters: `openapi=<path>.json` says where it goes, relative to the output folder; `openapi_title` and
`openapi_version` are those of the document. OpenAPI cannot say that a path parameter may contain slashes, nor
name verbs of its own: bindings of other verbs are left out, and so are methods that stream.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from codegen.plugin.backend import Output, Run
from codegen.plugin.ir import Binding, Method, QueryParameter, Schema, Service, Variable
from codegen.plugin.openapi_schemas import ANY, Node, Schemas
from codegen.plugin.scope import message_of

_VERBS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_ANY_VERB: Final = ("get", "put", "post", "delete", "patch")
_STATUS: Final = "google.rpc.Status"


def generate(run: Run) -> Iterable[Output]:
    """The document."""
    values = run.parameters.values
    info = {"title": values.get("openapi_title", "API"), "version": values.get("openapi_version", "0")}
    document = _Document(run.schema).whole(info)
    text = json.dumps(document, indent=2, ensure_ascii=False)
    yield Output(run.parameters.required("openapi"), text + "\n")


class _Document:
    """One document under way."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._schemas = Schemas(schema)
        self._paths: dict[str, Node] = {}
        self._spellings: dict[str, str] = {}
        self._operations: set[str] = set()

    def whole(self, info: Node) -> Node:
        services = [service for file in self._schema.files for service in file.services]
        services = [service for service in services if any(map(_described, service.methods))]
        for service in services:
            for method in filter(_described, service.methods):
                self._method(service, method)
        return {
            "openapi": "3.1.0",
            "info": info,
            "tags": [_with_text({"name": s.name}, self._schemas.text(s.desc)) for s in services],
            "paths": self._paths,
            "components": {
                "schemas": dict(sorted((self._schemas.components | {_STATUS: _status()}).items())),
                "responses": {"Error": _error()},
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            },
        }

    def _method(self, service: Service, method: Method) -> None:
        for binding in method.bindings:
            path = _Path(binding)
            spelling = self._spellings.setdefault(re.sub(r"\{.*?\}", "{}", path.text), path.text)
            names = re.findall(r"\{(.*?)\}", spelling)
            for verb in _verbs(binding):
                operation = self._operation(service, method)
                parameters = [
                    *self._path_parameters(path, names),
                    *map(self._query_parameter, binding.query),
                ]
                if parameters:
                    operation["parameters"] = parameters
                self._paths.setdefault(spelling, {})[verb] = (
                    operation | self._body(method, binding) | {"responses": self._responses(method, binding)}
                )

    def _operation(self, service: Service, method: Method) -> Node:
        text = self._schemas.text(method.desc)
        summary = re.split(r"(?<=\.)\s|\n", text, maxsplit=1)[0].removesuffix(".")
        node: Node = {"tags": [service.name], "operationId": self._operation_id(service, method)}
        if summary:
            node["summary"] = summary
        if text.removesuffix(".") != summary:
            node["description"] = text
        if method.desc.deprecated:
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

    def _path_parameters(self, path: _Path, names: list[str]) -> Iterator[Node]:
        for name, (variable, several) in zip(names, path.parameters, strict=True):
            node = {"name": name, "in": "path", "required": True}
            if variable is None or len(variable.path) == 0:
                yield node | {"schema": {"type": "string"}}
                continue
            schema = self._schemas.field(variable.path[-1])
            text = " ".join(filter(None, [schema.pop("description", ""), "May contain slashes." * several]))
            yield _with_text(node, text) | {"schema": schema if path.whole(variable) else {"type": "string"}}

    def _query_parameter(self, parameter: QueryParameter) -> Node:
        schema = self._schemas.field(parameter.path[-1])
        node = _with_text({"name": parameter.name, "in": "query"}, schema.pop("description", ""))
        if all(map(self._schemas.required, parameter.path)):
            node["required"] = True
        return node | {"schema": schema}

    def _body(self, method: Method, binding: Binding) -> Node:
        if not binding.body:
            return {}
        field = binding.body_field
        required = field is None or self._schemas.required(field)
        message = method.input if field is None else message_of(field)
        # A field of the path below these stays optional in the body: OpenAPI has no word for "without a.b".
        within = () if field is None else (field,)
        bound = [v.names[-1] for v in binding.variables if v.path[:-1] == within]
        if bound and message is not None:
            node = self._schemas.message(message, bound)
        else:
            node = self._schemas.reference(method.input) if field is None else self._schemas.field(field)
        return {"requestBody": {"required": required, "content": _content(node)}}

    def _responses(self, method: Method, binding: Binding) -> Node:
        field = binding.response_field
        node = self._schemas.reference(method.output) if field is None else self._schemas.field(field)
        text = self._schemas.text(method.output) or "The answer."
        return {
            "200": {"description": text, "content": _content(node)},
            "default": {"$ref": "#/components/responses/Error"},
        }


class _Path:
    """A template in OpenAPI's form: each wildcard is one parameter; literals stay, in variables too."""

    def __init__(self, binding: Binding) -> None:
        self.parameters: list[tuple[Variable | None, bool]] = []
        self._segments = binding.template.segments
        self._owners: list[Variable | None] = [None] * len(self._segments)
        for variable in binding.variables:
            end = variable.end if variable.end >= 0 else len(self._segments) + 1 + variable.end
            self._owners[variable.start : end] = [variable] * (end - variable.start)
        parts = [self._part(place) for place in range(len(self._segments))]
        verb = f":{binding.template.verb}" if binding.template.verb else ""
        self.text = "/" + "/".join(parts) + verb

    def whole(self, variable: Variable) -> bool:
        """Whether one parameter stands for the whole variable."""
        return self._owners.count(variable) == 1

    def _part(self, place: int) -> str:
        segment, variable = self._segments[place], self._owners[place]
        if segment not in {"*", "**"}:
            return segment
        self.parameters.append((variable, segment == "**"))
        name = ".".join(variable.names) if variable else "segment"
        if variable and self._wildcards(variable) == 1:
            return f"{{{name}}}"
        return f"{{{name}_{sum(owner is variable for owner, _ in self.parameters)}}}"

    def _wildcards(self, variable: Variable) -> int:
        pairs = zip(self._segments, self._owners, strict=True)
        return sum(owner is variable and segment in {"*", "**"} for segment, owner in pairs)


def _described(method: Method) -> bool:
    return bool(method.bindings) and not method.client_streaming and not method.server_streaming


def _verbs(binding: Binding) -> tuple[str, ...]:
    if binding.verb == "*":
        return _ANY_VERB
    return tuple(verb for verb in _VERBS if verb == binding.verb.lower())


def _content(node: Node) -> Node:
    return {"application/json": {"schema": node}}


def _with_text(node: Node, text: str) -> Node:
    return node | ({"description": text} if text else {})


def _status() -> Node:
    return {
        "description": "A refused or failed call. The details tell the typed reason and the fields at fault.",
        "type": "object",
        "properties": {
            "code": {"type": "integer", "format": "int32", "description": "A value of google.rpc.Code."},
            "message": {"type": "string", "description": "What went wrong, for people."},
            "details": {
                "type": "array",
                "items": ANY,
                "description": "google.rpc.ErrorInfo with the reason, google.rpc.BadRequest with fields …",
            },
        },
    }


def _error() -> Node:
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{_STATUS}"}
    return {
        "description": "The call was refused or failed.",
        "content": {"application/json": {"schema": schema}},
    }
