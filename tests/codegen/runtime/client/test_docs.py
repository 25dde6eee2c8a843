"""What docs/clients.md shows of generated clients over HTTP runs as it stands there."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.codegen.gallery.generated import generated
from tests.codegen.gallery.served import served
from tests.codegen.schemas import ROOT

PAGE = ROOT / "docs" / "clients.md"


async def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (source,) = (block for block in blocks if "GalleryServiceHttp" in block)
    program: dict[str, Any] = {}
    painting = generated().pb.Painting(name="rooms/1/paintings/lilies", title="Lilies")
    exec(compile(source, str(PAGE), "exec"), program)  # noqa: S102 - the page is ours
    async with served() as gallery:
        gallery.gallery._hung(painting)
        await program["main"](gallery.url, gallery.token)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f'Lilies "{painting.etag}" ')
    assert said[1:4] == ["event 1", "event 2", "ylil"]
    assert said[4].startswith("400 ")
