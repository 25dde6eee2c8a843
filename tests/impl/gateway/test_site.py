"""Files, documents and malformed requests: a gateway without neighbours is enough."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway_routes import ROUTES
from impl.gateway import app as gateway
from impl.gateway.site import CLIENT, GENERATED, WEB
from impl.settings import Settings
from tests.impl.gateway.conftest import client_of, lonely, running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    """Settings of a gateway that runs."""
    settings = lonely(tmp_path_factory.mktemp("gateway"))
    async with running(gateway, settings):
        yield settings


async def test_the_page_is_ours_alone(served: Settings) -> None:
    async with client_of(served) as client:
        page = await client.get("/")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert re.search(r"connect-src 'self' ws: wss:(;|$)", policy)
        assert page.headers["x-content-type-options"] == "nosniff"
        for path in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
            assert (await client.get(path)).status_code == 200, path


FILES = [("/web", WEB), ("/client", CLIENT), ("/gen", GENERATED / "web")]


@pytest.mark.parametrize(("prefix", "folder"), FILES)
async def test_files_are_served_and_checked_again(served: Settings, prefix: str, folder: Path) -> None:
    async with client_of(served) as client:
        for file in sorted(path for path in folder.iterdir() if path.is_file()):
            response = await client.get(f"{prefix}/{file.name}")
            assert response.content == file.read_bytes()
            assert response.headers["cache-control"] == "no-cache"
            assert response.headers["x-content-type-options"] == "nosniff"
            again = {"if-none-match": response.headers["etag"]}
            assert (await client.get(f"{prefix}/{file.name}", headers=again)).status_code == 304
            if file.suffix == ".js":
                assert response.headers["content-type"].startswith("text/javascript")


async def test_the_api_viewer_needs_no_other_server(served: Settings) -> None:
    async with client_of(served) as client:
        viewer = await client.get("/docs")
        assert viewer.status_code == 200
        addresses = re.findall(r'(?:src|href)="([^"]+)"', viewer.text)
        assert addresses
        for address in addresses:
            assert address.startswith("/")
            assert (await client.get(address)).status_code == 200, address
        document = (await client.get("/openapi.json")).json()
        templates = {re.sub(r"=[^}]*}", "}", route.template) for route in ROUTES}
        assert templates | {"/healthz", "/readyz"} <= set(document["paths"])


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/nope",
            "/v1/nope",
            "/v1/users/me/",
            "/web",
            "/web/",
            "/web/nope.js",
            "/web/%00",
            "/web/../app.py",
        ),
        *(
            "/web/..%2fapp.py",
            "/web/%2e%2e/app.py",
            "/web//etc/passwd",
            "/gen/../im/descriptors.py",
            "/docs/x",
            "/docs/viewer/swagger-ui.css/",
            "/web/index.html/",
        ),
    ],
)
async def test_what_is_not_there_is_not_found(served: Settings, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.gateway_port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b'"NO_ROUTE"' in answer


async def test_other_verbs_of_the_gateways_own_paths_are_refused(served: Settings) -> None:
    async with client_of(served) as client:
        response = await client.post("/healthz")
        assert response.status_code == 405
        assert response.headers["allow"] == "GET"
        assert response.json()["details"][0]["reason"] == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
)
async def test_malformed_http_ends_the_connection_and_nothing_else(served: Settings, data: bytes) -> None:
    async with client_of(served) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.gateway_port)
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
        assert answer == b"" or re.match(rb"HTTP/1\.1 [24]", answer), answer[:80]
        assert (await client.get("/healthz")).status_code == 200
