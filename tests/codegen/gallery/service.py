"""The gallery, implemented: small, kept in memory, and quick to say what it was asked."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

from google.api import httpbody_pb2
from google.protobuf import empty_pb2
from google.rpc import code_pb2
from idiom.v1 import reason_errors as reasons

from codegen.runtime.context import Context
from codegen.runtime.errors import Error, Reason, code_name
from tests.codegen.gallery.generated import generated

PART = 1000
"""Bytes of a part of a download."""


class Gallery:
    """Paintings by name, pictures by name, and what came in."""

    def __init__(self) -> None:
        self.pb = generated().pb
        self.paintings: dict[str, Any] = {}
        self.images: dict[str, tuple[str, bytes]] = {}
        self.asked: list[Any] = []
        """Requests of unary methods, as they came."""
        self.lingering = asyncio.Event()
        """Set while a `Watch` lingers."""
        self.left = asyncio.Event()
        """Set when a stream ended before it was done: its caller went away."""

    async def get_painting(self, request: Any, _context: Context) -> Any:
        """The painting, or NOT_FOUND."""
        self.asked.append(request)
        return self._painting(request.name)

    async def create_painting(self, request: Any, context: Context) -> Any:
        """Names it, and says where it is."""
        self.asked.append(request)
        painting = self.pb.Painting()
        painting.CopyFrom(request.painting)
        number = request.painting_id or str(len(self.paintings) + 1)
        painting.name = f"{request.parent}/paintings/{number}"
        if painting.name in self.paintings:
            raise Error(Reason("TAKEN", "gallery", code_pb2.ALREADY_EXISTS), "there is one already")
        context.response_metadata["location"] = f"/v1/{painting.name}"
        return self._hung(painting)

    async def update_painting(self, request: Any, _context: Context) -> Any:
        """Changes what the mask names; everything without one."""
        self.asked.append(request)
        old = self._painting(request.painting.name)
        self._check_etag(old, request.painting.etag)
        new = self.pb.Painting()
        new.CopyFrom(old)
        if request.update_mask.paths:
            request.update_mask.MergeMessage(request.painting, new, replace_repeated_field=True)
        else:
            new.CopyFrom(request.painting)
        return self._hung(new)

    async def delete_painting(self, request: Any, _context: Context) -> Any:
        """Takes it down."""
        self.asked.append(request)
        self._check_etag(self._painting(request.name), request.etag)
        del self.paintings[request.name]
        return empty_pb2.Empty()

    async def list_titles(self, request: Any, _context: Context) -> Any:
        """Titles of the room's paintings."""
        self.asked.append(request)
        inside = [each for name, each in self.paintings.items() if name.startswith(f"{request.parent}/")]
        return self.pb.ListTitlesResponse(titles=[each.title for each in inside][: request.page_size or None])

    async def get_image(self, request: Any, _context: Context) -> Any:
        """The picture, or NOT_FOUND."""
        self.asked.append(request)
        kind, data = self._image(request.name)
        return _body(kind, data)

    async def put_image(self, request: Any, _context: Context) -> Any:
        """Keeps the picture; the answer's title is its type, its price its length."""
        self.asked.append(request)
        self.images[request.name] = (request.image.content_type, request.image.data)
        return self.pb.Painting(
            name=request.name, title=request.image.content_type, price=len(request.image.data)
        )

    async def mirror(self, request: Any, _context: Context) -> Any:
        """The same."""
        self.asked.append(request)
        return request

    async def watch(self, request: Any, _context: Context) -> AsyncIterator[Any]:
        """Events 'event N' from `after` + 1 on."""
        self.asked.append(request)
        try:
            for number in range(1, (request.count or 3) + 1):
                yield self.pb.Event(id=request.after + number, text=f"event {request.after + number}")
            if request.fail:
                raise Error(_reason(request.fail, ""), "as asked")
            if request.linger:
                self.lingering.set()
                await asyncio.Event().wait()
        except (asyncio.CancelledError, GeneratorExit):
            self.left.set()
            raise

    async def download(self, request: Any, _context: Context) -> AsyncIterator[Any]:
        """The picture in parts of PART bytes; only the first says its type."""
        kind, data = self._image(request.name)
        try:
            for start in range(0, max(1, len(data)), PART):
                yield _body("" if start else kind, data[start : start + PART])
        except (asyncio.CancelledError, GeneratorExit):
            self.left.set()
            raise

    async def record(self, requests: AsyncIterator[Any], _context: Context) -> Any:
        """Counts; an event whose text is 'stop' ends it early, one whose text is 'fail' fails."""
        texts = []
        async for event in requests:
            texts.append(event.text)
            if event.text == "fail":
                raise Error(_reason(code_pb2.FAILED_PRECONDITION, ""), "as asked")
            if event.text == "stop":
                break
        return self.pb.RecordResponse(count=len(texts), text="".join(texts))

    async def upload(self, requests: AsyncIterator[Any], _context: Context) -> Any:
        """Keeps the picture; the answer's text is the SHA-256 of all parts."""
        count, name, kind, data = 0, "", "", hashlib.sha256()
        size = 0
        async for part in requests:
            count, name, kind = count + 1, name or part.name, kind or part.image.content_type
            size += len(part.image.data)
            data.update(part.image.data)
        return self.pb.RecordResponse(count=count, text=f"{kind} {data.hexdigest()}", size=size, name=name)

    async def talk(self, requests: AsyncIterator[Any], _context: Context) -> AsyncIterator[Any]:
        """Every event reversed; 'fail' fails, 'bye' ends, 'twice' is answered twice."""
        try:
            async for event in requests:
                if event.text == "fail":
                    raise Error(_reason(code_pb2.ABORTED, ""), "as asked")
                if event.text == "bye":
                    return
                for _ in range(2 if event.text == "twice" else 1):
                    yield self.pb.Event(id=event.id, text=event.text[::-1], painting=event.painting)
        except (asyncio.CancelledError, GeneratorExit):
            self.left.set()
            raise

    async def fail(self, request: Any, _context: Context) -> Any:
        """Fails, unless the code is OK; code -1 is a defect."""
        self.asked.append(request)
        if request.code == -1:
            raise ZeroDivisionError("a secret")
        if request.code:
            after = request.retry_after_ms / 1000 if request.retry_after_ms else None
            raise Error(
                _reason(request.code, request.reason),
                request.message,
                retry_after=after,
                metadata={"asked": "true"},
            )
        return empty_pb2.Empty()

    async def metadata(self, request: Any, context: Context) -> Any:
        """Says what it heard."""
        for key, value in request.answer.items():
            context.response_metadata[key] = value if key.endswith("-bin") else value.decode()
        answer = self.pb.MetadataResponse()
        for key, heard in context.metadata.items():
            answer.heard[key] = heard if isinstance(heard, bytes) else heard.encode()
        return answer

    def _painting(self, name: str) -> Any:
        if name not in self.paintings:
            raise Error(Reason("NO_PAINTING", "gallery", code_pb2.NOT_FOUND), f"there is no {name}")
        return self.paintings[name]

    def _image(self, name: str) -> tuple[str, bytes]:
        if name not in self.images:
            raise Error(Reason("NO_IMAGE", "gallery", code_pb2.NOT_FOUND), f"there is no picture of {name}")
        return self.images[name]

    def _hung(self, painting: Any) -> Any:
        painting.etag = ""
        plain = painting.SerializeToString(deterministic=True)
        painting.etag = hashlib.sha256(plain).hexdigest()[:12]
        self.paintings[painting.name] = painting
        return painting

    def _check_etag(self, painting: Any, etag: str) -> None:
        if etag and etag != painting.etag:
            raise Error(reasons.PRECONDITION_FAILED, "it has changed since")


def _reason(code: int, name: str) -> Reason:
    return Reason(name or code_name(code), "gallery", code)


def _body(kind: str, data: bytes) -> Any:
    return httpbody_pb2.HttpBody(content_type=kind, data=data)
