"""What docs/codegen.md shows: it generates and runs as it stands there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests import servers
from tests.codegen.schemas import ROOT, SHARED

PAGE = ROOT / "docs" / "codegen.md"
NAMED = re.compile(r"^```\w+\n(?://|#) (\S+\.(?:yaml|proto|py))\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    for name, text in NAMED.findall(PAGE.read_text("utf-8")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    for source in SHARED.values():
        shutil.copytree(source, folder / ".protos", dirs_exist_ok=True)
    subprocess.run(["buf", "generate"], cwd=folder, check=True)
    return folder


async def test_the_example_serves_http_a_socket_and_both_consumers(
    shop: Path, redis: servers.Redis, etcd: servers.Etcd
) -> None:
    http, sockets = servers.free_port(), servers.free_port()
    async with running(shop, redis.url, etcd.endpoint, str(http), str(sockets)) as process:
        token = (await said(process, "token "))["token "].split()[1]
        headers = {"authorization": f"Bearer {token}"}
        base, patient = f"http://127.0.0.1:{http}", httpx.AsyncHTTPTransport(retries=10)
        async with httpx.AsyncClient(base_url=base, headers=headers, transport=patient) as client:
            placed = await client.post("/v1/shops/1/orders", json={"item": "tea"})
            assert placed.status_code == 200, placed.text
            name = placed.json()["name"]
            changed = await client.patch(f"/v1/{name}", json={"item": "milk"})
            assert changed.json() == {"name": name, "item": "milk"}
            other = await client.patch(f"/v1/{name}", json={"name": "shops/1/orders/0"})
            assert other.status_code == 400
            refused = await client.post("/v1/shops/1/orders", json={"item": "air"})
            assert refused.json()["details"][0]["reason"] == "SOLD_OUT"
            assert "/v1/shops/{parent}/orders" in (await client.get("/openapi.json")).json()["paths"]
        assert await said(process, "ship tea", "bill tea")
        call = [sys.executable, "call.py", base, token]
        environment = {**os.environ, "PYTHONPATH": "gen:."}
        called = await asyncio.create_subprocess_exec(*call, cwd=shop, env=environment, stdout=PIPE)
        out = (await called.communicate())[0].decode().splitlines()
        assert out[0].startswith("shops/1/orders/")
        assert out[1] == "True SOLD_OUT: there is no air left"
        address = f"ws://127.0.0.1:{sockets}/v1/ws"
        protocols = [Subprotocol("shop.v1.json")]
        async with connect(address, subprotocols=protocols, additional_headers=headers) as socket:
            request = {"parent": "shops/2", "order": {"item": "air"}}
            await socket.send(json.dumps({"place": {"requestId": "1", "request": request}}))
            assert json.loads(await socket.recv())["error"]["reason"] == "SOLD_OUT"


async def test_the_small_example_serves_http_by_itself(shop: Path) -> None:
    port = servers.free_port()
    async with running(shop, str(port), program="small.py") as process:
        token = (await said(process, "token "))["token "].split()[1]
        headers, patient = {"authorization": f"Bearer {token}"}, httpx.AsyncHTTPTransport(retries=10)
        base = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base, headers=headers, transport=patient) as client:
            placed = await client.post("/v1/shops/1/orders", json={"item": "tea"})
            assert placed.json() == {"name": "shops/1/orders/ann", "item": "tea"}
            assert (await client.post("/v1/shops/1/orders", json={"itm": "tea"})).status_code == 400


async def said(process: Process, *starts: str) -> dict[str, str]:
    """Lines of the process from here on, up to one for each start."""
    assert process.stdout is not None
    found: dict[str, str] = {}
    while len(found) < len(starts):
        line = (await process.stdout.readline()).decode()
        assert line, "it has ended"
        found |= {start: line for start in starts if line.startswith(start)}
    return found


@asynccontextmanager
async def running(folder: Path, *arguments: str, program: str = "app.py") -> AsyncIterator[Process]:
    environment = {**os.environ, "PYTHONPATH": "gen:."}
    process = await asyncio.create_subprocess_exec(
        sys.executable, program, *arguments, cwd=folder, env=environment, stdout=PIPE
    )
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()
