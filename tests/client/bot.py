"""A program that may be killed: it sends so many texts, and prints what it is shown.

`bot.py <url> <store> <conversation> <texts>`. It chooses the ids of its messages, so it may post them again.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from impl.client import FileStore, MessageReceived, Messenger


async def main(url: str, store: str, conversation: str, texts: int) -> None:
    with FileStore(Path(store)) as kept:
        async with Messenger(url, store=kept) as messenger, asyncio.TaskGroup() as tasks:
            begun = kept.load().get("bot", 0)
            tasks.create_task(send(messenger, kept, conversation, range(begun, texts)))
            async for event in messenger.events():
                if isinstance(event, MessageReceived):
                    print(event.message.seq, event.message.text, flush=True)  # noqa: T201 - the test reads it


async def send(messenger: Messenger, kept: FileStore, conversation: str, numbers: range) -> None:
    await messenger.live()
    for number in numbers:
        messenger.post(conversation, f"bot {number}", client_message_id=f"bot {number}")
        kept.put("bot", number + 1)
        await asyncio.sleep(0.01)
    await messenger.flushed()
    print("flushed", flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
