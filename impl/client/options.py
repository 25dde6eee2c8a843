"""How a client behaves."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.runtime.client.frames import Encoding


@dataclass(frozen=True, slots=True)
class Options:
    """How a Messenger behaves."""

    encoding: Encoding = "json"
    """Of frames on the socket: `json` or `proto`."""
    device: str = ""
    """What the login is called in the list of logins."""
    backlog: bool = False
    """Whether the first login tells everything that was said before."""
    capacity: int = 1000
    """Most events that wait for a program which is slow to take them. What is beyond is read from history
    when the program comes to it."""
