"""Services and their methods."""

from __future__ import annotations

from protobuf import DescMethod, DescService

from codegen.plugin import names, vocabulary
from codegen.plugin.http_options import http_options
from codegen.plugin.http_rules import bindings
from codegen.plugin.ir import Method, Policy, Service
from codegen.plugin.scope import Scope, field_named, scalar_of
from codegen.plugin.vocabulary import ConsumerOptions, ServiceOptions, WebSocketOptions


def service(scope: Scope, desc: DescService) -> Service:
    """Resolves a service; one without option is served over RPC under its own name."""
    options = scope.vocabulary.read(desc, "idiom.v1.service", ServiceOptions)
    if options is not None and options.wire == "UNSPECIFIED":
        scope.mistake(desc, f"service {desc.name} does not say its wire.", vocabulary.SERVICE)
    foreign = options is None
    options = options or ServiceOptions(wire="RPC", discovery="ROUND_ROBIN")
    resolved = Service(
        desc=desc,
        wire=options.wire,
        discovery=options.discovery,
        target=options.target or desc.type_name,
        methods=tuple(
            _method(scope, method, index, foreign=foreign) for index, method in enumerate(desc.methods)
        ),
    )
    _check_discovery(scope, resolved)
    _check_attributes(scope, resolved)
    for method in resolved.methods:
        _check_wire(scope, resolved, method)
    return resolved


def _method(scope: Scope, desc: DescMethod, index: int, *, foreign: bool) -> Method:
    policy = scope.vocabulary.read(desc, "idiom.v1.policy", Policy) or Policy()
    for number, option in ((6, "affinity"), (11, "idempotency_key")):
        name = getattr(policy, option)
        field = field_named(desc.input, name) if name else None
        if field is not None and scalar_of(field) is None:
            scope.mistake(
                desc, f"{option} names '{name}', which is not a singular scalar.", vocabulary.POLICY, number
            )
        if name and field is None:
            scope.mistake(
                desc,
                f"{option} names '{name}', which {desc.input.name} does not have.",
                vocabulary.POLICY,
                number,
            )
    http = http_options(scope, desc)
    return Method(
        desc=desc,
        attribute=names.attribute(desc.name),
        index=index,
        policy=policy,
        bindings=bindings(scope, desc, websocket=http.websocket, foreign=foreign),
        http=http,
    )


def _check_discovery(scope: Scope, service: Service) -> None:
    if service.wire == "RPC" and service.discovery == "UNSPECIFIED":
        scope.mistake(
            service.desc, f"service {service.name} does not say how it is discovered.", vocabulary.SERVICE
        )


def _check_attributes(scope: Scope, service: Service) -> None:
    seen: dict[str, str] = {}
    for method in service.methods:
        other = seen.setdefault(method.attribute, method.name)
        if other != method.name:
            scope.mistake(
                method.desc,
                f"methods {other} and {method.name} would both be '{method.attribute}' in Python.",
            )


def _check_wire(scope: Scope, service: Service, method: Method) -> None:
    """Options that belong to another wire, or that this wire cannot do without."""
    desc = method.desc
    consumer = scope.vocabulary.read(desc, "idiom.v1.consumer", ConsumerOptions) is not None
    websocket = scope.vocabulary.read(desc, "idiom.v1.websocket", WebSocketOptions) is not None
    for present, wire, option, number in (
        (consumer, "CONSUMER", "consumer", vocabulary.CONSUMER),
        (websocket, "SOCKET", "websocket", vocabulary.WEBSOCKET),
    ):
        if present and service.wire != wire:
            scope.mistake(
                desc,
                f"method {desc.name} has a {option} option, but {service.name} is not WIRE_{wire}.",
                number,
            )
        if not present and service.wire == wire:
            scope.mistake(desc, f"method {desc.name} of a WIRE_{wire} service has no {option} option.")
    if service.wire != "RPC" and scope.vocabulary.http_rule(desc) is not None:
        scope.mistake(
            desc,
            f"method {desc.name} has an HTTP rule, but {service.name} is not WIRE_RPC.",
            vocabulary.GOOGLE_HTTP,
        )
