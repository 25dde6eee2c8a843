"""What docs/clients.md shows runs as it stands there."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from pathlib import Path

from tests.client.test_messenger import PASSWORD, person
from tests.conftest import System

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"


async def test_the_example_answers_what_it_hears(system: System, tmp_path: Path) -> None:
    found = re.search(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    program = tmp_path / "bot.py"
    program.write_text(found[1].replace("http://127.0.0.1:8080", system.url), "utf-8")
    async with person(system.url) as ada:
        async with person(system.url) as echo:
            await echo.messenger.register("echo", PASSWORD)
            pair = ada.messenger.private(echo.messenger.me.id)  # type: ignore[union-attr]
        process = await asyncio.create_subprocess_exec(sys.executable, "-P", str(program), cwd=tmp_path)
        try:
            async with asyncio.timeout(60):
                while len(set(ada.texts(pair))) == len(ada.texts(pair)):  # until it is there
                    sent = await ada.messenger.send(pair, f"hello {len(ada.texts(pair))}")
                    with contextlib.suppress(TimeoutError):
                        await ada.until(pair, sent.seq + 1, seconds=1)
            assert ada.texts(pair)[-1] == ada.texts(pair)[-2]
        finally:
            process.terminate()
            await process.wait()
