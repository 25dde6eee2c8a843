"""Requests to connection gateways: one stream for each, opened when first used, never waited for long."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from idiom.v1.reason_errors import DEPENDENCY_UNAVAILABLE, OVERLOADED
from im.connect.v1.delivery_service_pb2 import DeliverRequest, DeliverResponse
from im.connect.v1.delivery_service_rpc import DeliveryServiceClient

from codegen.runtime.errors import Error
from codegen.runtime.grpc_client import CallOptions

LOG = logging.getLogger(__name__)

WINDOW = 64
"""Requests that wait to be sent to one gateway; more are given up."""
ANSWER_SECONDS = 1.0
"""Longest wait for the answer to one request."""
PAUSE = 0.05
"""Seconds before a request is sent once more, because its stream broke."""
PATIENCE = 2.0
"""Seconds for which a request is sent once more. A gateway that was started again takes sockets a moment
before it can be reached from here, and nobody else would tell its clients what they missed meanwhile."""


class Deliveries:
    """Delivers requests to gateways by name. An async context manager."""

    def __init__(self, client: DeliveryServiceClient) -> None:
        self._client = client
        self._streams: dict[str, DeliveryStream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._missed: dict[str, tuple[str, float]] = {}
        """Lives of gateways that cannot be reached, and since when, by name."""

    async def __aenter__(self) -> Self:
        """Opens nothing yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes all streams."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def deliver(self, instance: str, request: DeliverRequest) -> DeliverResponse | None:
        """The gateway's answer, or None if it was not heard in time: the gateway may get the request yet.

        Only the first request that cannot reach a gateway waits for it; the later ones fail at once until one
        gets through, or the gateway begins another life.

        Raises:
            Error: the gateway cannot be reached, or too many requests wait for it.
        """
        began = time.monotonic()
        patience = 0.0 if self._since(instance, request.boot_id) else PATIENCE
        while True:
            try:
                answer = await self._stream(instance).ask(request)
            except Error as error:
                if error.reason is OVERLOADED:
                    raise
                if time.monotonic() >= began + patience:
                    since = self._since(instance, request.boot_id) or began
                    self._missed[instance] = (request.boot_id, since)
                    raise
            else:
                self._missed.pop(instance, None)
                return answer
            await asyncio.sleep(PAUSE)

    def missed_for(self, instance: str, boot_id: str) -> float:
        """Seconds for which this life of a gateway cannot be reached; 0 if it can, or nobody tried."""
        since = self._since(instance, boot_id)
        return time.monotonic() - since if since else 0.0

    def _since(self, instance: str, boot_id: str) -> float | None:
        missed = self._missed.get(instance)
        return missed[1] if missed and missed[0] == boot_id else None

    def _stream(self, instance: str) -> DeliveryStream:
        if (stream := self._streams.get(instance)) is None:
            stream = self._streams[instance] = DeliveryStream(self._client, instance)
            task = asyncio.create_task(self._run(stream), name=f"deliver to {instance}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return stream

    async def _run(self, stream: DeliveryStream) -> None:
        try:
            await stream.run()
        except Exception:
            LOG.exception("the stream to %s failed", stream.instance)
        finally:
            del self._streams[stream.instance]


class DeliveryStream:
    """One stream to one gateway, from its first request to its end.

    While a gateway owes an answer for longer than it should, requests are sent without waiting for theirs, so
    that one slow gateway does not hold up the others; the next answer ends that.
    """

    def __init__(self, client: DeliveryServiceClient, instance: str) -> None:
        self.instance = instance
        self._client = client
        self._batches = itertools.count(1)
        self._queue: asyncio.Queue[DeliverRequest] = asyncio.Queue(WINDOW)
        self._owed: dict[int, asyncio.Future[DeliverResponse]] = {}
        self._slow = False

    async def ask(self, request: DeliverRequest) -> DeliverResponse | None:
        """The answer; None if it did not come in time.

        Raises:
            Error: the stream broke; OVERLOADED if too many requests wait already.
        """
        request.batch = next(self._batches)
        try:
            self._queue.put_nowait(request)
        except asyncio.QueueFull:
            raise Error(OVERLOADED, f"{WINDOW} requests wait for {self.instance}") from None
        return None if self._slow else await self._answer(request.batch)

    async def run(self) -> None:
        """Send and receive until the stream ends; who still waits for an answer gets the reason."""
        reason = Error(DEPENDENCY_UNAVAILABLE, "the stream has ended")
        responses = self._client.deliver(self._requests(), CallOptions(instance=self.instance))
        try:
            async for response in responses:
                self._settle(response)
        except Error as error:
            reason = error
        finally:
            for future in self._owed.values():
                if not future.done():
                    future.set_exception(reason)

    async def _answer(self, batch: int) -> DeliverResponse | None:
        future: asyncio.Future[DeliverResponse] = asyncio.get_running_loop().create_future()
        self._owed[batch] = future
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await future
        except TimeoutError:
            LOG.warning("%s is slow to answer", self.instance)
            self._slow = True
            return None
        finally:
            del self._owed[batch]

    async def _requests(self) -> AsyncIterator[DeliverRequest]:
        while True:
            yield await self._queue.get()

    def _settle(self, response: DeliverResponse) -> None:
        self._slow = False
        future = self._owed.get(response.batch)
        if future and not future.done():
            future.set_result(response)
