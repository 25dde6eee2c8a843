"""Names in generated Python."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Sequence

from protobuf import DescEnum, DescFile, DescMessage

_WORD_END = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def snake(name: str) -> str:
    """`SendMessage` → `send_message`, `GetHTTPUrl` → `get_http_url`."""
    return _WORD_END.sub("_", name).lower()


def attribute(name: str) -> str:
    """A Python attribute for an rpc: snake case, and no keyword."""
    return identifier(snake(name))


def constant(name: str) -> str:
    """`MessageService` → `MESSAGE_SERVICE`."""
    return snake(name).upper()


def identifier(name: str) -> str:
    """The name itself, with `_` behind it if it is a keyword."""
    return f"{name}_" if keyword.iskeyword(name) else name


def module(file: DescFile | str, suffix: str) -> str:
    """Dotted module of a file: `shop/v1/order.proto` → `shop.v1.order_pb2`, as protoc names it."""
    path = file if isinstance(file, str) else file.name
    return path.removesuffix(".proto").replace("-", "_").replace("/", ".") + suffix


def path(file: DescFile | str, suffix: str) -> str:
    """Path of that module: `shop/v1/order_pb2.py`."""
    return module(file, suffix).replace(".", "/") + ".py"


def qualified(desc: DescMessage | DescEnum) -> tuple[str, ...]:
    """Names from the file down: `("DeliverRequest", "Item")`."""
    return (*qualified(desc.parent), desc.name) if desc.parent is not None else (desc.name,)


def without_prefix(enum: DescEnum) -> Sequence[str]:
    """Names of an enum's values without the enum's own name before them.

    The prefix goes only if every value has it and every rest is a name.
    """
    names = [value.name for value in enum.values]
    prefix = f"{constant(enum.name)}_"
    rests = [name.removeprefix(prefix) for name in names]
    strippable = all(name.startswith(prefix) for name in names) and all(rest[:1].isalpha() for rest in rests)
    return rests if strippable else names


def variables(short: Sequence[str], full: Sequence[str]) -> list[str]:
    """Names of variables in one module: the short ones, and the full ones where short ones are equal."""
    seen = Counter(short)
    return [identifier(name if seen[name] == 1 else whole) for name, whole in zip(short, full, strict=True)]
