"""Calls that stream both ways, without asyncio."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterator

from google.protobuf.message import Message
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, reconnect

from codegen.runtime.client.calling import RequestsError
from codegen.runtime.client.talk import CLOSE_SECONDS, END, LEFT, Talk, lowered


class _Direct(reconnect):
    """Follows no redirects."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def talked(
    talk: Talk, token: str, first: Message | None, requests: Iterator[Message]
) -> Generator[bytes, None, None]:
    """Responses in binary form, while a thread sends the requests.

    Args:
        talk: the call.
        token: bearer token; empty without one.
        first: request that was taken already.
        requests: the others. If they never end, neither does their thread, though it keeps no process alive.
    """
    with talk.translated(), _Direct(talk.url, **talk.connection(token)) as connection:
        if connection.response is not None:
            talk.opened(lowered(connection.response.headers.raw_items()))
        sender = _Sender(connection, talk, first, requests)
        sender.start()
        try:
            while True:
                yield talk.read(_received(connection, sender, talk))
        finally:
            connection.close(LEFT)
            sender.join(CLOSE_SECONDS)


def _received(connection: ClientConnection, sender: _Sender, talk: Talk) -> str | bytes:
    """The next frame; raises what the requests raise, which ends the connection."""
    try:
        return connection.recv(talk.left())
    except ConnectionClosed:
        if sender.failure is not None:
            raise RequestsError(sender.failure) from None
        raise


class _Sender(threading.Thread):
    def __init__(
        self, connection: ClientConnection, talk: Talk, first: Message | None, requests: Iterator[Message]
    ) -> None:
        super().__init__(daemon=True, name="requests of a stream")
        self.failure: Exception | None = None
        self._connection = connection
        self._talk = talk
        self._first = first
        self._requests = requests

    def run(self) -> None:
        with contextlib.suppress(ConnectionClosed):  # who receives is told
            try:
                self._send()
            except ConnectionClosed:
                raise
            except Exception as failure:  # noqa: BLE001 - it is raised where responses are received
                self.failure = failure
                self._connection.close(LEFT)

    def _send(self) -> None:
        if self._first is not None:
            self._connection.send(self._talk.write(self._first))
        for request in self._requests:
            self._connection.send(self._talk.write(request))
        self._connection.send(END)
