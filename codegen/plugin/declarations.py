"""Expressions that declare what `codegen.runtime.method` has classes for."""

from __future__ import annotations

from typing import Final

from codegen.plugin import names
from codegen.plugin.ir import Binding, Http, Method, Policy, Service
from codegen.plugin.python_text import Call, Expression, Module, call, sequence, string

TABLES: Final = "codegen.runtime.method"
ROUTES: Final = "codegen.runtime.transcoding.route"


def seconds(milliseconds: int) -> str:
    """Milliseconds of the schema as seconds of Python."""
    return repr(milliseconds / 1000)


def method(module: Module, method: Method) -> Call:
    """A `Method`."""
    arguments: dict[str, Expression] = {
        "service": string(method.desc.parent.type_name),
        "name": string(method.name),
        "attribute": string(method.attribute),
        "request": module.message(method.input),
        "response": module.message(method.output),
    }
    if method.client_streaming:
        arguments["client_streaming"] = "True"
    if method.server_streaming:
        arguments["server_streaming"] = "True"
    if method.idempotent:
        arguments["idempotent"] = "True"
    stated = policy(module, method.policy)
    if stated.arguments:
        arguments["policy"] = stated
    beyond = http(module, method.http)
    if beyond.arguments:
        arguments["http"] = beyond
    return call(module.use(TABLES, "Method"), **arguments)


def http(module: Module, http: Http) -> Call:
    """An `Http`, without what is left at its default."""
    paths = {
        "etag": http.etag,
        "if_match": http.if_match,
        "sse_id": http.sse_id,
        "sse_cursor": http.sse_cursor,
    }
    arguments: dict[str, Expression] = {
        name: string(".".join(step.name for step in path)) for name, path in paths.items() if path
    }
    arguments |= {"websocket": "True"} if http.websocket else {}
    return call(module.use(TABLES, "Http") if arguments else "Http", **arguments)


def policy(module: Module, policy: Policy) -> Call:
    """A `Policy`, without what is left at its default."""
    arguments: dict[str, Expression] = {}
    if policy.auth != "UNSPECIFIED":
        arguments["auth"] = f"{module.use(TABLES, 'Auth')}.{policy.auth}"
    for name, values in (("scopes", policy.scopes), ("roles", policy.roles)):
        if values:
            arguments[name] = sequence(string(value) for value in values)
    arguments |= {"rate": string(policy.rate)} if policy.rate else {}
    arguments |= {"coalesce": "True"} if policy.coalesce else {}
    arguments |= {"affinity": string(policy.affinity)} if policy.affinity else {}
    arguments |= {"deadline": seconds(policy.deadline_ms)} if policy.deadline_ms else {}
    if policy.retry != "UNSPECIFIED":
        arguments["retry"] = f"{module.use(TABLES, 'Retry')}.{policy.retry}"
    arguments |= {"max_request_bytes": str(policy.max_request_bytes)} if policy.max_request_bytes else {}
    arguments |= {"idempotency_key": string(policy.idempotency_key)} if policy.idempotency_key else {}
    arguments |= {"audit": "True"} if policy.audit else {}
    return call(module.use(TABLES, "Policy") if arguments else "Policy", **arguments)


def method_of(module: Module, service: Service, method: Method) -> str:
    """A method in the table that the back end `rpc` made of its service."""
    table = module.use(names.module(service.desc.file, "_rpc"), table_name(service))
    return f"{table}.methods[{method.index}]"


def route(module: Module, service: Service, method: Method, binding: Binding) -> Call:
    """A `Route`."""
    template = binding.template
    arguments: dict[str, Expression] = {
        "method": method_of(module, service, method),
        "verb": string(binding.verb),
        "template": string(template.source),
        "segments": sequence(string(segment) for segment in template.segments),
    }
    arguments |= {"custom_verb": string(template.verb)} if template.verb else {}
    if binding.variables:
        variable = module.use(ROUTES, "Variable")
        arguments["variables"] = sequence(
            call(variable, sequence(string(name) for name in each.names), str(each.start), str(each.end))
            for each in binding.variables
        )
    arguments |= {"body": string(binding.body)} if binding.body else {}
    arguments |= {"response_body": string(binding.response_body)} if binding.response_body else {}
    return call(module.use(ROUTES, "Route"), **arguments)


def class_name(service: Service) -> str:
    """Name of the protocol class of a service."""
    return names.identifier(service.name)


def table_name(service: Service) -> str:
    """Name of the table of a service: `ORDER_SERVICE`, and `IAM_TABLE` where the class is called `IAM`."""
    constant = names.constant(service.name)
    return f"{constant}_TABLE" if constant == class_name(service) else constant
