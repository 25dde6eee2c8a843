"""Requests byte by byte, and envelopes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import httpx
import orjson

from tests.codegen.gallery.served import Served
from tests.codegen.runtime.connect.peers import SERVICE

END = 2
"""Flag of Connect's last envelope."""
TRAILERS = 0x80
"""Flag of gRPC-Web's last envelope."""


async def post(
    served: Served, method: str, content: Any, kind: str = "application/json", **headers: str
) -> httpx.Response:
    """Calls a method; underscores in names of headers stand for dashes."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient() as client:
        return await client.post(
            f"{served.url}/{SERVICE}/{method}",
            content=content,
            headers={"content-type": kind, "accept-encoding": "identity", **given},
        )


async def get(served: Served, method: str, query: str, **headers: str) -> httpx.Response:
    """Calls a method by a query."""
    async with httpx.AsyncClient() as client:
        return await client.get(f"{served.url}/{SERVICE}/{method}?{query}", headers=headers)


def envelope(data: bytes, flags: int = 0) -> bytes:
    """A message as streams and gRPC-Web carry it."""
    return struct.pack(">BI", flags, len(data)) + data


def envelopes(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Flags and data of each."""
    while content:
        flags, size = struct.unpack(">BI", content[:5])
        assert len(content) >= 5 + size
        yield flags, content[5 : 5 + size]
        content = content[5 + size :]


def end_of(response: httpx.Response) -> Any:
    """What the last envelope of a Connect stream says."""
    assert response.status_code == 200
    flags, data = list(envelopes(response.content))[-1]
    assert flags == END
    return orjson.loads(data)


def trailers_of(response: httpx.Response) -> dict[str, str]:
    """What the last envelope of gRPC-Web says, or the headers of an answer without any."""
    assert response.status_code == 200
    if not response.content:
        return dict(response.headers)
    flags, data = list(envelopes(response.content))[-1]
    assert flags == TRAILERS
    lines = data.decode().removesuffix("\r\n").split("\r\n")
    return {name: value for name, _, value in (line.partition(": ") for line in lines)}


def reason_of(error: Any) -> str:
    """Reason of a Connect error in JSON."""
    assert set(error) == {"code", "message", "details"}
    info: str = error["details"][0]["debug"]["reason"]
    return info
