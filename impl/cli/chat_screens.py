"""How the chat in a terminal looks."""

from __future__ import annotations

import asyncio
import contextlib
from typing import ClassVar, Final

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import DescendantFocus, Key
from textual.screen import Screen
from textual.widgets import Button, Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from codegen.runtime.errors import Error
from impl.cli.chat_commands import Commands, Misuse
from impl.cli.chat_lines import change_of, sentence
from impl.cli.chat_talks import Line, Talk, Talks
from impl.client import (
    ConnectionChanged,
    ConnectionState,
    Event,
    MessageReceived,
    Messenger,
    RoomChanged,
    SendFailed,
)

_TYPED_AHEAD: Final = 50
"""Most lines that wait for those before them."""
_STATES: Final = {
    ConnectionState.CLOSED: "no connection",
    ConnectionState.CONNECTING: "connecting",
    ConnectionState.CATCHING_UP: "catching up",
    ConnectionState.LIVE: "connected",
    ConnectionState.WAITING: "no connection, trying again",
}


class LoginScreen(Screen[bool]):
    """Asks who is there; dismissed once somebody is logged in."""

    def __init__(self, messenger: Messenger, url: str, said: str = "") -> None:
        super().__init__()
        self._messenger = messenger
        self._url = url
        self._said = said

    def compose(self) -> ComposeResult:
        """The form."""
        with Vertical(id="form"):
            yield Label(f"Idiom at {self._url}")
            yield Input(placeholder="name", id="username", max_length=64)
            yield Input(placeholder="password", password=True, id="password", max_length=256)
            with Horizontal(id="buttons"):
                yield Button("Log in", id="login", variant="primary")
                yield Button("Register", id="register")
            yield Static(self._said, id="said", markup=False)

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Say what Enter does."""
        if event.widget.id == "password":
            self.query_one("#said", Static).update(
                "Enter logs in; who is new here goes on to Register with Tab."
            )

    @on(Input.Submitted, "#username")
    def _to_password(self) -> None:
        self.query_one("#password", Input).focus()

    @on(Input.Submitted, "#password")
    @on(Button.Pressed, "#login")
    def _log_in(self) -> None:
        self.run_worker(self._enter(new=False), exclusive=True)

    @on(Button.Pressed, "#register")
    def _register(self) -> None:
        self.run_worker(self._enter(new=True), exclusive=True)

    async def _enter(self, *, new: bool) -> None:
        username = self.query_one("#username", Input).value.strip()
        password = self.query_one("#password", Input).value
        said = self.query_one("#said", Static)
        said.update("One moment …")
        try:
            if new:
                await self._messenger.register(username, password)
            else:
                await self._messenger.log_in(username, password)
        except Error as error:
            said.update(sentence(error))
        else:
            self.dismiss(True)


class LineInput(Input):
    """An input that is empty once a line was entered, before the next key is read."""

    async def _on_key(self, event: Key) -> None:
        """Enter is a key like others here; as the binding that it is by default it would come after them."""
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            line, self.value = self.value, ""
            self.post_message(self.Submitted(self, line))


class TalkScreen(Screen[str]):
    """Conversations on the left, the chosen one on the right; dismissed with what to say at the login."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+p", "go(-1)", "above", priority=True),
        Binding("ctrl+n", "go(1)", "below", priority=True),
        Binding("pageup", "scroll(-1)", priority=True),
        Binding("pagedown", "scroll(1)", priority=True),
    ]

    def __init__(self, messenger: Messenger) -> None:
        super().__init__()
        self.talk: Talk | None = None
        """The conversation that is shown."""
        self._messenger = messenger
        self._talks = Talks(messenger)
        self._commands = Commands(messenger, self._talks, self)
        self._typed: asyncio.Queue[str] = asyncio.Queue(_TYPED_AHEAD)

    def compose(self) -> ComposeResult:
        """The two sides."""
        with Horizontal():
            yield OptionList(id="talks", markup=False)
            with Vertical():
                yield Static(
                    "Nobody yet: /to NAME talks to somebody, /help says more.", id="title", markup=False
                )
                with VerticalScroll(id="scroll", can_focus=False):
                    yield Static(id="lines", markup=False)
                yield Static(id="said", markup=False)
                yield LineInput(placeholder="a message, or /help", id="line", max_length=16384)
                yield Static(id="state", markup=False)

    def on_mount(self) -> None:
        """Listen, and read what there is."""
        self.query_one("#line", Input).focus()
        self._show_state()
        self.run_worker(self._listen(), name="events")
        self.run_worker(self._obey(), name="lines")
        self.run_worker(self._attempt(self._load()), name="load")

    async def show(self, conversation_id: str) -> None:
        """Show a conversation."""
        self.talk = await self._talks.open(conversation_id)
        self.say("")
        self._draw()
        self._read()

    def say(self, text: str) -> None:
        """Tell the user something."""
        self.query_one("#said", Static).update(text)

    async def leave(self, *, log_out: bool) -> None:
        """End the program, or only the login."""
        if log_out:
            await self._messenger.log_out()
            self.dismiss("")
        else:
            self.app.exit()

    @on(Input.Submitted, "#line")
    def _submitted(self, submitted: Input.Submitted) -> None:
        line = submitted.value.strip()
        if not line:
            return
        try:
            self._typed.put_nowait(line)
        except asyncio.QueueFull:
            submitted.input.value = line
            self.say("One moment: what you typed before is not done yet.")

    @on(OptionList.OptionSelected, "#talks")
    def _chosen(self, chosen: OptionList.OptionSelected) -> None:
        self.query_one("#line", Input).focus()
        if chosen.option.id:
            self.run_worker(self._attempt(self.show(chosen.option.id)))

    def action_go(self, steps: int) -> None:
        """Show the conversation above or below."""
        talks = list(self._talks)
        at = next((i for i, talk in enumerate(talks) if talk is self.talk), -1 if steps > 0 else 0)
        if talks:
            self.run_worker(self._attempt(self.show(talks[(at + steps) % len(talks)].id)))

    def action_scroll(self, pages: int) -> None:
        """Move through what was said."""
        scroll = self.query_one("#scroll", VerticalScroll)
        if pages < 0:
            scroll.scroll_page_up()
        else:
            scroll.scroll_page_down()

    async def _obey(self) -> None:
        """Do what was typed, one line after the other."""
        while True:
            await self._attempt(self._act(await self._typed.get()))

    async def _act(self, line: str) -> None:
        if line.startswith("/"):
            await self._commands.run(line)
        elif self.talk is None:
            raise Misuse("Say to whom first: /to NAME.")
        else:
            self._messenger.post(self.talk.id, line)
            self.say("")
            self._draw()

    async def _attempt(self, work: object) -> None:
        """Do something; what goes wrong is said."""
        try:
            await work  # type: ignore[misc]
        except Error as error:
            self.say(sentence(error))
        except Misuse as misuse:
            self.say(str(misuse))

    async def _load(self) -> None:
        await self._talks.learn([self._talks.me])
        await self._talks.load()
        if self.talk is None and (first := next(iter(self._talks), None)):
            await self.show(first.id)
        self._draw_list()

    async def _listen(self) -> None:
        async for event in self._messenger.events():
            await self._attempt(self._take(event))

    async def _take(self, event: Event) -> None:
        match event:
            case MessageReceived() | RoomChanged():
                await self._arrived(event)
            case SendFailed():
                self.say(f"“{event.entry.text}” was not sent. {sentence(event.error)}")
            case ConnectionChanged():
                self._show_state(event)
                if event.state is ConnectionState.CLOSED and self._messenger.me is None and event.error:
                    self.dismiss(sentence(event.error))
                    return
        self._draw()

    async def _arrived(self, event: MessageReceived | RoomChanged) -> None:
        message = event.message
        await self._talks.take([message], new=True)
        self._draw()
        if message.room.HasField("left") and message.room.left.user_id == self._talks.me:
            self._talks.forget(message.conversation_id)
            self.say(f"You are not in the room any more: {change_of(message, self._talks.name)}")
            return
        if isinstance(event, RoomChanged):
            await self._talks.refresh(message.conversation_id)
        else:
            await self._talks.find(message.conversation_id)
        if self.talk is not None and self.talk.id == message.conversation_id:
            self._read()

    def _read(self) -> None:
        talk = self.talk
        if talk is not None and self._talks.unread(talk):
            self.run_worker(self._mark(talk), exclusive=True, group="marks")

    async def _mark(self, talk: Talk) -> None:
        with contextlib.suppress(Error):  # the next message marks it again
            await self._messenger.mark_read(talk.id)
            self._draw_list()

    def _draw(self) -> None:
        self._draw_list()
        if self.talk is None:
            return
        self.query_one("#title", Static).update(self.talk.title)
        scroll = self.query_one("#scroll", VerticalScroll)
        at_end = scroll.is_vertical_scroll_end
        text = Text("\n").join(_rich(line) for line in self._talks.lines(self.talk))
        self.query_one("#lines", Static).update(text)
        if at_end:
            scroll.scroll_end(animate=False)

    def _draw_list(self) -> None:
        options = self.query_one("#talks", OptionList)
        options.clear_options()
        for place, talk in enumerate(self._talks):
            unread = self._talks.unread(talk)
            title = talk.title or talk.id
            options.add_option(Option(f"{title} ({unread})" if unread else title, id=talk.id))
            if talk is self.talk:
                options.highlighted = place

    def _show_state(self, event: ConnectionChanged | None = None) -> None:
        state = event.state if event else self._messenger.connection
        why = f": {sentence(event.error)}" if event and event.error else ""
        name = self._messenger.me.username if self._messenger.me else ""
        self.query_one("#state", Static).update(f"{name} — {_STATES[state]}{why}")


def _rich(line: Line) -> Text:
    if not line.author:
        return Text(f"{line.time}  {line.text}", style="italic dim")
    text = Text(f"{line.time}  ")
    text.append(line.author, style="bold")
    text.append(f": {line.text}")
    if line.tick:
        text.append(f"  {line.tick}", style="green")
    return text
