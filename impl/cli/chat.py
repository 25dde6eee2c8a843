"""Chat in a terminal: `idiom chat`."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path
from typing import Final

from textual.app import App

from impl.cli.chat_screens import LoginScreen, TalkScreen
from impl.cli.refusal import Refusal
from impl.client import FileStore, Messenger, Options

_PLACES: Final = 100
"""Most chats with one service at once, each with a store of its own."""
_STYLE: Final = """
#form { width: 50; height: auto; margin: 2 4; }
#buttons { height: auto; margin: 1 0; }
#talks { width: 28; height: 100%; border: none; border-right: solid $primary; }
#title { text-style: bold; padding: 0 1; }
#scroll { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
#said { color: $warning; padding: 0 1; height: auto; }
#state { color: $text-muted; padding: 0 1; }
"""


def chat(url: str, folder: Path | None) -> None:
    """Talk until the user has enough.

    Args:
        url: of a gateway.
        folder: keeps logins and messages on their way, for this user alone; one in the home by default.

    Raises:
        Refusal: one sentence about why not.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder = folder or Path("~/.local/state/idiom-chat").expanduser()
            store = _store(stack, folder / re.sub(r"[^A-Za-z0-9.-]+", "_", url))
            messenger = Messenger(url, store=store, options=Options(device="idiom chat"))
        except OSError as error:
            raise Refusal(f"{error.filename or folder} cannot be used: {error.strerror}.") from None
        except (ValueError, RuntimeError) as error:  # no address, or no home
            raise Refusal(f"{error}.") from None
        asyncio.run(_talk(messenger, url))


async def _talk(messenger: Messenger, url: str) -> None:
    async with messenger:
        await Chat(messenger, url).run_async()


def _store(stack: contextlib.ExitStack, folder: Path) -> FileStore:
    """The first store that no other chat uses: who opens two terminals may be two people."""
    for place in range(1, _PLACES):
        with contextlib.suppress(BlockingIOError):
            return stack.enter_context(FileStore(folder / f"{place}"))
    raise Refusal(f"There are {_PLACES} chats open already.")


class Chat(App[None]):
    """Login and talk, one after the other."""

    CSS = _STYLE
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, messenger: Messenger, url: str) -> None:
        super().__init__()
        self._messenger = messenger
        self._url = url

    def on_mount(self) -> None:
        """Begin."""
        self.run_worker(self._screens())

    async def _screens(self) -> None:
        said = ""
        while True:
            if self._messenger.me is None:
                await self.push_screen_wait(LoginScreen(self._messenger, self._url, said))
            said = await self.push_screen_wait(TalkScreen(self._messenger)) or ""
