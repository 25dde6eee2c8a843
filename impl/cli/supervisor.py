"""Children in stages: a stage starts together, and stages stop in the reverse order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from impl.cli.child import Child, Program, show_lines, spawn
from impl.cli.output import Output
from impl.cli.refusal import Refusal


class Supervisor:
    """Owns all children; leaving it stops them.

    Args:
        output: where progress and the children's lines go.
        hurry: once set, nothing is waited for any more: what still runs is killed.
    """

    def __init__(self, output: Output, hurry: asyncio.Event) -> None:
        self._output = output
        self._hurry = hurry
        self._stages: list[list[Child]] = []
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        """Starts nothing yet."""
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops every child, last stage first; whatever ended the block is raised as it was."""
        for stage in reversed(self._stages):
            await asyncio.gather(*(child.stop(self._hurry) for child in stage))
        # The group would wrap what the block raises; it only has to see a cancellation, which may be its own.
        cancelled = isinstance(error, asyncio.CancelledError)
        await self._tasks.__aexit__(*((kind, error, trace) if cancelled else (None, None, None)))

    async def start(self, *stages: Sequence[Program]) -> None:
        """Starts the children of all stages at once and returns when all are ready.

        Raises:
            Refusal: one of them cannot be started.
        """
        started = [[Child(program, self._output) for program in stage] for stage in stages]
        self._stages += started
        children = [child for stage in started for child in stage]
        for child in children:
            self._tasks.create_task(child.run(), name=child.name)
        readiness = [asyncio.create_task(child.ready()) for child in children]
        try:
            await asyncio.gather(*readiness)
        finally:
            for waiter in readiness:
                waiter.cancel()

    async def complete(self, program: Program) -> None:
        """Runs a program to its end.

        Raises:
            Refusal: it failed; it has said why.
        """
        process = await spawn([*program.command()], program.environment)
        try:
            await show_lines(process, program.name, self._output)
            code = await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if code:
            raise Refusal(f"{program.name} failed (exit code {code}); the reason stands above")
