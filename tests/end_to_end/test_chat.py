"""`idiom chat` in real terminals (tmux), on the real system."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import free_port
from tests.system import IDIOM, System, clean_environment

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

_SECONDS = 30.0
_PAUSE = 0.1


class Terminal:
    """One terminal with a chat in it."""

    def __init__(self, socket: Path, name: str, url: str, store: Path) -> None:
        self._socket = socket
        self._name = name
        command = shlex.join([*IDIOM, "chat", "--url", url, "--store", str(store)])
        self._tmux("new-session", "-d", "-s", name, "-x", "110", "-y", "30", command)
        self._tmux("set-option", "-t", name, "remain-on-exit", "on")

    def type(self, *keys: str) -> None:
        """Keys by their names, or text."""
        for key in keys:
            self._tmux("send-keys", "-t", self._name, key)

    def say(self, text: str) -> None:
        """A line and Enter."""
        self._tmux("send-keys", "-t", self._name, "-l", text)
        self.type("Enter")

    def screen(self) -> str:
        """What is to be seen."""
        return self._tmux("capture-pane", "-p", "-t", self._name)

    def until(self, pattern: str) -> str:
        """Waits until something is to be seen."""
        deadline = time.monotonic() + _SECONDS
        while not (found := re.search(pattern, self.screen())):
            assert time.monotonic() < deadline, f"no {pattern!r} in:\n{self.screen()}"
            time.sleep(_PAUSE)
        return found[0]

    def enter(self, name: str, *, new: bool) -> None:
        """Fills the form."""
        self.until("password")
        self.say(name)
        self.until("Enter logs in")
        self._tmux("send-keys", "-t", self._name, "-l", "correct horse")
        self.until("•{13}")
        self.type(*(["Tab", "Tab", "Enter"] if new else ["Enter"]))

    def until_over(self) -> None:
        """Waits until the chat has ended."""
        deadline = time.monotonic() + _SECONDS
        while self._tmux("list-panes", "-t", self._name, "-F", "#{pane_dead}").strip() != "1":
            assert time.monotonic() < deadline, f"it goes on:\n{self.screen()}"
            time.sleep(_PAUSE)

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), "-f", "/dev/null", *arguments],
            check=True,
            capture_output=True,
            text=True,
            env=clean_environment({"LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}),
        )
        return done.stdout


class Desk:
    """Terminals of one test."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url

    def terminal(self, name: str, store: str = "") -> Terminal:
        return Terminal(self._folder / "tmux", name, self._url, self._folder / (store or name))

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            command = ["tmux", "-S", str(self._folder / "tmux"), "kill-server"]
            subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def desk(tmp_path: Path, system: System) -> Iterator[Desk]:
    made = Desk(tmp_path, system.url)
    yield made
    made.close()


def test_two_people_talk_in_two_terminals(desk: Desk) -> None:
    ada, bob = desk.terminal("ada"), desk.terminal("bob")
    ada.enter("ada", new=True)
    bob.enter("bob", new=True)
    ada.until("ada — connected")
    bob.until("bob — connected")
    ada.say("/to bob")
    ada.until(r"│? *bob")
    ada.say("hello [bold]bob[/bold]")
    bob.until(r"ada \(1\)|ada: hello \[bold\]bob\[/bold\]")
    bob.type("C-n")
    bob.until(r"ada: hello \[bold\]bob\[/bold\]")
    ada.until(r"hello \[bold\]bob\[/bold\]  ✓✓✓")
    bob.say("hello yourself")
    ada.until("bob: hello yourself")


def test_a_room_with_its_members(desk: Desk) -> None:
    eve, joe = desk.terminal("eve"), desk.terminal("joe")
    eve.enter("eve", new=True)
    joe.enter("joe", new=True)
    eve.until("eve — connected")
    joe.until("joe — connected")
    eve.say("/create! den")
    eve.until("eve created the room")
    room = eve.until(r"The room has the id \d+").split()[-1]
    joe.say(f"/join {room}")
    joe.until("joe joined")
    joe.say("may I")
    eve.until("joe: may I")
    eve.say("/role joe admin")
    joe.until("eve made joe an admin")
    joe.say("/name lair")
    eve.until("#lair")
    eve.say("/members")
    eve.until(r"2 members: eve \(owner\), joe \(admin\)")
    eve.say("/leave")
    eve.until("The owner hands the room over first.")
    eve.say("/remove joe")
    joe.until("You are not in the room any more: eve removed joe.")
    joe.say("still here?")
    joe.until("“still here\\?” was not sent.")


def test_what_goes_wrong_is_a_sentence(desk: Desk) -> None:
    kim = desk.terminal("kim")
    kim.enter("kim", new=False)
    kim.until("match")
    kim.type("Tab", "Tab", "Enter")
    kim.until("kim — connected")
    kim.say("hello?")
    kim.until("Say to whom first: /to NAME.")
    kim.say("/to nobody-at-all")
    kim.until("There is no such user.")
    kim.say("/dance")
    kim.until("There is no command /dance; /help shows what there is.")
    kim.say("/members")
    kim.until("This is no room.")
    kim.say("/help")
    kim.until("/create NAME")
    assert "Traceback" not in kim.screen()


def test_the_login_is_remembered_until_it_is_ended(desk: Desk) -> None:
    first = desk.terminal("first", store="shared")
    first.enter("lou", new=True)
    first.until("lou — connected")
    first.say("/to lou")
    first.until("notes to yourself")
    first.say("remember the milk")
    first.until("remember the milk  ✓")
    first.say("/quit")
    first.until_over()
    second = desk.terminal("second", store="shared")
    second.until("lou — connected")
    second.until("remember the milk")
    second.say("/logout")
    second.until("password")


def test_a_service_that_cannot_be_reached_is_said_in_a_sentence(tmp_path: Path) -> None:
    desk = Desk(tmp_path, f"http://127.0.0.1:{free_port()}")
    try:
        kim = desk.terminal("kim")
        kim.enter("kim", new=False)
        kim.until(r"cannot be +reached|cannot +be reached|now\.")
    finally:
        desk.close()


def test_an_address_that_is_none_is_refused_in_a_sentence(tmp_path: Path) -> None:
    command = [*IDIOM, "chat", "--url", "nowhere", "--store", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=clean_environment({}))
    assert done.returncode == 1
    assert done.stderr == "idiom: 'nowhere' is not an address that begins with http:// or https://.\n"
