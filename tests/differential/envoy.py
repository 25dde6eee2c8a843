"""A real Envoy with its gRPC-JSON transcoder, set as near to the rules of google/api/http.proto as it can be.

What its options mean: `GrpcJsonTranscoder` of Envoy's API,
https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/filters/http/grpc_json_transcoder/v3/transcoder.proto
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.differential.generated import SERVICE
from tests.servers import ServerProcess, free_port

Json = dict[str, Any]

_EXTENSIONS = "type.googleapis.com/envoy.extensions"
STRICT: Json = {
    "url_unescape_spec": "ALL_CHARACTERS_EXCEPT_SLASH",
    "query_param_unescape_plus": True,
    "convert_grpc_status": True,
    "request_validation_options": {
        "reject_unknown_method": True,
        "reject_unknown_query_parameters": True,
        "reject_binding_body_field_collisions": True,
    },
}
"""As strict as the rules are: unknown methods, parameters and contradictions are refused."""
SWITCHED: Json = {
    **STRICT,
    "print_options": {
        "always_print_primitive_fields": True,
        "preserve_proto_field_names": True,
        "stream_newline_delimited": True,
    },
    "request_validation_options": {"reject_unknown_method": True},
    "ignore_unknown_query_parameters": True,
}
"""With every switch that both have on."""


def configuration(image: Path, upstream: int, listeners: Mapping[int, Json]) -> Json:
    """Envoy's bootstrap: a transcoder with its own settings at each port."""
    return {
        "static_resources": {
            "listeners": [_listener(port, image, settings) for port, settings in listeners.items()],
            "clusters": [_cluster(upstream)],
        },
    }


def _listener(port: int, image: Path, settings: Json) -> Json:
    transcoder = {
        "@type": f"{_EXTENSIONS}.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor": str(image),
        "services": [SERVICE],
        **settings,
    }
    manager = {
        "@type": f"{_EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": f"port_{port}",
        "codec_type": "HTTP1",
        "generate_request_id": False,
        "preserve_external_request_id": True,
        "normalize_path": False,
        "merge_slashes": False,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "route_config": {"virtual_hosts": [_host()]},
        "http_filters": [
            {"name": "transcoder", "typed_config": transcoder},
            {"name": "router", "typed_config": {"@type": f"{_EXTENSIONS}.filters.http.router.v3.Router"}},
        ],
    }
    return {
        "address": _address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def _host() -> Json:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}
    return {"name": "all", "domains": ["*"], "routes": [route]}


def _cluster(port: int) -> Json:
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    http2 = {
        "@type": f"type.googleapis.com/{options}",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    endpoint = {"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}
    return {
        "name": "upstream",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "upstream", "endpoints": [endpoint]},
        "typed_extension_protocol_options": {options: http2},
    }


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@asynccontextmanager
async def envoy(image: Path, upstream: int, settings: Mapping[str, Json]) -> AsyncIterator[dict[str, int]]:
    """Runs Envoy; yields the port for each of the named settings."""
    ports = {name: free_port() for name in settings}
    with tempfile.TemporaryDirectory(prefix="idiom-envoy-") as path:
        folder = Path(path)
        listeners = {ports[name]: given for name, given in settings.items()}
        file = folder / "envoy.yaml"
        file.write_text(yaml.safe_dump(configuration(image, upstream, listeners)))
        command = ["envoy", "-c", str(file), "--concurrency", "1", "-l", "warning", "--disable-hot-restart"]
        server = ServerProcess(lambda: command, lambda: _listening(ports.values()), folder)
        await server.start()
        try:
            yield ports
        finally:
            await server.kill()


async def _listening(ports: Any) -> bool:
    for port in ports:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return True
