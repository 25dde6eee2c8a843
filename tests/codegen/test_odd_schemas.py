"""Schemas that nobody wrote for this toolkit, with everything that protobuf allows: they generate, import and
route as they are. See `odd/`."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from codegen.runtime.transcoding.binding import Binding, codec_of
from codegen.runtime.transcoding.matcher import Matcher
from codegen.runtime.transcoding.route import Route
from codegen.runtime.transcoding.settings import HttpSettings
from tests.codegen.schemas import workspace
from tests.codegen.urls import wrong

HERE: Final = Path(__file__).parent / "odd"
MANY: Final = 1200


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("odd")
    workspace(folder, {"idl": HERE / "idl"})
    folder.joinpath("idl", "many").mkdir()
    folder.joinpath("idl", "many", "many.proto").write_text(_many(), "utf-8")
    folder.joinpath("buf.gen.yaml").write_bytes((HERE / "buf.gen.yaml").read_bytes())
    subprocess.run(["buf", "generate"], cwd=folder, check=True)
    added = [str(folder / "generated"), str(folder)]
    sys.path[:0] = added
    yield folder
    for path in added:
        sys.path.remove(path)


def _many() -> str:
    """One service with more than a thousand methods."""
    methods = "".join(
        f'  rpc Get{number}(Thing) returns (Thing) {{ option (google.api.http) = {{get: "/{path}"}}; }}\n'
        for number in range(MANY)
        for path in [f"many/{{name=things{number}/*}}" if number % 3 else f"many/things{number - 1}/me"]
    )
    return (
        'syntax = "proto3";\npackage many;\nimport "google/api/annotations.proto";\n'
        f"message Thing {{ string name = 1; }}\nservice Many {{\n{methods}}}\n"
    )


@pytest.fixture(scope="module")
def routes(generated: Path) -> tuple[Route, ...]:
    assert generated.is_dir()
    found: tuple[Route, ...] = importlib.import_module("odd_routes").ROUTES
    return found


def test_every_module_can_be_imported(generated: Path) -> None:
    paths = sorted((generated / "generated").rglob("*.py"))
    for path in paths:
        importlib.import_module(".".join(path.relative_to(generated / "generated").with_suffix("").parts))
    assert len(paths) == 19


def test_every_route_gets_its_urls_back(routes: tuple[Route, ...]) -> None:
    matcher, chance = Matcher(routes), random.Random(1)
    assert len(routes) == MANY + 16
    for _ in range(5):
        assert [problem for route in routes for problem in wrong(matcher, route, chance)] == []


def _decoded(routes: tuple[Route, ...], verb: str, path: str, body: bytes = b"") -> Any:
    """The request as JSON."""
    codec = codec_of(importlib.import_module("odd_descriptors").registry(), HttpSettings())
    url, _, query = path.partition("?")
    found = Matcher(routes).find(verb, url)
    assert found is not None
    assert found.route is not None
    binding = Binding(found.route, codec)
    message = binding.decode(found.segments, query.encode(), body, binary=False)
    return codec.loads(binding.request.to_json(message.to_binary()))


@pytest.mark.parametrize(
    ("verb", "path", "body", "request_json"),
    [
        (
            "GET",
            "/from/a%2Fb/-7/true?async=x",
            b"",
            {"from": "a/b", "class": "-7", "self": True, "async": "x"},
        ),
        ("POST", "/import/n", b'{"def_": "raise"}', {"import": {"None": "n", "def": "raise"}}),
        ("BREW", "/import/a/b:def?from=%C3%A4", b"", {"None": "import/a/b", "from": "ä"}),
        (
            "GET",
            "/v1/ELM/trees/1/branches/2/3",
            b"",
            {"kind": "ELM", "branch": {"branch": {"branch": {"name": "trees/1/branches/2/3"}}}},
        ),
        (
            "GET",
            "/v1/trees/2026-01-02T03:04:05Z/3.5s/a,b.c/-1.5/_-8",
            b"",
            {
                "at": "2026-01-02T03:04:05Z",
                "lasting": "3.500s",
                "mask": "a,b.c",
                "wrapped": -1.5,
                "data": "/+8=",
            },
        ),
        (
            "GET",
            "/v1/trees/0/-9:count?branch.number=1",
            b"",
            {"maybe": 0, "number": "-9", "branch": {"number": "1"}},
        ),
        ("PATCH", "/v1/leaves/1", b'{"kind": 1}', {"number": "1", "tree": {"kind": "ELM"}}),
        ("POST", "/v1/trees", b'{"a": [1, null]}', {"a": [1, None]}),
        ("GET", "/old/1/2", b"", {"id": 1, "page": {"number": 2}}),
        ("PUT", "/old/0", b'{"number": 5}', {"id": 0, "page": {"number": 5}}),
        ("PUT", "/old", b'{"id": 1, "line": [{"text": "t"}]}', {"id": 1, "line": [{"text": "t"}]}),
        ("GET", "/new/n/3?age=0&must=", b"", {"name": "n", "inner": {"count": "3"}, "age": 0, "must": ""}),
        ("POST", "/new/CLOSED_TWO?must=x", b"{}", {"closed": "CLOSED_TWO", "inner": {}, "must": "x"}),
        ("GET", "/newest/n?hidden.depth=2", b"", {"name": "n", "hidden": {"depth": 2}}),
        ("GET", "/many/things1/me", b"", {"name": "things1/me"}),
    ],
)
def test_requests_are_decoded(
    routes: tuple[Route, ...], verb: str, path: str, body: bytes, request_json: object
) -> None:
    assert _decoded(routes, verb, path, body) == request_json


def test_more_than_a_thousand_routes_are_generated_in_seconds(generated: Path, tmp_path: Path) -> None:
    command = ["buf", "generate", "--path", "idl/many", "--output", str(tmp_path)]
    start = time.monotonic()
    subprocess.run(command, cwd=generated, check=True)
    assert time.monotonic() - start < 10
    assert (tmp_path / "odd_routes" / "many_many.py").read_text("utf-8").count("Route(") == MANY
