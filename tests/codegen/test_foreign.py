"""A schema that has nothing to do with any application, with names that Python does not like: it generates,
imports, type-checks and runs. See `foreign/`."""

from __future__ import annotations

import asyncio
import importlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from codegen.runtime.client.http import HttpClient
from codegen.runtime.codec import JsonCodec
from codegen.runtime.context import Wire
from codegen.runtime.discovery import Etcd, Instance, Instances, register
from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import CallOptions, Upstreams
from codegen.runtime.grpc_server import serve_grpc
from codegen.runtime.identity import Authenticator, ServiceTokens, UserTokens
from codegen.runtime.pipeline import Pipeline
from codegen.runtime.sockets import Endpoint, SocketConnection
from codegen.runtime.streams.consumer import ConsumerRunner
from codegen.runtime.streams.partitions import PartitionKeys, partition_of
from codegen.runtime.transcoding.dispatch import Dispatch
from codegen.runtime.transcoding.mount import mount
from tests import servers
from tests.codegen.schemas import ROOT, workspace

HERE = Path(__file__).parent / "foreign"
KEY = b"k" * 32


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("foreign")
    workspace(folder, {"idl": HERE / "idl"})
    for name in ("buf.gen.yaml", "user.py"):
        folder.joinpath(name).write_bytes((HERE / name).read_bytes())
    subprocess.run(["buf", "generate"], cwd=folder, check=True)
    added = [str(folder / "generated"), str(folder)]
    sys.path[:0] = added
    yield folder
    for path in added:
        sys.path.remove(path)


@pytest.fixture(scope="module")
def load(generated: Path) -> Callable[[str], ModuleType]:
    assert generated.is_dir()
    return importlib.import_module


class World:
    """The foreign depot behind gRPC, found through etcd."""

    def __init__(self, etcd: Etcd, pipeline: Pipeline, upstreams: Upstreams, json_codec: JsonCodec) -> None:
        self.etcd = etcd
        self.pipeline = pipeline
        self.upstreams = upstreams
        self.json = json_codec


@pytest.fixture
async def world(load: Callable[[str], ModuleType], etcd: servers.Etcd) -> AsyncIterator[World]:
    rpc, user = load("depot.v1.depot_rpc"), load("user")
    tokens = ServiceTokens(KEY, "depot")
    pipeline = Pipeline(Authenticator(UserTokens(KEY, 60), tokens))
    async with AsyncExitStack() as stack:
        discovery = await stack.enter_async_context(Etcd([etcd.endpoint], "/foreign"))
        served = serve_grpc("127.0.0.1:0", [(rpc.IMPORT, user.Depot())], pipeline, drain=1)
        port = await stack.enter_async_context(served)
        instance = Instance("depot", "depot-1", "boot", f"127.0.0.1:{port}", {})
        await stack.enter_async_context(register(discovery, instance, 5))
        instances = await stack.enter_async_context(Instances(discovery, "depot"))
        upstreams = await stack.enter_async_context(Upstreams([rpc.IMPORT], {"depot": instances}, tokens))
        codec = JsonCodec(load("depot.descriptors").registry())
        yield World(discovery, pipeline, upstreams, codec)


def test_every_generated_module_can_be_imported(generated: Path, load: Callable[[str], ModuleType]) -> None:
    modules = [path.relative_to(generated / "generated") for path in generated.glob("generated/**/*.py")]
    for module in modules:
        load(".".join(module.with_suffix("").parts))
    assert len(modules) == 12
    assert len(load("depot_routes").ROUTES) == 4
    assert load("depot.v1.depot_stream").NONE.groups == ("yield", "lambda")


def test_a_second_run_writes_the_same(generated: Path) -> None:
    def texts() -> dict[Path, bytes]:
        folders = (generated / "generated", generated / "depot_routes")
        paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return {path: path.read_bytes() for path in paths if "__pycache__" not in path.parts}

    before = texts()
    generated.joinpath("generated", "depot", "stale.py").touch()
    subprocess.run(["buf", "generate"], cwd=generated, check=True)
    assert texts() == before


def test_the_generated_code_and_its_users_pass_mypy_strict(generated: Path) -> None:
    path = [str(generated / "generated"), str(ROOT), str(ROOT / "codegen" / "gen")]
    options = ["--strict", "--namespace-packages", "--explicit-package-bases", "--follow-imports=silent"]
    ignored = [
        "--config-file=",
        "--ignore-missing-imports",
        f"--cache-dir={ROOT / '.mypy_cache' / 'foreign'}",
    ]
    typed = [
        f"generated/depot/v1/depot_{name}.py"
        for name in ("rpc", "http", "stream", "consumer", "socket", "errors")
    ]
    result = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *ignored, "user.py", *typed],
        cwd=generated,
        env={"MYPYPATH": ":".join(path), "PATH": ""},
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout


def _app(world: World, load: Callable[[str], ModuleType]) -> Any:
    app = importlib.import_module("fastapi").FastAPI()
    dispatch = Dispatch(
        [route for route in load("depot_routes").ROUTES if route.method.service == "depot.v1.Import"],
        registry=load("depot.descriptors").registry(),
        pipeline=world.pipeline,
        channel=world.upstreams,
    )
    mount(app, dispatch, {"openapi": "3.1.0", "info": {"title": "", "version": ""}, "paths": {}})
    return app


async def test_its_http_routes_are_served(world: World, load: Callable[[str], ModuleType]) -> None:
    transport = httpx.ASGITransport(_app(world, load))
    async with httpx.AsyncClient(transport=transport, base_url="http://depot") as client:
        found = await client.get("/v1/shelves/7/wood:import", params={"None": ["a", "b"], "self": "x"})
        assert (found.status_code, found.json()) == (
            200,
            {"import": "shelves/7", "from": "2", "class": "wood"},
        )
        same = await client.post("/v1/from", json={"from": "wood", "class": {"import": "shelves/7"}})
        assert same.json() == {"import": "shelves/7", "class": "wood"}
        body = await client.put("/v1/none", json={"from": "me"})
        assert body.json() == {"None": {"from": "me"}}
        refused = await client.get("/v1/shelves/7/w:import")
        assert refused.status_code == 400
        lost = await client.get("/v1/shelves/7/wood:import", params={"self": "lost"})
        assert (lost.status_code, lost.json()["details"][0]["reason"]) == (404, "None")


async def test_its_http_client_calls_those_routes(world: World, load: Callable[[str], ModuleType]) -> None:
    depot = load("depot.v1.depot_pb2")
    transport = httpx.ASGITransport(_app(world, load))
    async with HttpClient("http://depot", world.json.registry, transport=transport) as channel:
        client = load("depot.v1.depot_http").ImportHttp(channel)
        sent = getattr(depot, "from")(
            **{"from": "wood/?", "class": {"import": "shelves/7"}, "None": ["a", "b"]}
        )
        found = await client.from_(sent)
        wanted = {"import": "shelves/7", "from": 2, "class": "wood/?"}
        assert found == getattr(depot, "class")(**wanted)
        parcel = getattr(depot, "None")(**{"from": "me", "import": 1 << 60})
        assert (await client.none(getattr(depot, "import")(**{"None": parcel}))) == depot.self(
            **{"None": parcel}
        )
        sent.self = "lost"
        with pytest.raises(Error) as lost:
            await client.from_(sent)
        assert lost.value.reason == load("depot.v1.depot_errors").None_


async def test_its_stream_reaches_both_consumers(
    world: World, load: Callable[[str], ModuleType], redis: servers.Redis
) -> None:
    stream, consumers = load("depot.v1.depot_stream").NONE, load("depot.v1.depot_consumer")
    keeper = load("user").Keeper()
    instance = Instance("task", "task-1", "boot", "127.0.0.1:1", {})
    async with (
        Redis.from_url(redis.url) as client,
        Instances(world.etcd, "task") as instances,
        register(world.etcd, instance, 5) as lease,
        asyncio.TaskGroup() as tasks,
    ):
        sent = [_parcel(stream, owner, number) for number, owner in enumerate(["ann", "bob", "ann"], 1)]
        for parcel in sent:
            await _append(client, stream, parcel)
        runners = [
            ConsumerRunner(
                client,
                world.etcd,
                table,
                keeper,
                instance=instance,
                instances=instances,
                lease=lease,
                partitions=2,
            )
            for table in (consumers.SORTER, consumers.COPIER)
        ]
        running = [tasks.create_task(runner.run()) for runner in runners]
        while len(keeper.sorted) < len(sent) or len(keeper.copied) < len(sent):
            await keeper.arrived.wait()
            keeper.arrived.clear()
        for runner in runners:
            runner.stop()
        await asyncio.gather(*running)
    for delivered in (keeper.sorted, keeper.copied):
        mine = [getattr(d.event, "import") for d in delivered if getattr(d.event, "from") == "ann"]
        assert mine == [1, 3]


@pytest.mark.parametrize("kind", ["json", "proto"])
async def test_its_socket_frames_go_both_ways(
    world: World, load: Callable[[str], ModuleType], kind: str
) -> None:
    socket = load("depot.v1.depot_socket").WITH
    endpoint = Endpoint(socket, world.json, {}, close_seconds=1.0)
    handler = _Handler(endpoint, world)
    server = await endpoint.serve(handler, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"ws://127.0.0.1:{port}/v1/with"
    try:
        async with connect(url, subprotocols=[Subprotocol(f"depot.v1.{kind}")]) as client:
            frames = [
                {"from": {"requestId": "1", "import": {"from": "wood", "self": self}}}
                for self in ("", "lost")
            ]
            answers = []
            for frame in frames:
                await client.send(_written(world, socket.method.request, frame, kind))
                answers.append(_read(world, socket.method.response, await client.recv()))
    finally:
        server.close()
        await server.wait_closed()
    assert answers == [
        {"class": {"requestId": "1", "response": {"class": "wood"}}},
        {
            "None": {
                "requestId": "1",
                "code": "NOT_FOUND",
                "reason": "None",
                "message": "there is no such shelf",
            }
        },
    ]


class _Handler:
    """Answers frames that call, as any tier with a socket would."""

    def __init__(self, endpoint: Endpoint, world: World) -> None:
        self.endpoint = endpoint
        self.world = world

    async def __call__(self, connection: SocketConnection) -> None:
        calls = self.endpoint.calls
        async for data in connection:
            frame = connection.codec.read(data)
            request = calls.request(calls.kind(frame), frame)
            assert request is not None
            try:
                answer = calls.reply(request, await self._called(request))
            except Error as error:
                answer = calls.error(error, request.id)
            connection.offer(connection.codec.write(answer))

    async def _called(self, request: Any) -> Any:
        method = request.method
        context = self.world.pipeline.admit(method, {}, wire=Wire.SOCKET)
        options = CallOptions(timeout=context.remaining)
        return await self.world.upstreams.unary(method, request.message, method.response, options)


def _parcel(stream: Any, owner: str, number: int) -> Any:
    parcel = stream.message()
    setattr(parcel, stream.order_by, owner)
    setattr(parcel, stream.sequence, number)
    return parcel


async def _append(client: Redis, stream: Any, parcel: Any) -> None:
    keys = PartitionKeys(stream.name, partition_of(getattr(parcel, stream.order_by), stream.partitions))
    ordinal = await client.hincrby(keys.counters, "accepted", 1)
    await client.xadd(keys.stream, {"payload": parcel.SerializeToString(), "ordinal": ordinal})


def _written(world: World, frame: Any, content: Any, kind: str) -> str | bytes:
    text = json.dumps(content)
    return text if kind == "json" else world.json.type(frame.DESCRIPTOR.full_name).parse(text).to_binary()


def _read(world: World, frame: Any, data: str | bytes) -> Any:
    if isinstance(data, bytes):
        data = world.json.type(frame.DESCRIPTOR.full_name).to_json(data).decode()
    return json.loads(data)
