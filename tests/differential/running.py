"""Sends every request to both sides, and counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from tests.differential import envoy, ours
from tests.differential.cases import Case
from tests.differential.differences import DIFFERENCES
from tests.differential.generated import generated
from tests.differential.outcomes import Outcome, outcome, same
from tests.differential.upstream import REQUEST_ID, Upstream, upstream
from tests.differential.wire import Connections

AT_A_TIME = 8


@dataclass(slots=True)
class Pair:
    """Both outcomes of one request."""

    case: Case
    ours: Outcome
    theirs: Outcome

    def __str__(self) -> str:
        """All that is needed to look into it."""
        request = self.case.request
        sides = "\n".join(
            f"  {name:6} {each}" for name, each in (("ours", self.ours), ("Envoy", self.theirs))
        )
        return f"{request.verb} {request.target} {request.body!r} {sorted(self.case.tags)}\n{sides}"


@dataclass(slots=True)
class Tally:
    """What all requests came to."""

    total: int = 0
    tags: Counter[str] = field(default_factory=Counter)
    bindings: Counter[str] = field(default_factory=Counter)
    """Valid requests that reached their binding's method on both sides."""
    explained: Counter[str] = field(default_factory=Counter)
    unexplained: list[Pair] = field(default_factory=list)

    def add(self, pair: Pair) -> None:
        """Counts one."""
        case = pair.case
        self.total += 1
        self.tags.update(case.tags)
        if case.valid and case.route and case.route.method.name == pair.ours.method == pair.theirs.method:
            self.bindings[f"{case.route.verb} {case.route.template}"] += 1
        if same(case, pair.ours, pair.theirs):
            return
        for difference in DIFFERENCES:
            if difference(case, pair.ours, pair.theirs):
                self.explained[difference.__name__] += 1
                return
        self.unexplained.append(pair)

    def table(self) -> str:
        """How often each difference explained something."""
        lines = [f"{count:6} {name}" for name, count in self.explained.most_common()]
        different = self.explained.total() + len(self.unexplained)
        lines += [f"{len(self.unexplained):6} not explained", f"{self.total - different:6} equal"]
        return "\n".join([*lines, f"{self.total:6} in all"])


class Sides:
    """Both transcoders before one service."""

    def __init__(self, service: Upstream, doors: Mapping[tuple[str, bool], Connections]) -> None:
        self._service = service
        self._doors = doors
        self._count = 0

    async def compare(self, cases: Sequence[Case]) -> Tally:
        """Sends all, some at a time."""
        tally = Tally()
        queue = iter(cases)

        async def work() -> None:
            for case in queue:
                tally.add(await self.pair(case))

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_A_TIME):
                group.create_task(work())
        return tally

    async def pair(self, case: Case) -> Pair:
        """Sends one request to both."""
        return Pair(case, await self._outcome("ours", case), await self._outcome("envoy", case))

    async def _outcome(self, side: str, case: Case) -> Outcome:
        self._count += 1
        key = f"{side}-{self._count}"
        self._service.answers[key] = case.answer
        response = await self._doors[side, case.switched].send(case.request, {REQUEST_ID: key})
        del self._service.answers[key]
        return outcome(response, self._service.heard.pop(key, None))


@asynccontextmanager
async def sides(make: ours.Make | None = None) -> AsyncIterator[Sides]:
    """Runs everything.

    Args:
        make: makes our dispatcher; as a deployment does, if not given.
    """
    image = generated().image
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(upstream())
        theirs = await stack.enter_async_context(
            envoy.envoy(image, service.port, {"strict": envoy.STRICT, "switched": envoy.SWITCHED})
        )
        own = await stack.enter_async_context(
            ours.ours(service.port, {"strict": ours.STRICT, "switched": ours.SWITCHED}, make)
        )
        doors = {}
        for side, ports in (("ours", own), ("envoy", theirs)):
            for name, port in ports.items():
                connections = await stack.enter_async_context(Connections(port))
                doors[side, name == "switched"] = connections
        yield Sides(service, doors)


def missing(counts: Mapping[str, int], names: Iterable[str], least: int) -> dict[str, int]:
    """Names that were hit too seldom."""
    return {name: counts.get(name, 0) for name in names if counts.get(name, 0) < least}
