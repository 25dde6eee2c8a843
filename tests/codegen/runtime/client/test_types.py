"""Generated clients are typed: what users write passes mypy in its strict form, and mistakes do not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.codegen.gallery.generated import generated
from tests.codegen.schemas import ROOT

USER = """
from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

from gallery.v1 import gallery_pb2
from gallery.v1.gallery_http import GalleryServiceHttp, GalleryServiceHttpSync
from google.api import httpbody_pb2

from codegen.runtime.client.channel import HttpOptions
from codegen.runtime.client.http import HttpClient
from codegen.runtime.client.http_sync import HttpSyncClient
from codegen.runtime.client.kept import Kept, KeptSync


async def with_asyncio(channel: HttpClient) -> None:
    client = GalleryServiceHttp(channel)
    painting: gallery_pb2.Painting = await client.get_painting(gallery_pb2.GetPaintingRequest())
    picture: httpbody_pb2.HttpBody = await client.get_image(gallery_pb2.GetPaintingRequest())
    async with contextlib.aclosing(
        client.watch(gallery_pb2.WatchRequest(), HttpOptions(timeout=1))
    ) as events:
        async for event in events:
            number: int = event.id
    recorded: gallery_pb2.RecordResponse = await client.record([gallery_pb2.Event()])
    async for event in client.talk(_events()):
        text: str = event.text
    kept = Kept(client.get_painting)
    painting = await kept(gallery_pb2.GetPaintingRequest())


def without(channel: HttpSyncClient) -> None:
    client = GalleryServiceHttpSync(channel)
    painting: gallery_pb2.Painting = client.get_painting(gallery_pb2.GetPaintingRequest())
    with contextlib.closing(client.download(gallery_pb2.GetPaintingRequest())) as parts:
        data: bytes = b"".join(part.data for part in parts)
    recorded: gallery_pb2.RecordResponse = client.upload(_parts())
    for event in client.talk([gallery_pb2.Event()]):
        text: str = event.text
    kept = KeptSync(client.get_painting)
    painting = kept(gallery_pb2.GetPaintingRequest())


async def _events() -> AsyncIterator[gallery_pb2.Event]:
    yield gallery_pb2.Event()


def _parts() -> Iterator[gallery_pb2.PutImageRequest]:
    yield gallery_pb2.PutImageRequest()
"""


def _checked(source: str, folder: Path) -> subprocess.CompletedProcess[str]:
    folder.joinpath("user.py").write_text(source, "utf-8")
    made = generated().folder / "generated"
    options = ["--strict", "--namespace-packages", "--explicit-package-bases", "--follow-imports=silent"]
    cache = f"--cache-dir={ROOT / '.mypy_cache' / 'gallery'}"
    path = os.pathsep.join(map(str, (made, ROOT, ROOT / "codegen" / "gen")))
    return subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--config-file=", "--ignore-missing-imports", cache, *options),
            *("user.py", str(made / "gallery" / "v1" / "gallery_http.py")),
        ],
        cwd=folder,
        env={"MYPYPATH": path, "PATH": ""},
        check=False,
        capture_output=True,
        text=True,
    )


def test_users_and_generated_clients_pass_mypy_strict(tmp_path: Path) -> None:
    result = _checked(USER, tmp_path)
    assert result.returncode == 0, result.stdout


def test_a_request_of_another_type_does_not(tmp_path: Path) -> None:
    source = USER.replace("client.record([gallery_pb2.Event()])", "client.record([gallery_pb2.Size()])")
    result = _checked(source, tmp_path)
    assert "gallery_pb2.Size" in result.stdout or '"Size"' in result.stdout
    assert result.returncode == 1
