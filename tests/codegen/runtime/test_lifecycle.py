from __future__ import annotations

import asyncio

import pytest

from codegen.runtime.lifecycle import Ready, serve_until


async def test_a_server_is_ready_once_and_ends_when_it_is_stopped() -> None:
    stop, said = asyncio.Event(), []

    async def serve(begin: Ready) -> None:
        begin()
        stop.set()
        await stop.wait()
        said.append("drained")

    await serve_until(stop, lambda: said.append("ready"), serve)
    assert said == ["ready", "drained"]


async def test_a_start_that_waits_can_be_stopped() -> None:
    stop = asyncio.Event()

    async def serve(_: Ready) -> None:
        stop.set()
        await asyncio.Event().wait()

    await serve_until(stop, lambda: None, serve)


async def test_a_server_that_loses_a_part_does_not_end_as_if_it_was_stopped() -> None:
    async def serve(begin: Ready) -> None:
        begin()
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        await serve_until(asyncio.Event(), lambda: None, serve)


async def test_a_server_that_fails_says_why() -> None:
    async def serve(_: Ready) -> None:
        raise OSError("the port is taken")

    with pytest.raises(ExceptionGroup) as caught:
        await serve_until(asyncio.Event(), lambda: None, serve)
    assert caught.group_contains(OSError, match="the port is taken")
