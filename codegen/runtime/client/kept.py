"""Answers that are kept, and asked for again only to hear that they still hold (RFC 9110, section 13.1.2)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from threading import Lock
from typing import Final, Generic, TypeVar

from google.protobuf.message import Message

from codegen.runtime.client.channel import NO_OPTIONS, Answer, HttpOptions
from codegen.runtime.client.http_status import NOT_MODIFIED, RefusalError

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)

MOST: Final = 128
"""Answers that are kept of one method."""


class Kept(Generic[Q, R]):
    """A method whose answers have entity tags.

    `painting = Kept(gallery.get_painting)`, then `await painting(request)`.

    Every call goes out; the server's answer to one whose answer has not changed is empty.

    Args:
        method: of a generated client.
        most: answers to keep; those that were asked for longest ago go first.
    """

    def __init__(self, method: Callable[[Q, HttpOptions], Awaitable[R]], most: int = MOST) -> None:
        self._method = method
        self._answers = _Answers[R](most)

    async def __call__(self, request: Q, options: HttpOptions = NO_OPTIONS) -> R:
        """The answer, the caller's own."""
        asking = _Asking(self._answers, request, options)
        try:
            return asking.fresh(await self._method(request, asking.options))
        except RefusalError as error:
            return asking.kept(error)


class KeptSync(Generic[Q, R]):
    """`Kept` without asyncio; threads may share it."""

    def __init__(self, method: Callable[[Q, HttpOptions], R], most: int = MOST) -> None:
        self._method = method
        self._answers = _Answers[R](most)

    def __call__(self, request: Q, options: HttpOptions = NO_OPTIONS) -> R:
        """The answer, the caller's own."""
        asking = _Asking(self._answers, request, options)
        try:
            return asking.fresh(self._method(request, asking.options))
        except RefusalError as error:
            return asking.kept(error)


class _Answers(Generic[R]):
    """Entity tags and answers by request."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._answers: OrderedDict[bytes, tuple[str, R]] = OrderedDict()
        self._lock = Lock()

    def find(self, key: bytes) -> tuple[str, R] | None:
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
            return self._answers.get(key)

    def keep(self, key: bytes, etag: str, response: R) -> None:
        with self._lock:
            self._answers.pop(key, None)
            if etag:
                self._answers[key] = etag, _copied(response)
            if len(self._answers) > self._most:
                self._answers.popitem(last=False)


class _Asking(Generic[R]):
    """One call."""

    def __init__(self, answers: _Answers[R], request: Message, options: HttpOptions) -> None:
        self._answers = answers
        self._key = request.SerializeToString(deterministic=True)
        self._known = answers.find(self._key)
        self._answer = options.answer or Answer()
        etag = self._known[0] if self._known else ""
        self.options = replace(options, answer=self._answer, if_none_match=etag)

    def fresh(self, response: R) -> R:
        self._answers.keep(self._key, self._answer.etag, response)
        return response

    def kept(self, error: RefusalError) -> R:
        if error.reason is not NOT_MODIFIED or self._known is None:
            raise error
        return _copied(self._known[1])


def _copied(message: R) -> R:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
