"""A proxy between clients and the real system that does to their traffic what networks do, and worse.

Frames of sockets are dropped, delayed, overtaken, repeated, truncated and cut off in the middle, and
connections closed with any code; HTTP requests do not arrive or arrive twice, answers are lost, delayed or
truncated, or are errors. Frames are told apart but not read, so it fits any schema. What a client shows
behind it must be exact all the same, at the latest after the next session has begun: TCP loses no frames
within one, as this does.

As a process, for clients of any language: `python -m tests.hostile --help`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

import httpx

CLOSE_CODES = (1000, 1001, 1011, 1012, 4000, 4401, 4408, 4409, 4503, 4999)
"""Codes of the schema after which clients come back, and some that it does not have."""
_CONNECTION = "/v1/connection"
_CONTROL = "/-/"
_DATA = frozenset({0x0, 0x1, 0x2})
_CLOSE = 0x8


@dataclass
class Faults:
    """Probabilities, for each frame or each HTTP call."""

    seed: int = 0
    drop: float = 0.0
    """A frame is lost."""
    delay: float = 0.0
    """A frame, and all behind it, come late."""
    overtake: float = 0.0
    """A frame comes after the next ones."""
    repeat: float = 0.0
    """A frame comes twice."""
    truncate: float = 0.0
    """A frame of the server lacks its end."""
    cut: float = 0.0
    """The connection ends within a frame."""
    close: float = 0.0
    """The connection is closed with one of `closes`."""
    unsent: float = 0.0
    """An HTTP request does not arrive."""
    lost: float = 0.0
    """The answer to an HTTP request does not arrive."""
    twice: float = 0.0
    """An HTTP request arrives twice."""
    late: float = 0.0
    """An HTTP answer comes late."""
    short: float = 0.0
    """An HTTP answer lacks its end."""
    failed: float = 0.0
    """An HTTP request is answered with 502, 503 or 429."""
    longest: float = 0.3
    """Longest delay in seconds."""
    closes: Sequence[int] = CLOSE_CODES
    paths: str = "/v1/"
    """Only HTTP calls to paths that begin so meet faults …"""
    spared: Sequence[str] = ("/v1/auth/register", "/v1/auth/login")
    """… but not these, for no client may repeat them by itself."""

    @classmethod
    def all(cls, share: float, seed: int) -> Faults:
        """Every fault with the same probability; those that end a connection with a tenth of it."""
        names = ("drop", "delay", "overtake", "repeat", "unsent", "lost", "twice", "late", "short", "failed")
        rare = ("truncate", "cut", "close")
        return cls(seed=seed, **dict.fromkeys(names, share), **dict.fromkeys(rare, share / 10))  # type: ignore[arg-type]


class Frame(NamedTuple):
    """One WebSocket frame, masked as it came."""

    first: int
    mask: bytes
    payload: bytes

    @property
    def opcode(self) -> int:
        return self.first & 0x0F

    def written(self) -> bytes:
        size = len(self.payload)
        masked = 0x80 if self.mask else 0
        if size < 126:
            head = struct.pack("!BB", self.first, masked | size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", self.first, masked | 126, size)
        else:
            head = struct.pack("!BBQ", self.first, masked | 127, size)
        return head + self.mask + self.payload


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """The next frame.

    Raises:
        IncompleteReadError: the stream has ended.
    """
    first, second = await reader.readexactly(2)
    size = second & 0x7F
    if size == 126:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
    elif size == 127:
        (size,) = struct.unpack("!Q", await reader.readexactly(8))
    mask = await reader.readexactly(4) if second & 0x80 else b""
    return Frame(first, mask, await reader.readexactly(size))


class Hostile:
    """The proxy.

    Args:
        upstream: `http://host:port` of a gateway. Addresses of sockets are learned from its answers.
        faults: how bad it is.
    """

    def __init__(self, upstream: str, faults: Faults) -> None:
        self.faults = faults
        self.counts: Counter[str] = Counter()
        """Faults by name that have happened."""
        self.calm = False
        """Whether nothing bad happens any more."""
        self.url = ""
        self._upstream = upstream.rstrip("/")
        self._random = random.Random(faults.seed)
        self._http = httpx.AsyncClient(timeout=30, trust_env=False)
        self._connections: set[asyncio.Task[None]] = set()
        self._links: set[Link] = set()
        self._stopping = False

    def strikes(self, fault: str) -> bool:
        """Whether a fault happens now."""
        happens = not self.calm and self._random.random() < getattr(self.faults, fault)
        self.counts[fault] += happens
        return happens

    def pause(self) -> float:
        """A delay."""
        return self._random.uniform(0, self.faults.longest)

    def some(self, size: int) -> int:
        """Less than a size."""
        return self._random.randrange(max(1, size))

    def close_code(self) -> int:
        """One of the close codes."""
        return self._random.choice(self.faults.closes)

    def close_all(self, code: int) -> None:
        """Close every socket with a code, now."""
        for link in list(self._links):
            link.close(code)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a client."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, httpx.HTTPError, EOFError):
            pass
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def stop(self) -> None:
        """End all connections."""
        self._stopping = True
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._http.aclose()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            start, *lines = head[:-4].decode("latin-1").split("\r\n")
            verb, target, _ = start.split(" ", 2)
            headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines)}
            if headers.get("upgrade", "").lower() == "websocket":
                await self._socket(head, target, reader, writer)
                return
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            if target.startswith(_CONTROL):
                await self._control(target, writer)
            else:
                await self._call(Call(verb, target, headers, body), writer)

    async def _control(self, target: str, writer: asyncio.StreamWriter) -> None:
        self.calm = self.calm or target == f"{_CONTROL}calm"
        body = json.dumps({"calm": self.calm, "counts": self.counts}).encode()
        await _answer(writer, 200, {"content-type": "application/json"}, body)

    async def _call(self, call: Call, writer: asyncio.StreamWriter) -> None:
        bad = call.target.startswith(self.faults.paths) and not call.target.startswith(
            tuple(self.faults.spared)
        )
        strikes: Callable[[str], bool] = self.strikes if bad else lambda _: False
        if strikes("unsent"):
            raise EOFError
        if strikes("failed"):
            status = self._random.choice((429, 502, 503))
            await _answer(writer, status, {"retry-after": "0"} if status == 429 else {}, b"not now")
            return
        if strikes("twice"):
            await self._forward(call)
        response = await self._forward(call)
        if strikes("lost"):
            raise EOFError
        if strikes("late"):
            await asyncio.sleep(self.pause())
        short = self.some(len(response.content)) if strikes("short") else None
        headers = {"content-type": response.headers.get("content-type", "application/octet-stream")}
        headers |= {name: response.headers[name] for name in ("retry-after",) if name in response.headers}
        await _answer(writer, response.status_code, headers, self._body(call, response), short)

    async def _forward(self, call: Call) -> httpx.Response:
        kept = {n: v for n, v in call.headers.items() if n not in {"host", "connection", "accept-encoding"}}
        return await self._http.request(
            call.verb, self._upstream + call.target, headers=kept, content=call.body
        )

    def _body(self, call: Call, response: httpx.Response) -> bytes:
        """The body; clients are led here with their sockets too."""
        if response.status_code != 200 or urlsplit(call.target).path != _CONNECTION:
            return response.content
        url = urlsplit(response.json()["url"])
        here = f"ws://{urlsplit(self.url).netloc}{url.path}?upstream={quote(url.netloc, safe='')}"
        return json.dumps({"url": here}).encode()

    async def _socket(
        self, head: bytes, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        host, _, port = parse_qs(urlsplit(target).query)["upstream"][0].rpartition(":")
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        link = Link(self, writer, up_writer)
        self._links.add(link)
        try:
            up_writer.write(head)
            writer.write(await up_reader.readuntil(b"\r\n\r\n"))
            await link.run(reader, up_reader)
        finally:
            self._links.discard(link)
            up_writer.transport.abort()


class Call(NamedTuple):
    """One HTTP request."""

    verb: str
    target: str
    headers: dict[str, str]
    body: bytes


class Link:
    """One socket, client on one side and server on the other.

    The first frame of either side is never lost nor changed, for no TCP connection loses its beginning.
    """

    def __init__(self, hostile: Hostile, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._hostile = hostile
        self._client = client
        self._server = server

    async def run(self, client: asyncio.StreamReader, server: asyncio.StreamReader) -> None:
        """Carry frames until either side ends."""
        both = [
            asyncio.create_task(self._pump(client, self._server, downward=False)),
            asyncio.create_task(self._pump(server, self._client, downward=True)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    def close(self, code: int) -> None:
        """Close it with a code, as seen by the client."""
        self._client.write(Frame(0x80 | _CLOSE, b"", struct.pack("!H", code) + b"hostile").written())
        self._client.close()
        self._server.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, downward: bool
    ) -> None:
        held: list[Frame] = []
        first = True
        while True:
            frame = await read_frame(reader)
            if frame.opcode not in _DATA:
                writer.write(frame.written())
                continue
            if self._ended(writer, frame, downward=downward):
                return
            if self._hostile.strikes("delay"):
                await asyncio.sleep(self._hostile.pause())
            out = [frame] if first else self._changed(frame, held, downward=downward)
            first = False
            writer.write(b"".join(each.written() for each in out))
            await writer.drain()

    def _changed(self, frame: Frame, held: list[Frame], *, downward: bool) -> list[Frame]:
        """What comes out when a frame goes in."""
        hostile = self._hostile
        if hostile.strikes("drop"):
            return []
        if hostile.strikes("overtake"):
            held.append(frame)
            return []
        if downward and frame.payload and hostile.strikes("truncate"):
            frame = frame._replace(payload=frame.payload[: hostile.some(len(frame.payload))])
        out = [frame, *held, *([frame] if hostile.strikes("repeat") else [])]
        held.clear()
        return out

    def _ended(self, writer: asyncio.StreamWriter, frame: Frame, *, downward: bool) -> bool:
        """Whether the connection ends here."""
        if self._hostile.strikes("cut"):
            written = frame.written()
            writer.write(written[: self._hostile.some(len(written))])
            return True
        if downward and self._hostile.strikes("close"):
            self.close(self._hostile.close_code())
            return True
        return False


async def _answer(
    writer: asyncio.StreamWriter, status: int, headers: dict[str, str], body: bytes, short: int | None = None
) -> None:
    lines = [f"HTTP/1.1 {status} Hostile", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body[:short])
    await writer.drain()
    if short is not None:
        raise EOFError


@asynccontextmanager
async def hostile(upstream: str, faults: Faults, port: int = 0) -> AsyncIterator[Hostile]:
    """A running proxy; its `url` is where clients go."""
    proxy = Hostile(upstream, faults)
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", port)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.hostile",
        description="Prints its own address as the first line and runs until it is terminated. POST or GET "
        "/-/calm ends all faults, /-/counts says how often each has happened.",
    )
    parser.add_argument("upstream", help="http://host:port of a gateway; sockets are found through it")
    parser.add_argument("--port", type=int, default=0, help="to listen on; 0 means any")
    parser.add_argument("--all", type=float, metavar="P", help="probability of every fault (ends: a tenth)")
    parser.add_argument("--closes", type=int, nargs="+", default=CLOSE_CODES, help="close codes to use")
    for each in fields(Faults):
        if each.type in {"float", "int"}:
            kind = int if each.type == "int" else float
            parser.add_argument(f"--{each.name}", type=kind, default=None, metavar="N")
    return parser


def faults_of(options: argparse.Namespace) -> Faults:
    """The faults that a command line asks for."""
    made = Faults() if options.all is None else Faults.all(options.all, options.seed or 0)
    for each in fields(Faults):
        value = getattr(options, each.name, None)
        if value is not None:
            setattr(made, each.name, value)
    return made


async def main(arguments: Sequence[str]) -> None:
    """Runs until SIGTERM or SIGINT."""
    options = _parser().parse_args(arguments)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with hostile(options.upstream, faults_of(options), options.port) as proxy:
        sys.stdout.write(f"{proxy.url}\n")
        sys.stdout.flush()
        await stop.wait()
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(f"{json.dumps(proxy.counts)}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
